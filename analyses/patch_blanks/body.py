"""Patches every site at every position and place, and every head at every place, both ways."""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float

from analyses.minimal_pairs import (
    DIRECTIONS,
    HEAD_PLACES,
    PLACES,
    Swap,
    choose_pairs,
    place_masks,
)
from analyses.patch_blanks import PatchConfig
from analyses.patch_blanks.figure import figure
from analyses.patch_blanks.result import PatchResult
from analyses.patch_blanks.words import summary, to_json, verdicts
from interp.answers.pairs import Pairs
from interp.methods.patching import patched_logits, record
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
    masks = masks.to(swap.rows.device)

    def effect(site: Site, direction: int) -> Float[torch.Tensor, "pair place"]:
        base, donor = swap.base(direction), swap.donor(direction)
        logits = patched_logits(swap.model, site, base, donor, masks, swap.rows, progress)
        return swap.share(direction, logits)

    both = range(len(DIRECTIONS))
    return torch.stack([torch.stack([effect(s, d) for s in sites], 1) for d in both]).cpu()
