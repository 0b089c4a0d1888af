"""Patches every site at every position and place, and every head at every place, both ways."""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float

from analyses.experiment.minimal_pairs import (
    HEAD_PLACES,
    PLACES,
    choose_pairs,
    place_masks,
)
from analyses.patch_blanks import PatchConfig
from analyses.patch_blanks.figure import figure
from analyses.patch_blanks.result import PatchResult
from analyses.patch_blanks.words import summary, to_json, verdicts
from interp.answers.pairs import Pairs
from interp.methods.pair_runs import DIRECTIONS, PairRuns, both_ways
from interp.methods.patching import patched_logits
from interp.passes.packed import Window
from interp.sites import Component, Site, all_sites, head_sites
from interp.support.progress import SILENT, Progress
from interp.transformer import Transformer

__all__ = ["compute", "figure", "summary", "to_json", "verdicts"]  # see analyses.experiment

PER_HEAD = (Component.Z, Component.Q, Component.K, Component.V)


def compute(
    model: Transformer,
    settings: PatchConfig,
    seed: int,
    progress: Progress,
) -> PatchResult:
    """Patch random pairs, or the pair that is asked for; see :func:`patch_pairs`."""
    return patch_pairs(model, choose_pairs(model.task, settings, seed), seed, progress)


def patch_pairs(
    model: Transformer, pairs: Pairs, seed: int = 0, progress: Progress = SILENT
) -> PatchResult:
    """Patch every site at every position and place, and every head at every place, both ways.

    Args:
        seed: of the bootstrap intervals of the result.
        progress: a step is one patched run.
    """
    config, view = model.config, Window(model.task, pairs.length, model.task.first_output_row)
    size, n_pairs = view.stop - view.start, len(pairs)
    single = torch.eye(size, dtype=torch.bool).expand(n_pairs, size, size)
    joint = place_masks(pairs)[..., view.start : view.stop]
    everywhere = torch.ones(n_pairs, 1, size, dtype=torch.bool)
    sites = all_sites(config.n_layers)
    heads = [h for part in PER_HEAD for h in head_sites(config.n_layers, config.n_heads, part)]
    steps = len(sites) * (size + len(PLACES)) + len(heads) * len(HEAD_PLACES)
    progress.begin(len(DIRECTIONS) * n_pairs * steps, "patching")
    both = both_ways(model, pairs)
    by_site = _effects(both, sites, torch.cat([single, joint], 1), progress)
    by_head = _effects(both, heads, torch.cat([joint, everywhere], 1), progress)
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
        both[0].metrics.cpu(),
        seed,
    )


def _effects(
    both: tuple[PairRuns, PairRuns],
    sites: list[Site],
    masks: Bool[torch.Tensor, "pair place here"],
    progress: Progress,
) -> Float[torch.Tensor, "direction pair site place"]:
    """What each site carries at each of the places, in both directions."""
    masks = masks.to(both[0].rows.device)

    def effect(runs: PairRuns, site: Site) -> Float[torch.Tensor, "pair place"]:
        logits = patched_logits(runs.model, site, runs.base, runs.donor, masks, runs.rows, progress)
        return runs.share(logits)

    return torch.stack([torch.stack([effect(r, s) for s in sites], 1) for r in both]).cpu()
