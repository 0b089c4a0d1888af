"""The smallest sets of edges that keep the answer, every edge of them checked exactly.

    levels = search(graph, groups, scores, [0.99, 0.9])     # the larger set first, each in the last
    levels[0].edges

The *error* of a set is what the margin (see ``circuit_scores``) is off by, on the mean
over telling rows, in absolute value, as a share of the mean gap between list and donor; all edges
outside of the set carry the donor's run. Deviations to either side count, so that errors of many
edges cannot make up for each other. It is the larger of two: of the first output, and of all later
ones. A set is *at level* 0.99 if its error is at most 0.01.

**Search** (backward elimination, as ACDC does it: Conmy et al. 2023, but towards a bound on the
error of the whole set rather than one for each edge). Edges are tried in order of their expected
cost, least first, in blocks: a block is dropped if the error then stays within the bound, else it
is halved, down to single edges. After a level, the next, looser one goes on from its set, with the
costs that were measured. A last pass tries every remaining edge by itself again, until none can be
dropped: the sets of levels that had one are *minimal* on these lists (Wang et al. 2022).

Where two edges can stand in for each other, one is dropped and the other stays: a set that keeps
the answer is then not the only one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from interp.edges import CircuitEdge
from interp.methods.circuit_run import Graph, GraphRun
from interp.methods.circuit_scores import Group
from interp.support.progress import SILENT, Progress

_FIRST_BLOCK = 64  # edges that are tried at once to begin with
_PATIENCE = 12  # single edges in a row that may fail before a looser level is left to its last pass


@dataclass(frozen=True)
class Level:
    """A set of edges and the level that it was searched for."""

    keep: float
    """1 minus the largest error that was allowed."""
    edges: tuple[CircuitEdge, ...]
    error: float
    """On the lists that it was searched with."""


@dataclass(frozen=True)
class State:
    """A set of edges, and the runs in which all others carry the donors'."""

    kept: Float[Tensor, " edge"]
    runs: tuple[GraphRun, ...]
    off: Float[Tensor, "group part"]
    """Of :func:`deviations`."""


@torch.no_grad()
def circuit_runs(
    graph: Graph,
    groups: Sequence[Group],
    kept: Float[Tensor, " edge"],
    before: Sequence[GraphRun] | None = None,
    first: int = 0,
) -> tuple[GraphRun, ...]:
    """A pass over each group with all other edges patched.

    Args:
        before: such runs of a set that differs in no edge that chunks before ``first`` depend on.
    """
    return tuple(
        graph.run(
            group.lists,
            kept,
            group.corrupt,
            before=before[i] if before is not None else None,
            first=first,
        )
        for i, group in enumerate(groups)
    )


def deviations(group: Group, run: GraphRun) -> Float[Tensor, " part"]:
    """By how much margins are off, summed over telling rows, in logits."""
    off = (group.margin(run) - group.margin(group.clean)).abs()
    return torch.stack([off[rows].sum() for rows in group.parts]).cpu()


def gaps(groups: Sequence[Group]) -> Float[Tensor, "group part"]:
    """The whole of what could be lost, summed over telling rows, in logits."""
    return torch.stack(
        [torch.stack([group.gap[rows].sum() for rows in group.parts]) for group in groups]
    ).cpu()


def part_errors(groups: Sequence[Group], runs: Sequence[GraphRun]) -> Float[Tensor, " part"]:
    """The error of the first output and of later ones; 0 where no row tells anything."""
    off = torch.stack([deviations(g, run) for g, run in zip(groups, runs, strict=True)])
    return _share(off, gaps(groups))


def _share(
    off: Float[Tensor, "group part"], gap: Float[Tensor, "group part"]
) -> Float[Tensor, " part"]:
    total = gap.sum(0)
    return torch.where(total > 0, off.sum(0) / total, torch.zeros_like(total))


