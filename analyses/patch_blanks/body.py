"""Activation patching between two lists that differ in one digit: where does the answer come from?

    python -m analyses.patch_blanks
    python -m analyses.patch_blanks --model no-blanks
    python -m analyses.patch_blanks --list 3,1,4,1,5 --corrupt 3,1,4,1,9

The clean list 3 1 4 1 5 sorts to 1 1 3 4 5, the corrupted 3 1 4 1 9 to 1 1 3 4 9. Both are given
the outputs they share (1 1 3 4), so the two inputs differ in one digit of the list only, and the
model is asked for the first output in which the answers differ: here ``out 3`` emits 5 or 9. The
*logit difference* of those two digits says which answer the model gives. Then one place at a time
is exchanged between the two runs, in both directions:

- denoising, clean into corrupted: 1 means the place alone brings the clean answer back;
- noising, corrupted into clean: 1 means that without the clean values there the answer is lost.

Swept are the residual stream, what attention and MLP add to it, at every position and at whole
places, and the output, queries, keys and values of every single head, at whole places. Effects are
normalised by the difference between the runs, per pair of lists, then averaged; intervals are
bootstraps over pairs.

What it does not show: a place with no effect by itself may still matter together with others, and
one that matters may only pass on what was computed before.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from jaxtyping import Bool, Float

from analyses.common import Analysis, CommonArgs, run_analysis
from analyses.minimal_pairs import (
    DIRECTIONS,
    HEAD_PLACES,
    PLACES,
    PairConfig,
    Swap,
    choose_pairs,
    place_masks,
    understood,
)
from analyses.patch_blanks import words as patch_words
from interp.sites import Component, Site, all_sites, head_sites
from interp.support.lazy import lazy_import
from interp.support.progress import SILENT, Progress

if TYPE_CHECKING:
    import plotly.graph_objects as go
    import torch

    from interp.answers.pairs import Pairs
    from interp.model import SortTransformer
    from interp.stats import Estimate
else:
    torch = lazy_import("torch")

PER_HEAD = (Component.Z, Component.Q, Component.K, Component.V)


@dataclass(frozen=True)
class PatchConfig(PairConfig):
    """How many pairs of lists, and which."""


@dataclass(frozen=True)
class PatchResult:
    """Effects per example: 1 is the whole difference between the two runs, 0 none of it."""

    pairs: Pairs
    sites: list[Site]
    positions: list[int]
    """Absolute positions of ``by_position``."""
    by_position: Float[torch.Tensor, "direction pair site position"]
    by_place: Float[torch.Tensor, "direction pair site place"]
    """NaN where a pair has no such place."""
    heads: list[Site]
    """Output, queries, keys and values of every head."""
    by_head: Float[torch.Tensor, "direction pair head_site head_place"]
    """At ``HEAD_PLACES``; NaN where a pair has no such place."""
    difference: Float[torch.Tensor, "pair 2"]
    """Logit of the clean answer minus the corrupted one's, in the clean and the corrupted run."""
    seed: int

    @property
    def understood(self) -> Bool[torch.Tensor, " pair"]:
        """Pairs of which the model gets both answers right; only these are averaged."""
        return understood(self.difference)

    def place_estimate(self, direction: int, site: int, place: int) -> Estimate | None:
        """Mean effect over understood pairs that have the place, with its interval."""
        return self._place_estimates[direction][site][place]

    def head_estimate(self, direction: int, site: int, place: int) -> Estimate | None:
        """The same of a head's site, at one of ``HEAD_PLACES``."""
        return self._head_estimates[direction][site][place]

    @cached_property
    def _place_estimates(self) -> list[list[list[Estimate | None]]]:
        return _estimates(self.by_place[:, self.understood], self.seed)

    @cached_property
    def _head_estimates(self) -> list[list[list[Estimate | None]]]:
        return _estimates(self.by_head[:, self.understood], self.seed)


