"""Measures every checkpoint of a run with LayerNorms that expect its dropout."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import torch

from analyses.experiment.given import own_or
from analyses.runs.variance_shift import ShiftSettings
from analyses.runs.variance_shift.figure import figure
from analyses.runs.variance_shift.result import (
    AS_IT_IS,
    EVERY_NORM,
    WITH_DROPOUT,
    Shift,
    ShiftResult,
)
from analyses.runs.variance_shift.words import rows, summary, to_json
from interp.answers.decode import score
from interp.checkpoints import checkpoint_step, load_bare, run_checkpoints
from interp.interventions import Intervention
from interp.layout import Region
from interp.methods.variance_shift import (
    READERS,
    AfterPart,
    ExpectDropout,
    norms_of,
    shrink,
)
from interp.passes.forward import forward
from interp.passes.packed import Dropout, window
from interp.sites import Component, Site
from interp.support.errors import UserError
from interp.support.progress import Progress
from interp.support.seeds import stream
from interp.task import SortBatch, SortTask
from interp.transformer import Transformer

__all__ = ["compute", "figure", "rows", "summary", "to_json"]  # see analyses.experiment

_FIRST = AfterPart(0, Component.MLP_OUT)
_AT_ONCE = 100  # lists whose streams are held


def compute(run: Path, settings: ShiftSettings, seed: int, progress: Progress) -> ShiftResult:
    """Every checkpoint of ``run``.

    Raises:
        UserError: as :func:`dropout_of`.
    """
    folders, p = run_checkpoints(run), dropout_of(run)
    first = load_bare(folders[0])
    ways = _ways(first.model, p)
    lists = own_or(first.model.task, lambda: first.model.task.held_out(settings.lists, seed))
    progress.begin(len(folders) * (len(ways) + 1), "measurements")
    shifts = tuple(_shift(folder, lists, ways, p, seed, progress) for folder in folders)
    norms = [norm.words for norm in norms_of(first.model)]
    return ShiftResult(
        run=run.resolve().name,
        p=p,
        shifts=shifts,
        norms=tuple(norms),
        readers=tuple(name for name in ways if name not in (*norms, AS_IT_IS, EVERY_NORM)),
    )


def dropout_of(run: Path) -> float:
    """The dropout that the LayerNorms of a run's models expect.

    Raises:
        UserError: if it was trained without, also without that of what its MLPs add alone, or
            normalises elsewhere than after each part.
    """
    loaded = load_bare(run_checkpoints(run)[0])
    norms_of(loaded.model)  # it is post-norm
    dropout = Dropout.as_trained(loaded.info, stream("variance shift"))
    if dropout is None:
        raise UserError(f"{run} was trained without dropout: its norms expect nothing else")
    if not dropout.mlp_out:
        raise UserError(f"{run} was trained without dropout of what its MLPs add")
    return dropout.p


def _ways(model: Transformer, p: float) -> dict[str, list[Intervention]]:
    """What expects dropout, by its words."""
    norms = norms_of(model)
    return {
        AS_IT_IS: [],
        EVERY_NORM: [ExpectDropout(norm, p) for norm in norms],
        **{norm.words: [ExpectDropout(norm, p)] for norm in norms},
        **(dict(_readers(model.task, p)) if model.cfg.n_layers > 1 else {}),
    }


def _readers(task: SortTask, p: float) -> Iterator[tuple[str, list[Intervention]]]:
    for part in READERS:
        yield Site(part, 1).words, [ExpectDropout(_FIRST, p, part)]
    keys = Site(Component.K, 1).words
    for region, positions in _regions(task).items():
        yield f"{keys}, {region.words} alone", [ExpectDropout(_FIRST, p, Component.K, positions)]


def _regions(task: SortTask) -> dict[Region, range]:
    """Where tokens may be, of lists of any length; the last blank is with the others."""
    last = task.region(Region.LAST_BLANK)
    parts = {region: task.region(region) for region in (Region.DIGITS, Region.SEP, Region.OUTPUTS)}
    if task.n_blanks:
        parts[Region.BLANKS] = range(task.sep_pos + 1, last.stop)
    return {region: at for region in Region if len(at := parts.get(region, range(0)))}


def _shift(
    folder: Path,
    lists: SortBatch,
    ways: dict[str, list[Intervention]],
    p: float,
    seed: int,
    progress: Progress,
) -> Shift:
    loaded = load_bare(folder)
    model, exact = loaded.model, {}
    for name, changes in ways.items():
        exact[name] = score(model, lists, interventions=changes).exact_match()
        progress.step()
    dropout = Dropout(p, stream("variance shift", seed))
    exact[WITH_DROPOUT] = score(model, lists, dropout=dropout).exact_match()
    progress.step()
    return Shift(checkpoint_step(folder), loaded.hash, exact, _shorter(model, lists, p))


@torch.no_grad()
def _shorter(model: Transformer, lists: SortBatch, p: float) -> dict[Region, float]:
    """The mean factor over all tokens of a region, of the first lists."""
    task, some = model.task, lists[:_AT_ONCE]
    view = window(task, some)
    places = (Component.RESID_MID, Component.MLP_OUT)
    run = forward(model, some.tokens, view, keep=[(place, 0) for place in places])
    x, added = (run.at(place, 0) for place in places)
    factors = shrink(x, added, p, model.blocks[0].ln2.eps)
    start = run.frame(Component.MLP_OUT, 0).position
    read = task.targets(some.tokens) != task.pad  # rows that answer, not what follows the answer
    read[:, : task.sep_pos] = some.tokens[:, : task.sep_pos] != task.pad
    real = read[:, start : start + factors.shape[1]]
    found = {}
    for region, at in _regions(task).items():
        here = slice(max(0, at.start - start), max(0, at.stop - start))
        if bool(real[:, here].any()):
            found[region] = float(factors[:, here][real[:, here]].mean())
    return found
