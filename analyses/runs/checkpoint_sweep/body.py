"""Measures every checkpoint of a run on the same lists."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from functools import partial
from pathlib import Path
from typing import Any

import plotly.graph_objects as go

from analyses.experiment.given import own_or
from analyses.runs.checkpoint_sweep import SweepConfig
from analyses.runs.training_curves.figure import legend_on_top
from interp import figures
from interp.answers.ablation import published_mask
from interp.answers.decode import score
from interp.answers.use import follow_rate
from interp.checkpoints import LoadedModel, checkpoint_step, load_bare, run_checkpoints
from interp.interventions import Intervention
from interp.passes.packed import Dropout
from interp.stats import Estimate
from interp.support.progress import SILENT, Progress
from interp.support.seeds import stream
from interp.task import SortBatch
from interp.transformer import Transformer


@dataclass(frozen=True)
class Checkpoint:
    """What was measured of one checkpoint. None where there is nothing to measure."""

    step: int
    hash: str
    exact: Estimate
    """Lists without a mistake."""
    dropped: Estimate | None
    """The same with dropout, as it was trained."""
    masked: Estimate | None
    """The same, without dropout, under the published mask."""
    follows: Estimate | None
    """Outputs that follow the list whose blanks were given, where the answers differ."""


@dataclass(frozen=True)
class Sweep:
    """All of a run's checkpoints."""

    run: str
    """Its name."""
    checkpoints: tuple[Checkpoint, ...]

    @classmethod
    def of_rows(cls, run: str, rows: Iterable[Mapping[str, Any]]) -> Sweep:
        """From the table that :func:`rows` makes."""
        found: dict[tuple[int, str], dict[str, Estimate]] = {}
        for row in rows:
            rate = Estimate(*(row[field.name] for field in fields(Estimate)))
            found.setdefault((row["step"], row["hash"]), {})[row["rate"]] = rate
        rates = [field for field, *_ in _CURVES]
        return cls(
            run,
            tuple(
                Checkpoint(*place, **{name: each.get(name) for name in rates})  # type: ignore[arg-type]
                for place, each in found.items()
            ),
        )


def compute(subject: Path, settings: SweepConfig, seed: int, progress: Progress) -> Sweep:
    """The checkpoints of the run in a folder."""
    models = {checkpoint_step(path): partial(load_bare, path) for path in run_checkpoints(subject)}
    return Sweep(subject.resolve().name, measure(models, settings, seed, progress))


def measure(
    models: Mapping[int, Callable[[], LoadedModel]],
    settings: SweepConfig,
    seed: int = 0,
    progress: Progress = SILENT,
) -> tuple[Checkpoint, ...]:
    """Measure every checkpoint on the same lists.

    Args:
        models: by step, how to open each; one is held at a time.
    """
    progress.begin(len(models), "checkpoints")
    found = []
    for step, load in models.items():
        found.append(_measured(step, load(), settings, seed))
        progress.step()
    return tuple(found)


def _measured(step: int, loaded: LoadedModel, settings: SweepConfig, seed: int) -> Checkpoint:
    model = loaded.model
    lists = own_or(model.task, lambda: model.task.held_out(settings.lists, seed))
    blanks, masks = model.task.n_blanks > 0, published_mask(model.task)
    return Checkpoint(
        step=step,
        hash=loaded.hash,
        exact=_exact(model, lists),
        dropped=_with_dropout(model, lists, loaded, seed),
        masked=_exact(model, lists, masks) if blanks else None,
        follows=follow_rate(model, settings.pairs, seed) if blanks else None,
    )


def _exact(
    model: Transformer, lists: SortBatch, interventions: Sequence[Intervention] = ()
) -> Estimate:
    return score(model, lists.to(model.W_U.device), interventions=interventions).exact_match()


def _with_dropout(
    model: Transformer, lists: SortBatch, loaded: LoadedModel, seed: int
) -> Estimate | None:
    """With the dropout of its recipe, where that is known and has some."""
    device = model.W_U.device
    dropout = Dropout.as_trained(loaded.info, stream("sweep", seed, device=device))
    if dropout is None:
        return None
    return score(model, lists.to(device), dropout=dropout).exact_match()


# -- words, figure and JSON ---------------------------------------------------------------------

_CURVES: tuple[tuple[str, str, str, str, str], ...] = (
    ("exact", "exact match", figures.BLUE, "circle", "solid"),
    ("dropped", "with dropout, as trained", figures.ORANGE, "triangle-up", "dashdot"),
    ("masked", "with blanks masked", figures.VERMILLION, "square", "dash"),
    ("follows", "outputs that follow another list's blanks", figures.GREEN, "diamond", "dot"),
)


def figure(found: Sweep, at: int | None = None, log: bool = False) -> go.Figure:
    """The rates over the steps, with their intervals; a line at step ``at``."""
    fig = go.Figure()
    for field, words, colour, symbol, dash in _CURVES:
        kept = [
            (c.step, rate) for c in found.checkpoints if (rate := getattr(c, field)) is not None
        ]
        if kept:
            trace = figures.rate_points(
                [step for step, _ in kept], [rate for _, rate in kept], words, colour, symbol
            )
            fig.add_trace(trace.update(mode="lines+markers", line={"dash": dash}, showlegend=True))
    fig.update_xaxes(title="step", type="log" if log else "linear")
    fig.update_yaxes(title="%", range=[-3, 103])
    if at is not None and (at > 0 or not log):
        fig.add_vline(x=at, line={"color": figures.GREY, "width": 2, "dash": "dash"})
    return legend_on_top(figures.style(fig, f"Checkpoints of {found.run}", height=460))


def rows(found: Sweep) -> list[dict[str, Any]]:
    """A row for each checkpoint and rate."""
    return [
        {"step": c.step, "hash": c.hash, "rate": field, **rate.to_dict()}
        for c in found.checkpoints
        for field, *_ in _CURVES
        if (rate := getattr(c, field)) is not None
    ]


def summary(found: Sweep) -> list[str]:
    """A line for each checkpoint."""
    return [
        f"step {c.step}: "
        + "; ".join(
            f"{words} {rate.percent()}"
            for field, words, *_ in _CURVES
            if (rate := getattr(c, field)) is not None
        )
        for c in found.checkpoints
    ]


def to_json(found: Sweep) -> dict[str, Any]:
    """The result as data."""
    return {"rows": rows(found)}
