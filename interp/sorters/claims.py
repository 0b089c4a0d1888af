"""What a truth about a compiled model is made of; :mod:`interp.sorters.truth` has the truths."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from typing import Literal

from interp.edges import CircuitEdge, parse_edge
from interp.task import Region, Task

N_HEADS = 3  # per layer, in every compiled model: those that carry the answer, and decoys


@dataclass(frozen=True)
class Edge:
    """In one head, the rows of region ``query`` read the keys of region ``key``."""

    layer: int
    head: int
    query: Region
    key: Region


@dataclass(frozen=True)
class Truth:
    """The known algorithm of a sorter."""

    name: str
    """One of ``SORTERS``."""
    heads: frozenset[tuple[int, int]]
    """(layer, head) of those that carry the answer: ablated, it is lost."""
    decoy_heads: frozenset[tuple[int, int]]
    """The others: they attend somewhere and write exactly nothing."""
    mlps: frozenset[int]
    """Layers whose MLP carries the answer."""
    blanks_needed: bool
    """Masking the blanks from the output rows, with renormalisation, destroys the answer."""
    blanks_content: bool
    """The answer depends on what layer 1 reads from the blanks' content."""
    digits_content: bool
    """Layer 1 reads the list directly from the keys and values of the digits."""
    prefix_used: bool
    """What was emitted before changes what follows."""
    blank_output: Literal["diagonal", "flat", "none"]
    """Which blank feeds which output: blank i output i; all of them each output; none."""
    mediated: float
    """Share of the total effect that goes from digits through a blank to an output: 1 or 0."""
    decodable: frozenset[str]
    """Of {"sorted", "counts"}, for blank j (but the last): sorted[j], every C(<=v), where linear
    functions of its residual stream after layer 0 tell it for every list (sorted[j] as the largest
    of ten). For another task, the j-th symbol of the answer stands for sorted[j]."""
    edges: tuple[Edge, ...]
    """Attention that carries the answer: with a layer's edges cut, renormalised or not, the answer
    is lost; with all else zeroed, every list is still sorted."""
    circuit: tuple[CircuitEdge, ...]
    """Who reads what whom writes, wherever that depends on the list or on what was emitted before:
    as it is compiled. With everything else from another list every answer stays exactly as it is;
    without one of them some do not. What is the same for all lists (where to look, which output
    comes next) is compiled too, and is no part of it."""
    program: str
    """The program of :mod:`interp.programs.catalogue` that it runs."""
    list_in: frozenset[str]
    """Heads and MLPs that hold what the program knows of the list, as
    :class:`interp.methods.interchange.Part` names them: exchanged with any other list's, they
    exchange that and nothing else."""
    answer_in: frozenset[str]
    """Those at the output rows that hold the answer, all rows but the first."""
    words: str
    """The algorithm in two sentences."""
    sinks: tuple[Edge, ...] = ()
    """Attention that carries nothing, but makes counts come out: cut and renormalised, the answer
    is lost; zeroed without, nothing changes."""

    @property
    def head_pairs(self) -> list[list[int]]:
        """``heads`` in order, as verdicts list them: ``[[0, 1], [1, 2]]``."""
        return sorted([*head] for head in self.heads)


DIGITS, SEP = (Region.DIGITS,), (Region.SEP,)
BLANKS = (Region.BLANKS, Region.LAST_BLANK)


def emitting(task: Task) -> tuple[Region, Region]:
    """The regions of the rows that emit sorted digits."""
    return (Region.LAST_BLANK if task.n_blanks else Region.SEP, Region.OUTPUTS)


def edges(
    task: Task, layer: int, head: int, queries: tuple[Region, ...], keys: tuple[Region, ...]
) -> tuple[Edge, ...]:
    """An edge from each region to each, of those that have a position in this task."""
    pairs = product(queries, keys)
    return tuple(Edge(layer, head, q, k) for q, k in pairs if task.region(q) and task.region(k))


