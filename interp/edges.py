"""The graph of a model's edges: who reads what whom writes, and in which region of the sequence.

    edges = edges_of(model.config)
    str(edges[0])                       # "embed@digits > 0.0.q@digits"
    parse_edge("0.4@outputs > mlp0@outputs")

*Senders* are the embedding, every head and every MLP; *receivers* are the query, key and value of
every head, every MLP and the logits. All that a receiver reads is a sum of what earlier senders
wrote at one position (Elhage et al. 2021), so there is an edge from each sender to each later
receiver (Conmy et al. 2023; Syed et al. 2023).

Here an edge is also split by *regions*, for in this task they are different routes: ``source`` is
where the stream is read, ``target`` is the row that it is read for. They differ for keys and values
only, where attention carries something from one position to another (as in Haklay et al. 2025):

    embed@digits > 0.4.v@outputs        output rows read, in head 0.4, the values of digits, which
                                        the embedding made
    0.4@outputs > mlp0@outputs          at output rows MLP 0 reads what head 0.4 wrote there

There are five regions, those of :class:`interp.task.Region`, and not single positions: a set of
edges then means the same for lists of any length, and a person can read it. What it cannot say is
*which* digit or blank: for that there are ``patch_blanks`` and ``blank_output_matrix``.

Only what can reach an answer is an edge: in the last layer queries, MLP and logits are read at the
rows that emit digits, and a row has edges from regions that it may attend to. Free of torch until
:func:`edges_of` is called.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from typing import Literal

from interp.config import ModelConfig
from interp.support.errors import UserError
from interp.task import Region, SortTask

Kind = Literal["embed", "head", "mlp", "logits"]
Port = Literal["q", "k", "v", "in"]
"""What of a receiver is fed: a head's query, key or value, or an MLP's or the logits' only input.
"""
REGIONS = (Region.DIGITS, Region.SEP, Region.BLANKS, Region.LAST_BLANK, Region.OUTPUTS)
"""In the order of the sequence. The last blank is apart from the others: it is an output row."""


@dataclass(frozen=True, order=True)
class Node:
    """A part of a model that writes, reads, or both."""

    layer: int
    """-1 for the embedding, the number of layers for the logits."""
    kind: Kind
    head: int = 0

    def __str__(self) -> str:
        """``embed``, ``0.4``, ``mlp0``, ``logits``"""
        return {"head": f"{self.layer}.{self.head}", "mlp": f"mlp{self.layer}"}.get(
            self.kind, self.kind
        )

    @property
    def words(self) -> str:
        """For people: ``the embedding``, ``head 0.4``, ``MLP 0``, ``the logits``."""
        return {
            "head": f"head {self.layer}.{self.head}",
            "mlp": f"MLP {self.layer}",
            "embed": "the embedding",
            "logits": "the logits",
        }[self.kind]


EMBED = Node(-1, "embed")


def head_node(layer: int, head: int) -> Node:
    return Node(layer, "head", head)


def mlp_node(layer: int) -> Node:
    return Node(layer, "mlp")


def logits_node(n_layers: int) -> Node:
    return Node(n_layers, "logits")


@dataclass(frozen=True, order=True)
class CircuitEdge:
    """What a receiver reads of one sender, in one region, for the rows of one region."""

    receiver: Node
    port: Port
    target: Region
    """Of the rows for which it is read."""
    sender: Node
    source: Region
    """Of the positions where it is read: ``target``, but for keys and values."""

    def __str__(self) -> str:
        """``embed@digits > 0.4.v@outputs``; :func:`parse_edge` is the inverse."""
        port = "" if self.port == "in" else f".{self.port}"
        return f"{self.sender}@{self.source} > {self.receiver}{port}@{self.target}"


_NODE = r"embed|logits|mlp\d+|\d+\.\d+"
_EDGE = re.compile(rf"({_NODE})@([a-z ]+) > ({_NODE})(?:\.([qkv]))?@([a-z ]+)")


def parse_edge(text: str, n_layers: int = 2) -> CircuitEdge:
    """The edge that is written like this.

    Args:
        n_layers: of the model, whose logits come after its last layer.

    Raises:
        UserError: if that is no edge.
    """
    found = _EDGE.fullmatch(text)
    if not found or not {found[2], found[5]} <= set(REGIONS):
        raise UserError(
            f"{text!r} is no edge; one is written like 'embed@digits > 0.4.v@outputs', "
            f"with regions {', '.join(REGIONS)}"
        )
    sender, receiver = (_parse_node(found[i], n_layers) for i in (1, 3))
    port: Port = found[4] or "in"  # type: ignore[assignment]
    return CircuitEdge(receiver, port, Region(found[5]), sender, Region(found[2]))


def _parse_node(text: str, n_layers: int) -> Node:
    if "." in text:
        layer, head = map(int, text.split("."))
        return head_node(layer, head)
    if text.startswith("mlp"):
        return mlp_node(int(text[3:]))
    return EMBED if text == "embed" else logits_node(n_layers)


def answer_regions(task: SortTask) -> tuple[Region, Region]:
    """Of the rows that emit the first sorted digit, and all later ones."""
    return (Region.LAST_BLANK if task.n_blanks else Region.SEP, Region.OUTPUTS)


def senders_before(config: ModelConfig, receiver: Node) -> list[Node]:
    """Whose writing a receiver reads, in the order in which it is written."""
    heads, found = range(config.n_heads), [EMBED]
    for layer in range(min(receiver.layer, config.n_layers)):
        found += [*(head_node(layer, head) for head in heads), mlp_node(layer)]
    if receiver.kind == "mlp":
        found += [head_node(receiver.layer, head) for head in heads]
    return found


def edges_of(config: ModelConfig) -> tuple[CircuitEdge, ...]:
    """Every edge of a model along which something can reach an answer, in order of receivers."""
    return tuple(sorted(_edges(config)))


def _edges(config: ModelConfig) -> Iterator[CircuitEdge]:
    here = [region for region in REGIONS if config.task.region(region)]
    ends = [region for region in here if region in answer_regions(config.task)]
    seen = _seen(config, here)
    for layer in range(config.n_layers):
        rows = here if layer < config.n_layers - 1 else ends
        heads = [head_node(layer, head) for head in range(config.n_heads)]
        senders = senders_before(config, heads[0])
        for head, row, sender in product(heads, rows, senders):
            yield CircuitEdge(head, "q", row, sender, row)
            for source in seen[row]:
                yield CircuitEdge(head, "k", row, sender, source)
                yield CircuitEdge(head, "v", row, sender, source)
        yield from _onward(config, mlp_node(layer), rows)
    yield from _onward(config, logits_node(config.n_layers), ends)


def _onward(config: ModelConfig, receiver: Node, rows: list[Region]) -> Iterator[CircuitEdge]:
    for row, sender in product(rows, senders_before(config, receiver)):
        yield CircuitEdge(receiver, "in", row, sender, row)


def _seen(config: ModelConfig, here: list[Region]) -> dict[Region, list[Region]]:
    """For each region, those that a row of it may attend to."""
    from interp.passes.bare import own_blocked

    blocked, spans = own_blocked(config), {region: config.task.region(region) for region in here}

    def sees(row: Region, source: Region) -> bool:
        if blocked is None:
            return spans[source].start <= spans[row][-1]
        return any(
            key <= query and not blocked[query, key]
            for query, key in product(spans[row], spans[source])
        )

    return {row: [source for source in here if sees(row, source)] for row in here}