def _estimates(
    effects: Float[torch.Tensor, "direction pair site place"], seed: int
) -> list[list[list[Estimate | None]]]:
    """[direction][site][place]; None where no pair has the place."""
    from interp.stats import bootstrap_mean

    def estimate(values: torch.Tensor) -> Estimate | None:
        values = values[~values.isnan()]
        return bootstrap_mean(values, seed) if len(values) else None

    return [[[estimate(place) for place in site.T] for site in d.unbind(1)] for d in effects]


def compute(
    model: SortTransformer,
    config: PatchConfig = PatchConfig(),
    seed: int = 0,
    progress: Progress = SILENT,
) -> PatchResult:
    """Patch random pairs, or the pair that ``config`` asks for; see :func:`patch_pairs`."""
    return patch_pairs(model, choose_pairs(model.task, config, seed), seed, progress)


def patch_pairs(
    model: SortTransformer, pairs: Pairs, seed: int = 0, progress: Progress = SILENT
) -> PatchResult:
    """Patch every site at every position and place, and every head at every place, both ways.

    Args:
        seed: of the bootstrap intervals of the result.
        progress: a step is one patched run.
    """
    from interp.methods.patching import record
    from interp.passes.packed import Window

    config, view = model.config, Window(model.task, pairs.length, model.task.first_output_row)
    size, n_pairs = view.stop - view.start, len(pairs)
    single = torch.eye(size, dtype=torch.bool).expand(n_pairs, size, size)
    joint = place_masks(pairs)[..., view.start : view.stop]
    everywhere = torch.ones(n_pairs, 1, size, dtype=torch.bool)
    sites = all_sites(config.n_layers)
    heads = [h for part in PER_HEAD for h in head_sites(config.n_layers, config.n_heads, part)]
    steps = len(sites) * (size + len(PLACES)) + len(heads) * len(HEAD_PLACES)
    progress.begin(len(DIRECTIONS) * n_pairs * steps, "patching")
    swap = Swap.of(model, pairs, lambda tokens: record(model, tokens, view))
    by_site = _effects(swap, sites, torch.cat([single, joint], 1), progress)
    by_head = _effects(swap, heads, torch.cat([joint, everywhere], 1), progress)
    absent = ~joint.any(-1)[None, :, None]  # [1, pair, 1, place]
    by_head[..., : len(PLACES)].masked_fill_(absent, torch.nan)
    return PatchResult(
        pairs,
        sites,
        list(range(view.start, view.stop)),
        by_site[..., :size],
        by_site[..., size:].masked_fill(absent, torch.nan),
        heads,
        by_head,
        swap.differences.cpu(),
        seed,
    )


def _effects(
    swap: Swap,
    sites: list[Site],
    masks: Bool[torch.Tensor, "pair place here"],
    progress: Progress,
) -> Float[torch.Tensor, "direction pair site place"]:
    """What each site carries at each of the places, in both directions."""
    from interp.methods.patching import patched_logits

    masks = masks.to(swap.rows.device)

    def effect(site: Site, direction: int) -> Float[torch.Tensor, "pair place"]:
        base, donor = swap.base(direction), swap.donor(direction)
        logits = patched_logits(swap.model, site, base, donor, masks, swap.rows, progress)
        return swap.share(direction, logits)

    both = range(len(DIRECTIONS))
    return torch.stack([torch.stack([effect(s, d) for s in sites], 1) for d in both]).cpu()


# -- command line -------------------------------------------------------------------------------


summary, verdicts, to_json = patch_words.summary, patch_words.verdicts, patch_words.to_json


def figure(result: PatchResult) -> go.Figure:
    """See :func:`analyses.patch_blanks.figure.figure`."""
    from analyses.patch_blanks import figure as patch_figure

    return patch_figure.figure(result)


ANALYSIS = Analysis(
    name="patch_blanks",
    title="Activation patching",
    config=PatchConfig(),
    compute=compute,
    figure=figure,
    summary=summary,
    to_json=to_json,
    needs_blanks=False,
)


@dataclass(frozen=True)
class PatchArgs(CommonArgs):
    """Activation patching between pairs of lists that differ in one digit."""

    config: PatchConfig = PatchConfig()


def main(argv: Sequence[str] | None = None) -> None:
    run_analysis(ANALYSIS, PatchArgs, argv)


if __name__ == "__main__":
    main()
