"""Patches every route from the list to the answer, and every path through the blanks."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import torch
from jaxtyping import Float

from analyses.experiment.minimal_pairs import (
    PLACES,
    choose_pairs,
    place_masks,
)
from analyses.path_blanks import PathConfig
from analyses.path_blanks.figure import figure
from analyses.path_blanks.result import IMPOSSIBLE, ROUTES, PathResult
from analyses.path_blanks.sites import impossible_sites, readers_of, writers_of
from analyses.path_blanks.words import summary, to_json, verdicts
from interp.interventions import Intervention, Patch, Transplant, edits_of
from interp.methods.pair_runs import DIRECTIONS, PairRuns, both_ways
from interp.methods.paths import Where, after_receivers, direct_effect, record_run
from interp.passes.forward import forward
from interp.passes.packed import Window
from interp.sites import Component, Site
from interp.support.progress import Progress
from interp.transformer import Transformer

__all__ = ["compute", "figure", "summary", "to_json", "verdicts"]  # see analyses.experiment


def compute(model: Transformer, settings: PathConfig, seed: int, progress: Progress) -> PathResult:
    """Patch every route of random pairs, or of the pair that ``settings`` asks for, both ways."""
    pairs = choose_pairs(model.task, settings, seed)

    def runs(first_row: int) -> tuple[PairRuns, PairRuns]:
        view = Window(model.task, pairs.length, first_row)
        return both_ways(model, pairs, partial(record_run, model, view=view))

    # In the last layer only rows that emit digits are run, but to see that the others do nothing.
    answers, whole = runs(model.task.first_output_row), runs(model.task.max_len - pairs.length)
    writers, readers = writers_of(model), readers_of(model)
    steps = len(ROUTES) + len(IMPOSSIBLE) + len(writers) * (1 + len(readers))
    progress.begin(len(DIRECTIONS) * steps, "path patching")
    return PathResult(
        pairs,
        model.cfg.n_layers,
        torch.stack([_routes(each, progress) for each in answers]).cpu(),
        torch.stack([_impossible(each, progress) for each in whole]).cpu(),
        tuple(_altered(whole[0], sites) for sites in impossible_sites(model).values()),
        list(writers),
        list(readers),
        torch.stack([_paths(each, writers, readers, progress) for each in answers]).cpu(),
        answers[0].metrics.cpu(),
        seed,
    )


def _intervened(
    runs: PairRuns, interventions: Sequence[Intervention], restart: bool = True
) -> Float[torch.Tensor, " pair"]:
    """The effect of interventions on the base.

    Args:
        restart: compute from the first change on only. Rounding then differs from the base's.
    """
    base, edits = runs.base, edits_of(runs.model, interventions)
    kept = base if restart else None
    with torch.no_grad():
        run = forward(runs.model, runs.tokens, base.view, edits, base=kept) if edits else base
    return runs.share(runs.at_rows(run.logits))


def _routes(runs: PairRuns, progress: Progress) -> Float[torch.Tensor, "pair route"]:
    """Of ``ROUTES``: keys and values of their places, or the stream of the row itself."""
    donor, places = runs.donor, place_masks(runs.pairs).to(runs.rows.device)
    later = tuple(range(1, runs.model.cfg.n_layers))
    window = range(donor.view.start, donor.view.stop)
    # What the row is after layer 0; with one layer that is the end.
    own = Patch(Site(Component.RESID_PRE, 1) if later else Site(Component.RESID_POST, 0), donor)
    effects = []
    for name, passes in ROUTES.items():
        chosen = places[:, [PLACES.index(place) for place in passes]].any(1)
        read = own if name == "answer row" else Transplant(donor, window, later)
        effect = _intervened(runs, [Where(read, chosen)])
        effects.append(effect.masked_fill(~chosen.any(1), torch.nan))
        progress.step()
    return torch.stack(effects, 1)


def _impossible(runs: PairRuns, progress: Progress) -> Float[torch.Tensor, "pair impossible"]:
    """Of ``IMPOSSIBLE``."""
    effects = []
    for sites in impossible_sites(runs.model).values():
        patches = [Patch(site, runs.donor) for site in sites]
        effects.append(_intervened(runs, patches, restart=False))
        progress.step()
    return torch.stack(effects, 1)


def _altered(runs: PairRuns, sites: Sequence[Site]) -> float:
    """By how much the two runs differ there, at most."""
    gaps = []
    for site in sites:
        change = runs.change((site.component, site.layer))
        chosen = site.mask(change, runs.base.frame(site.component, site.layer))
        gaps.append(change.abs().masked_fill(~chosen, 0.0).max())
    return float(torch.stack(gaps).max())


def _paths(
    runs: PairRuns,
    writers: dict[str, list[Site]],
    readers: dict[str, list[Site]],
    progress: Progress,
) -> Float[torch.Tensor, "pair writer reader"]:
    """From each writer to each reader, through what the blanks hold."""
    base, tokens = runs.base, runs.tokens
    keep = {(site.component, site.layer) for sites in readers.values() for site in sites}
    effects = base.logits.new_full((len(tokens), len(writers), len(readers)), torch.nan)
    for i, sends in enumerate(writers.values()):
        direct = direct_effect(runs.model, tokens, base, runs.donor, sends, keep)
        progress.step()
        for j, reads in enumerate(readers.values()):
            if min(site.layer for site in sends) < max(site.layer for site in reads):
                logits = after_receivers(runs.model, tokens, base, direct, reads)
                effects[:, i, j] = runs.share(runs.at_rows(logits))
            progress.step()
    return effects
