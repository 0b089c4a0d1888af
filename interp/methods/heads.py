"""Taking heads away, one or several at a time, and what that costs.

    outputs = HeadOutputs(donors_for(model, batch, seed), n_reference=32, seed=seed)
    trials = run_trials(model, batch, {
        AS_IT_IS: nothing,
        "resample: 1.2": partial(outputs.ablate, "resample", [(1, 2)]),     # layer 1, head 2
    })
    log_prob_lost(trials, "resample: 1.2")      # [list], nats

What a head writes (``Component.Z``) is replaced at all positions: by that of another list of the
same length (``resample``), by the mean over other lists, position by position (``mean``), by zeros
(``zero``), or, as a control that must change nothing, by itself (``own``). What each kind can
mislead about stands in ``analyses.heads.head_finder``.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from jaxtyping import Float
from torch import Tensor

from interp.answers.kinds import HEAD_KINDS, Kind
from interp.answers.trials import AS_IT_IS, Chunk, Trials
from interp.interventions import Intervention, Mean, Patch, Zero
from interp.methods.attention import AttentionStats, head_scores
from interp.passes.forward import Run, forward
from interp.passes.packed import window
from interp.sites import Component, Site
from interp.stats import Estimate, bootstrap_mean
from interp.support.errors import UserError
from interp.support.seeds import stream
from interp.task import SortBatch

if TYPE_CHECKING:
    from interp.transformer import Transformer

Head = tuple[int, int]
"""(layer, head)"""
OWN = "own"
"""The control: what a head writes, replaced by itself."""
KINDS: tuple[str, ...] = (*HEAD_KINDS, OWN)


class HeadOutputs:
    """What heads write for the lists of a chunk, for their donors, and for reference lists."""

    def __init__(self, donors: SortBatch, n_reference: int, seed: int) -> None:
        """
        Args:
            donors: for ``resample``: other lists of the same lengths as the whole batch, list by
                list.
            n_reference: for ``mean``: how many random lists of each length.
        """
        self.donors, self.n_reference, self.seed = donors, n_reference, seed
        self._chunk: Chunk | None = None
        self._runs: dict[str, Run] = {}

    def ablate(self, kind: str, heads: Sequence[Head], chunk: Chunk) -> list[Intervention]:
        """The interventions that ablate ``heads``, all of them by the same other lists.

        Raises:
            UserError: for a kind that is not in ``KINDS``.
        """
        if kind not in KINDS:
            raise UserError(f"heads are ablated by {', '.join(KINDS)}, not by {kind!r}")
        sites = [Site(Component.Z, layer, heads=(head,)) for layer, head in heads]
        if kind == Kind.ZERO:
            return [Zero(site) for site in sites]
        run = self._run(kind, chunk)
        return [Mean(site, run) if kind == Kind.MEAN else Patch(site, run) for site in sites]

    def _run(self, kind: str, chunk: Chunk) -> Run:
        if chunk is not self._chunk:  # a chunk's conditions come one after the other
            self._chunk, self._runs = chunk, {}
        if kind not in self._runs:
            self._runs[kind] = _record(chunk.model, self._lists(kind, chunk))
        return self._runs[kind]

    def _lists(self, kind: str, chunk: Chunk) -> SortBatch:
        if kind != Kind.MEAN:
            return chunk.batch if kind == OWN else self.donors[chunk.index]
        generator = stream("reference", self.seed, chunk.length)
        lengths = torch.full((self.n_reference,), chunk.length)
        lists = chunk.model.task.sample(self.n_reference, generator, lengths)
        return lists.to(chunk.batch.tokens.device)


def _record(model: Transformer, batch: SortBatch) -> Run:
    places = [(Component.Z, layer) for layer in range(model.cfg.n_layers)]
    return forward(model, batch.tokens, window(model.task, batch, digits_only=True), keep=places)


def log_prob_lost(trials: Trials, name: str) -> Float[Tensor, " list"]:
    """Log-probability of the right digits lost under a condition: nats, mean over the outputs."""
    before, after = (trials.log_prob[trials.names.index(n)] for n in (AS_IT_IS, name))
    return (before - after).sum(1) / trials.scored.sum(1)


def exact_lost(trials: Trials, name: str) -> Estimate:
    """Share of the lists that a condition makes wrong, less the share that it makes right."""
    change = trials.exact(AS_IT_IS).float() - trials.exact(name).float()
    found = bootstrap_mean(change, trials.seed)
    if change.any():
        return found
    slack = min(1.0, 3 / found.n)  # the rule of three: what n lists without a change can tell
    return Estimate(0.0, -slack, slack, found.n)


def pattern_ranks(stats: AttentionStats) -> dict[str, list[tuple[Head, float]]]:
    """For each score of ``head_scores``: heads and their means, the most conspicuous first."""
    ranks = {}
    for name, values in head_scores(stats).items():
        means = [(head, float(values[:, *head].nanmean())) for head in stats.heads]
        known = [(head, mean) for head, mean in means if mean == mean]  # no NaN
        ranks[name] = sorted(known, key=lambda pair: -pair[1])
    return {name: heads for name, heads in ranks.items() if heads}
