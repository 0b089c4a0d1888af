"""What ``analyses.circuit`` found, as data."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from jaxtyping import Float

from interp.edges import CircuitEdge, Node
from interp.methods.circuit_judge import Judged
from interp.methods.circuit_search import Level
from interp.stats import Estimate, bootstrap_mean
from interp.task import Region

PARTS = ("first output", "later outputs")
"""Emitted at different places: the last blank (or SEP), and the outputs given back."""


@dataclass(frozen=True)
class FoundLevel:
    """A set of edges, and how it does on lists that it was not searched with."""

    level: Level
    judged: Judged
    random: tuple[Judged, ...]
    """As many edges at random, some draws: the control."""


@dataclass(frozen=True)
class CircuitResult:
    """Sets of edges from the strictest level to the loosest; that of ``keep`` is taken apart."""

    n_edges: int
    """Of the whole graph."""
    n_layers: int
    ends: tuple[Region, Region]
    """The regions that emit each of ``PARTS``."""
    lengths: tuple[int, ...]
    symbol: str
    """What lists hold: ``digit``."""
    lists: int
    searched: int
    telling: tuple[int, int]
    """Rows, of each part, where the answers of list and donor differ; of ``lists``."""
    keep: float
    levels: tuple[FoundLevel, ...]
    unchecked: Judged
    """As many edges as at ``keep``, by attribution alone."""
    without: Judged
    """The whole model but for the edges at ``keep``."""
    knockouts: Float[torch.Tensor, "draw 2 part"]
    """Faithfulness of circuit and model, each without a random half of the circuit."""
    effects: Float[torch.Tensor, "edge list part"]
    """By how much faithfulness falls without each edge of the set at ``keep``; NaN where nothing
    tells."""
    seed: int

    @property
    def strict(self) -> FoundLevel:
        return self.levels[0]

    @cached_property
    def drawn(self) -> FoundLevel:
        """The level that is taken apart and drawn."""
        return next(found for found in self.levels if found.level.keep == self.keep)

    @property
    def edges(self) -> tuple[CircuitEdge, ...]:
        return self.drawn.level.edges

    def effect(self, edge: int, part: int) -> Estimate | None:
        """Of an edge of the drawn set, on a part; the mean over lists."""
        values = self.effects[edge, :, part]
        values = values[~values.isnan()]
        return bootstrap_mean(values, self.seed) if len(values) else None

    @cached_property
    def mean_effects(self) -> list[tuple[float, float]]:
        """Of every drawn edge on both parts; 0 where nothing tells."""
        means = self.effects.nanmean(1).nan_to_num(0.0)
        return [(float(a), float(b)) for a, b in means]

    def incompleteness(self, part: int) -> float | None:
        """The mean difference between what circuit and model lose with the same edges."""
        gap = (self.knockouts[:, 0, part] - self.knockouts[:, 1, part]).abs()
        return None if gap.isnan().any() or not len(gap) else float(gap.mean())

    def part_edges(self, part: int) -> list[int]:
        """Those of the drawn edges that lead to the rows of a part within the drawn set."""
        return leading_to(self.edges, Node(self.n_layers, "logits"), self.ends[part])


def leading_to(edges: tuple[CircuitEdge, ...], end: Node, region: Region) -> list[int]:
    """Which edges are on a path to what a node reads in a region."""
    reached, found = {(end, region)}, set[int]()
    for i, edge in sorted(enumerate(edges), key=lambda each: _depth(each[1]), reverse=True):
        if (edge.receiver, edge.target) in reached:
            reached.add((edge.sender, edge.source))
            found.add(i)
    return sorted(found)


def _depth(edge: CircuitEdge) -> tuple[int, bool]:
    """In the order in which receivers are computed: MLPs after the heads of their layer."""
    return edge.receiver.layer, edge.receiver.kind != "head"


def to_json(result: CircuitResult) -> dict[str, Any]:
    """The result as data; edges are written as ``embed@digits > 0.4.v@outputs``."""
    return {
        "edges_in_all": result.n_edges,
        "layers": result.n_layers,
        "lengths": list(result.lengths),
        "lists": result.lists,
        "lists_searched": result.searched,
        "telling_rows": dict(zip(PARTS, result.telling, strict=True)),
        "levels": [_level_json(found) for found in result.levels],
        "drawn": result.keep,
        "by_attribution_alone": _judged_json(result.unchecked),
        "without_the_circuit": _judged_json(result.without),
        "incompleteness": {p: result.incompleteness(i) for i, p in enumerate(PARTS)},
        "graph": graph_json(result),
    }


def graph_json(result: CircuitResult) -> list[dict[str, Any]]:
    """The drawn edges, with what each brings."""
    members = [set(result.part_edges(part)) for part in range(len(PARTS))]
    return [
        {
            "edge": str(edge),
            "sender": str(edge.sender),
            "source": edge.source.value,
            "receiver": str(edge.receiver),
            "port": edge.port,
            "target": edge.target.value,
            "leads_to": [p for part, p in enumerate(PARTS) if i in members[part]],
            "effect": {
                p: estimate.to_dict() if (estimate := result.effect(i, part)) else None
                for part, p in enumerate(PARTS)
            },
        }
        for i, edge in enumerate(result.edges)
    ]


def _level_json(found: FoundLevel) -> dict[str, Any]:
    return {
        "keep": found.level.keep,
        "edges": [str(edge) for edge in found.level.edges],
        "n_edges": len(found.level.edges),
        "error_on_searched": found.level.error,
        **_judged_json(found.judged),
        "random": [_judged_json(judged)["faithfulness"] for judged in found.random],
    }


def _judged_json(judged: Judged) -> dict[str, Any]:
    outputs = judged.outputs_kept
    return {
        "faithfulness": {
            p: estimate.to_dict() if (estimate := judged.faithfulness(part)) else None
            for part, p in enumerate(PARTS)
        },
        "outputs_kept": outputs.to_dict() if outputs else None,
        "lists_kept": judged.lists_kept.to_dict(),
    }
