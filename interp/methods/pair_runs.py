"""Clean and corrupted runs of minimal pairs, between which activations are exchanged.

    runs = pair_runs(model, pairs, "denoising")     # clean activations into the corrupted run
    runs.share(logits)                              # 1: all of the way from base to donor
    denoising, noising = both_ways(model, pairs)

The *metric* is the logit of the clean answer minus that of the corrupted one, at the row of each
pair where the two answers part; see :mod:`interp.answers.pairs`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property, partial
from typing import Literal, get_args

import torch
from jaxtyping import Float, Int
from torch import Tensor

from interp.answers.pairs import Pairs
from interp.methods.patching import logits_at, record
from interp.passes.forward import Place, Run
from interp.passes.packed import Window
from interp.transformer import Transformer

Direction = Literal["denoising", "noising"]
"""``denoising``: clean activations into the corrupted run. ``noising``: the other way round."""
DIRECTIONS: tuple[Direction, ...] = get_args(Direction)
Recorder = Callable[[Int[Tensor, "pair pos"]], Run]
"""Runs lists, and keeps what will be exchanged."""


def logit_difference(
    logits: Float[Tensor, "pair ... d_vocab_out"], answers: Int[Tensor, "pair 2"]
) -> Float[Tensor, "pair ..."]:
    """The logit of the clean answer minus that of the corrupted one."""
    index = answers.view(-1, *[1] * (logits.ndim - 2), 2).expand(*logits.shape[:-1], 2)
    picked = logits.gather(-1, index)
    return picked[..., 0] - picked[..., 1]


@dataclass(frozen=True)
class PairRuns:
    """Minimal pairs in one direction: the run that is changed, and the one that gives."""

    model: Transformer
    pairs: Pairs
    direction: Direction
    base: Run
    donor: Run

    @property
    def reversed(self) -> PairRuns:
        """The same runs, exchanged the other way round."""
        (other,) = (each for each in DIRECTIONS if each != self.direction)
        return replace(self, direction=other, base=self.donor, donor=self.base)

    @cached_property
    def tokens(self) -> Int[Tensor, "pair pos"]:
        """Of the base run."""
        own = self.pairs.corrupt if self.direction == "denoising" else self.pairs.clean
        return own.to(self.base.logits.device)

    @property
    def view(self) -> Window:
        """The lists' window, with the rows that emit digits."""
        return replace(self.base.view, first_row=self.pairs.task.first_output_row)

    @cached_property
    def rows(self) -> Int[Tensor, " pair"]:
        """The row of each pair that is read, counted from the window's start."""
        return (self.pairs.rows - self.base.view.start).to(self.base.logits.device)

    @cached_property
    def gap(self) -> Float[Tensor, " pair"]:
        """The metric of the donor run minus that of the base run: the whole effect, in logits."""
        return self.metric(self.donor) - self.metric(self.base)

    @property
    def metrics(self) -> Float[Tensor, "pair 2"]:
        """Of the clean run and of the corrupted one."""
        runs = (self.base, self.donor)
        clean, corrupt = runs[::-1] if self.direction == "denoising" else runs
        return torch.stack([self.metric(clean), self.metric(corrupt)], 1)

    def metric(self, run: Run) -> Float[Tensor, " pair"]:
        """Logit of the clean answer minus that of the corrupted one, where it is read."""
        return self.difference(logits_at(run, self.rows - (run.view.first_row - run.view.start)))

    def difference(
        self, logits: Float[Tensor, "pair ... d_vocab_out"]
    ) -> Float[Tensor, "pair ..."]:
        """The metric, of logits of the row that is read."""
        return logit_difference(logits, self.pairs.answers.to(logits.device))

    def share(self, logits: Float[Tensor, "pair ... d_vocab_out"]) -> Float[Tensor, "pair ..."]:
        """How far logits of the row that is read are from the base's towards the donor's."""
        found = self.difference(logits)
        base, gap = (
            each.view(-1, *[1] * (found.ndim - 1)) for each in (self.metric(self.base), self.gap)
        )
        return (found - base) / gap

    def at_rows(
        self, logits: Float[Tensor, "pair row d_vocab_out"]
    ) -> Float[Tensor, "pair d_vocab_out"]:
        """The row that is read, of logits at the rows that the base run has logits of."""
        here = self.rows - (self.base.view.first_row - self.base.view.start)
        return logits[torch.arange(len(logits), device=logits.device), here]

    def change(self, place: Place) -> Tensor:
        """Donor minus base, at every position of the window."""
        return self.donor.at(*place) - self.base.at(*place)


@torch.no_grad()
def pair_runs(
    model: Transformer, pairs: Pairs, direction: Direction, run: Recorder | None = None
) -> PairRuns:
    """Run both lists of every pair, on the model's device.

    Args:
        run: default: :func:`interp.methods.patching.record`, which keeps what patches exchange.
    """
    view = Window(pairs.task, pairs.length, pairs.task.first_output_row)
    run = run or partial(record, model, view=view)
    sides = [run(tokens.to(model.W_U.device)) for tokens in (pairs.corrupt, pairs.clean)]
    base, donor = sides if direction == "denoising" else sides[::-1]
    return PairRuns(model, pairs, direction, base, donor)


def both_ways(
    model: Transformer, pairs: Pairs, run: Recorder | None = None
) -> tuple[PairRuns, PairRuns]:
    """:func:`pair_runs` in both of ``DIRECTIONS``, of the same two runs."""
    denoising = pair_runs(model, pairs, "denoising", run)
    return denoising, denoising.reversed
