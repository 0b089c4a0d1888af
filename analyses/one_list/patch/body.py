"""Patches one place at one position at a time between two lists, or guesses what that would do."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch

from analyses.one_list.patch import Direction, Method, PatchSettings, Rows
from analyses.one_list.patch.figure import figure
from analyses.one_list.patch.result import PatchMap, map_sites
from analyses.one_list.patch.words import rows, summary
from analyses.one_list.subject import ListSubject
from interp.answers.pairs import make_pairs
from interp.methods.attribution_patching import (
    attributed_effects,
    exact_effects,
    possible_effects,
)
from interp.methods.pair_runs import PairRuns, pair_runs
from interp.methods.patching import patched_logits
from interp.sites import Site
from interp.support.errors import UserError
from interp.support.progress import SILENT, Progress
from interp.task import SortTask
from interp.transformer import Transformer

__all__ = ["compute", "figure", "rows", "summary", "to_json"]  # see analyses.experiment


def compute(
    subject: ListSubject, settings: PatchSettings, seed: int, progress: Progress
) -> PatchMap:
    """The map that the settings ask for.

    Raises:
        UserError: if the lists cannot be compared, or something else is done to the model.
    """
    if subject.treatment:
        raise UserError("patching is what is done here, to the model as it is; leave out --do")
    task, digits = subject.model.task, subject.digits
    corrupt = task.parse(settings.corrupt) if settings.corrupt else one_digit_changed(task, digits)
    runs = both_runs(subject.model, digits, corrupt, settings.direction)
    return patch_map(runs, settings.rows, settings.method, progress)


def to_json(found: PatchMap) -> dict[str, Any]:
    """The result as data."""
    return {"rows": rows(found)}


def one_digit_changed(task: SortTask, digits: tuple[int, ...]) -> tuple[int, ...]:
    """The list with another last digit, where that changes the answer: a pair to compare it with.

    Where none does, another digit is changed.

    Raises:
        UserError: if no digit changes the answer.
    """
    n = task.n_symbols
    for at in reversed(range(len(digits))):
        for shift in (n // 2, *range(1, n)):
            other = (*digits[:at], (digits[at] + shift) % n, *digits[at + 1 :])
            if task.answer(other) != task.answer(digits):
                return other
    raise UserError("no other digit changes the answer to this list: give --corrupt")


def both_runs(
    model: Transformer,
    clean: tuple[int, ...],
    corrupt: tuple[int, ...],
    direction: Direction = "denoising",
) -> PairRuns:
    """The two runs, given the outputs that their answers share.

    Raises:
        UserError: if the two lists cannot be compared.
    """
    return pair_runs(model, make_pairs(model.task, [clean], [corrupt]), direction)


def patch_map(
    runs: PairRuns, rows: Rows, method: Method = "exact", progress: Progress = SILENT
) -> PatchMap:
    """The whole map.

    Args:
        runs: of :func:`both_runs`.
        progress: a step is one patched run.
    """
    sites, view = map_sites(runs.model.config, rows), runs.view
    positions = range(view.start, int(runs.pairs.rows[0]) + 1)
    if method == "exact":
        progress.begin(len(sites) * (view.stop - view.start), "patching")
        effects = exact_effects(runs, sites, progress)
    else:
        effects = attributed_effects(runs, sites, method)
    shown = slice(len(positions))
    ends = [float(runs.metric(run)[0]) for run in (runs.base, runs.donor)]
    corrupted, clean = ends if runs.direction == "denoising" else ends[::-1]
    return PatchMap(
        pairs=runs.pairs,
        direction=runs.direction,
        method=method,
        sites=sites,
        positions=positions,
        effects=effects[0, :, shown].cpu(),
        possible=possible_effects(runs, sites)[0, :, shown].cpu(),
        difference=(clean, corrupted),
    )


def one_patch(runs: PairRuns, site: Site, position: int) -> float:
    """The logit difference under one patch, in logits."""
    size = runs.view.stop - runs.view.start
    place = torch.arange(size, device=runs.rows.device) == position - runs.view.start
    logits = patched_logits(
        runs.model, replace(site, positions=None), runs.base, runs.donor, place[None, None],
        runs.rows,
    )  # fmt: skip
    return float(runs.difference(logits)[0, 0])