def search(
    graph: Graph,
    groups: Sequence[Group],
    scores: Float[Tensor, "part edge"],
    levels: Sequence[float],
    minimal: Sequence[float] = (),
    progress: Progress = SILENT,
) -> list[Level]:
    """Sets of edges at each level, each one part of the one before.

    Args:
        scores: expected effects, in logits (:func:`interp.methods.circuit_scores.attribute`).
        levels: from the strictest to the loosest.
        minimal: the levels that get a last pass over single edges.
    """
    finder = _Finder(graph, groups, _expected_costs(groups, scores), progress)
    found = []
    for number, keep in enumerate(levels):
        finder.eliminate(1 - keep, patience=None if number == 0 else _PATIENCE)
        while keep in minimal and finder.each_alone(1 - keep):
            pass
        edges = tuple(graph.chosen(finder.state.kept))
        found.append(Level(keep, edges, float(_share(finder.state.off, finder.gaps).max())))
    return found


def _expected_costs(
    groups: Sequence[Group], scores: Float[Tensor, "part edge"]
) -> Float[Tensor, " edge"]:
    """Attribution as a share of the gap, of the part where it is larger."""
    rows = torch.stack([group.parts.sum((1, 2)) for group in groups]).sum(0).cpu()
    total = gaps(groups).sum(0)
    per_row = torch.where(total > 0, rows / total, torch.zeros_like(total))
    return (scores.cpu().abs() * per_row[:, None]).amax(0)


class _Finder:
    """A set that shrinks."""

    def __init__(
        self,
        graph: Graph,
        groups: Sequence[Group],
        costs: Float[Tensor, " edge"],
        progress: Progress,
    ) -> None:
        self.graph, self.groups, self.progress = graph, groups, progress
        self.costs = costs.clone()
        kept = torch.ones(len(graph.edges), device=costs.device)
        self.gaps = gaps(groups)
        self.state = State(kept, tuple(group.clean for group in groups), 0 * self.gaps)

    def eliminate(self, allowed: float, patience: int | None) -> None:
        """Drop blocks of edges, the least costly first, while the error is within bounds."""
        kept = self.state.kept.nonzero()[:, 0].tolist()
        todo = sorted(kept, key=lambda i: float(self.costs[i]))
        size, failed = _FIRST_BLOCK, 0
        while todo and (patience is None or failed < patience):
            block = todo[:size]
            if self._drop(block, allowed):
                todo, size, failed = todo[len(block) :], 2 * size, 0
            elif len(block) > 1:
                size = len(block) // 2
            else:
                todo, failed = todo[1:], failed + 1

    def each_alone(self, allowed: float) -> int:
        """Try every edge by itself, the least costly first; how many could be dropped."""
        kept = self.state.kept.nonzero()[:, 0].tolist()
        ordered = sorted(kept, key=lambda i: float(self.costs[i]))
        return sum(self._drop([i], allowed) for i in ordered)

    def _drop(self, block: Sequence[int], allowed: float) -> bool:
        """Leave edges out, if the error then is within bounds; whether it was."""
        kept = self.state.kept.clone()
        kept[list(block)] = 0.0
        first, bound = self.graph.first_chunk(block), allowed * self.gaps.sum(0)
        runs: list[GraphRun] = []
        off = torch.zeros_like(self.gaps)
        for i, (group, before) in enumerate(zip(self.groups, self.state.runs, strict=True)):
            runs += circuit_runs(self.graph, [group], kept, [before], first)
            off[i] = deviations(group, runs[-1])
            if (off.sum(0) > bound).any():
                break  # errors only add up: what other lists say can change nothing
        self.progress.step()
        if len(block) == 1:
            n = len(runs)
            new, old = (_share(x[:n], self.gaps[:n]) for x in (off, self.state.off))
            self.costs[block[0]] = float((new - old).max())
        if (off.sum(0) > bound).any():
            return False
        self.state = State(kept, tuple(runs), off)
        return True