def present(
    task: Task, regions: tuple[Region, ...], read: Region | None = None
) -> tuple[Region, ...]:
    """Those that have a position in this task; none if there is nothing to be ``read``."""
    if read is not None and not task.region(read):
        return ()
    return tuple(region for region in regions if task.region(region))


def wires(pattern: str, regions: tuple[Region, ...]) -> list[CircuitEdge]:
    """An edge for each of the regions, which is filled into the pattern."""
    return [parse_edge(pattern.format(region)) for region in regions]


def counted(task: Task, head: str, mlp: str) -> tuple[CircuitEdge, ...]:
    """A head of the output rows counts the digits, and their MLP says which digit is due."""
    rows = present(task, emitting(task))
    return (
        *wires(f"embed@digits > {head}.v@{{}}", rows),
        *wires(f"{head}@{{0}} > {mlp}@{{0}}", rows),
        *wires(f"{mlp}@{{0}} > logits@{{0}}", rows),
    )


def all_heads_but(*carriers: tuple[int, int]) -> frozenset[tuple[int, int]]:
    return frozenset(product(range(2), range(N_HEADS))) - set(carriers)


def by_own_blank(
    task: Task, writer: str
) -> tuple[tuple[Edge, ...], tuple[CircuitEdge, ...], tuple[Region, ...]]:
    """Blank i is filled by head 0.1, and output i reads by head 1.2 what ``writer`` left there.

    Returns:
        edges, the circuit but for what is between head 0.1 and the writer, and the filled blanks.
    """
    # The last blank, of index n_blanks - 1, is filled only if there is none to spare.
    spare, rows = task.n_blanks > task.max_len, emitting(task)
    filled = (Region.BLANKS,) if spare else BLANKS
    reads_last = Region.OUTPUTS if task.max_len > 1 else Region.LAST_BLANK
    looked_at = (
        *edges(task, 0, 1, filled, DIGITS),
        *edges(task, 1, 2, rows, (Region.BLANKS,)),
        *(() if spare else edges(task, 1, 2, (reads_last,), (Region.LAST_BLANK,))),
    )
    circuit = (
        *wires("embed@digits > 0.1.v@{}", present(task, filled)),
        *wires(f"{writer}@blanks > 1.2.v@{{}}", present(task, rows, read=Region.BLANKS)),
        *wires(f"{writer}@last blank > 1.2.v@{{}}", () if spare else (reads_last,)),
        *wires("1.2@{0} > logits@{0}", present(task, rows)),
    )
    return looked_at, circuit, present(task, filled)


def counted_in_blanks(
    task: Task, name: str, *, mediated: float, decodable: frozenset[str], program: str, words: str
) -> Truth:
    """Every blank counts, and MLP 1 works out the answer from the mean of their counts."""
    rows, blanks = present(task, emitting(task)), present(task, BLANKS)
    return Truth(
        name=name,
        heads=frozenset({(0, 2), (1, 0)}),
        decoy_heads=all_heads_but((0, 2), (1, 0)),
        mlps=frozenset({1}),
        blanks_needed=True,
        blanks_content=True,
        digits_content=False,
        prefix_used=False,
        blank_output="flat",
        mediated=mediated,
        decodable=decodable,
        edges=(
            *edges(task, 0, 2, BLANKS, DIGITS),
            *edges(task, 1, 0, emitting(task), BLANKS),
        ),
        circuit=(
            *wires("embed@digits > 0.2.v@{}", blanks),
            *(wire for blank in blanks for wire in wires(f"0.2@{blank} > 1.0.v@{{}}", rows)),
            *wires("1.0@{0} > mlp1@{0}", rows),
            *wires("mlp1@{0} > logits@{0}", rows),
        ),
        program=program,
        list_in=frozenset({"head 1.0", "head 0.2 at the blanks"}),
        answer_in=frozenset({"MLP 1"}),
        words=words,
        sinks=edges(task, 0, 2, BLANKS, SEP),
    )
