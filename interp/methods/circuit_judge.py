"""How well a set of edges does on lists that it was not searched with.

    judged = judge(graph, groups, graph.keep(edges))    # all other edges carry the donors' runs
    judged.faithfulness(0), judged.outputs_kept, judged.lists_kept

*Faithfulness*: the share of the margin's gap between donor and list that the set brings back, on
the mean over a list's telling rows and then over lists: 1 is the model, 0 the donor's run. With
signs, as is usual (Wang et al. 2022; Hanna et al. 2024); the error that the search bounds
(``circuit_search``) is without. *Completeness* asks the same of the model without the circuit,
which should be left with nothing, and of both without the same edges: if the circuit has all that
matters, it and the whole model lose the same (Wang et al. 2022). *Minimality*: what each edge
brings.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn import functional as F

from interp.edges import CircuitEdge
from interp.methods.circuit_run import Graph, GraphRun
from interp.methods.circuit_scores import Group
from interp.methods.circuit_search import circuit_runs
from interp.stats import Estimate, bootstrap_mean, clustered_rate, wilson
from interp.support.progress import SILENT, Progress
from interp.support.seeds import stream


@dataclass(frozen=True)
class Judged:
    """What is left of the answers of some lists."""

    shares: Float[Tensor, "list part"]
    """Faithfulness of the first output and of later ones; NaN where a list has no telling row."""
    same: Bool[Tensor, "list row"]
    """Outputs that stay what the model says of the list."""
    telling: Bool[Tensor, "list row"]
    real: Bool[Tensor, "list row"]
    """Rows that the list has."""
    seed: int

    def faithfulness(self, part: int) -> Estimate | None:
        """The mean over lists, with a bootstrap; None where no list tells anything."""
        shares = self.shares[:, part]
        shares = shares[~shares.isnan()]
        return bootstrap_mean(shares, self.seed) if len(shares) else None

    @property
    def outputs_kept(self) -> Estimate | None:
        """The share of telling outputs that stay, with a bootstrap over lists."""
        if not self.telling.any():
            return None
        some = self.telling.any(1)
        return clustered_rate(self.same[some], self.telling[some], self.seed)

    @property
    def lists_kept(self) -> Estimate:
        """The share of lists all of whose outputs stay, with a Wilson interval."""
        whole = (self.same | ~self.real).all(1)
        return wilson(int(whole.sum()), len(whole))


def judge(graph: Graph, groups: Sequence[Group], kept: Float[Tensor, " edge"], seed: int) -> Judged:
    """Run the lists with all but some edges patched."""
    return judged_runs(graph, groups, circuit_runs(graph, groups, kept), seed)


def judged_runs(
    graph: Graph, groups: Sequence[Group], runs: Sequence[GraphRun], seed: int
) -> Judged:
    """The same of runs that were made."""
    longest = graph.config.task.n_outputs()

    def padded(rows: Tensor) -> Tensor:
        return F.pad(rows, (0, longest - rows.shape[1]))

    same = [run.logits.argmax(-1) == g.answers for g, run in zip(groups, runs, strict=True)]
    return Judged(
        list_shares(groups, runs).cpu(),
        torch.cat([padded(rows) for rows in same]).cpu(),
        torch.cat([padded(group.telling) for group in groups]).cpu(),
        torch.cat([padded(torch.ones_like(group.telling)) for group in groups]).cpu(),
        seed,
    )


def list_shares(groups: Sequence[Group], runs: Sequence[GraphRun]) -> Float[Tensor, "list part"]:
    """Of each list, the share of the gap that is there; NaN where no row tells anything."""
    shares = []
    for group, run in zip(groups, runs, strict=True):
        brought = group.margin(run) - group.margin(group.corrupt)
        each = [(brought * rows).sum(1) / (group.gap * rows).sum(1) for rows in group.parts]
        shares.append(torch.stack(each, 1))
    return torch.cat(shares)


def edge_effects(
    graph: Graph,
    groups: Sequence[Group],
    edges: Sequence[CircuitEdge],
    progress: Progress = SILENT,
) -> Float[Tensor, "edge list part"]:
    """Minimality: by how much faithfulness falls when an edge alone is taken out of the set."""
    kept = graph.keep(edges)
    runs = circuit_runs(graph, groups, kept)
    whole, effects = list_shares(groups, runs), []
    for edge in edges:
        i = graph.index[edge]
        without = kept.clone()
        without[i] = 0.0
        left = circuit_runs(graph, groups, without, runs, graph.first_chunk([i]))
        effects.append((whole - list_shares(groups, left)).cpu())
        progress.step()
    none = whole.new_zeros(0, *whole.shape).cpu()
    return torch.stack(effects) if effects else none


def knockouts(
    graph: Graph, groups: Sequence[Group], edges: Sequence[CircuitEdge], draws: int, seed: int
) -> Float[Tensor, "draw 2 part"]:
    """Completeness: faithfulness of the circuit and of the model, each without half of the circuit.

    Each draw is another random half.
    """
    kept, generator = graph.keep(edges), stream("knockouts", seed)
    everything, found = torch.ones_like(kept), []
    members = kept.nonzero()[:, 0].cpu()
    for _ in range(draws):
        half = members[torch.randperm(len(members), generator=generator)[: len(members) // 2]]
        both = []
        for whole in (kept, everything):
            without = whole.clone()
            without[half.to(kept.device)] = 0.0
            both.append(list_shares(groups, circuit_runs(graph, groups, without)).nanmean(0))
        found.append(torch.stack(both))
    return torch.stack(found).cpu()


def random_sets(graph: Graph, n_edges: int, draws: int, seed: int) -> list[Float[Tensor, " edge"]]:
    """Controls: as many edges, at random."""
    generator, kept = stream("random circuits", seed), []
    for _ in range(draws):
        chosen = torch.zeros(len(graph.edges))
        chosen[torch.randperm(len(graph.edges), generator=generator)[:n_edges]] = 1.0
        kept.append(chosen.to(graph.model.W_U.device))
    return kept
