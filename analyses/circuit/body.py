"""Searches for the circuit on some lists, and judges it on others."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from jaxtyping import Float
from torch import Tensor

from analyses.circuit import CircuitConfig
from analyses.circuit.figure import figure
from analyses.circuit.result import CircuitResult, FoundLevel, to_json
from analyses.circuit.svg import drawing
from analyses.circuit.words import said_of, summary, verdicts
from analyses.experiment.given import given_now
from interp.edges import answer_regions
from interp.methods.circuit_judge import edge_effects, judge, knockouts, random_sets
from interp.methods.circuit_run import Graph
from interp.methods.circuit_scores import Group, attribute, groups_of, sample_groups
from interp.methods.circuit_search import Level, search
from interp.support.progress import SILENT, Progress
from interp.transformer import Transformer

# See analyses.experiment.
__all__ = ["compute", "figure", "files", "summary", "to_json", "verdicts"]

_ATTRIBUTED = 16  # lists for attribution, which only says in which order edges are tried
_STEPS = 5  # of its integral, as Hanna et al. take
_DRAWS = 3  # random circuits, and random halves


def compute(
    model: Transformer,
    settings: CircuitConfig,
    seed: int,
    progress: Progress,
) -> CircuitResult:
    """Search on some lists, judge on others."""
    graph = Graph(model)
    scores, levels = _found(graph, settings, settings.levels, seed, progress)
    groups = _judging(graph, settings, seed)
    edges = next(level.edges for level in levels if level.keep == settings.keep)
    # By attribution alone: as many of the largest, in either part.
    best = scores.abs().amax(0).argsort(descending=True)[: len(edges)]
    return CircuitResult(
        n_edges=len(graph.edges),
        n_layers=graph.n_layers,
        ends=answer_regions(model.task),
        lengths=tuple(group.lists.view.longest for group in groups),
        lists=settings.lists,
        searched=settings.searched,
        telling=_telling(groups),
        keep=settings.keep,
        levels=tuple(_judged(graph, groups, level, seed) for level in levels),
        unchecked=judge(graph, groups, graph.keep(graph.edges[i] for i in best), seed),
        without=judge(graph, groups, 1 - graph.keep(edges), seed),
        knockouts=knockouts(graph, groups, edges, _DRAWS, seed),
        effects=edge_effects(graph, groups, edges, progress),
        seed=seed,
    )


def _judging(graph: Graph, settings: CircuitConfig, seed: int) -> list[Group]:
    if (lists := given_now()) is not None:
        return groups_of(graph, lists.lists, seed, "judged")
    return sample_groups(graph, settings.lists, seed, "judged")


def _found(
    graph: Graph,
    settings: CircuitConfig,
    levels: Sequence[float],
    seed: int,
    progress: Progress,
) -> tuple[Float[Tensor, "part edge"], list[Level]]:
    """What attribution expects of every edge, and the circuits."""
    progress.begin(0, "the circuit: left-out edges")  # how many it takes is not known beforehand
    some = sample_groups(graph, min(_ATTRIBUTED, settings.searched), seed, "attributed")
    scores = attribute(graph, some, "EAP-IG", _STEPS)
    groups = sample_groups(graph, settings.searched, seed, "searched")
    return scores, search(graph, groups, scores, levels, [settings.keep], progress)


def quick_verdicts(model: Transformer, settings: CircuitConfig, seed: int) -> dict[str, Any]:
    """:func:`verdicts`, without levels and controls that they do not rest on."""
    graph = Graph(model)
    wanted = [settings.levels[0], settings.keep]
    _, (strict, drawn) = _found(graph, settings, wanted, seed, SILENT)
    groups = sample_groups(graph, settings.lists, seed, "judged")
    kept = judge(graph, groups, graph.keep(strict.edges), seed)
    without = judge(graph, groups, 1 - graph.keep(drawn.edges), seed)
    return said_of(strict.edges, kept, without)


def _telling(groups: Sequence[Group]) -> tuple[int, int]:
    counts = [group.parts.sum((1, 2)).tolist() for group in groups]
    return int(sum(first for first, _ in counts)), int(sum(later for _, later in counts))


def _judged(graph: Graph, groups: Sequence[Group], level: Level, seed: int) -> FoundLevel:
    random = random_sets(graph, len(level.edges), _DRAWS, seed)
    return FoundLevel(
        level,
        judge(graph, groups, graph.keep(level.edges), seed),
        tuple(judge(graph, groups, kept, seed) for kept in random),
    )


def files(result: CircuitResult) -> dict[str, str]:
    """What is written beside the result, by its name."""
    return {"circuit.svg": drawing(result)}
