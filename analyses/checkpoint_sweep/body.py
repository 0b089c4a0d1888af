"""Through training: how well each checkpoint of a run sorts, and what it needs its blanks for.

    python -m analyses.checkpoint_sweep --run runs/0001-stable-blanks-s0

Of every checkpoint, on the same held-out lists: exact match as it is; exact match when the outputs
after the first may not attend to any blank (the published mask); and, where the answers of two
lists of one length differ, the share of outputs that follow the other list when layers from 1 on
are given the keys and values of its blanks (all but the last one, itself a row that answers). The
mask takes away the place where attention rests as well as what is in the blanks; the transplant
exchanges only what is in them.

What it does not show: how the weights between two checkpoints behave. A run without blanks has only
the first number.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from analyses.common import Stopwatch, progress_bar
from analyses.training_curves.figure import legend_on_top
from interp import figures
from interp.answers.treatment import Act, Treatment
from interp.checkpoints import checkpoint_step, run_checkpoints, shipped_runs
from interp.support import files
from interp.support.cli import note, run_command
from interp.support.errors import UserError, at_least
from interp.support.lazy import lazy_import
from interp.support.manifest import manifest
from interp.support.progress import SILENT, Progress

if TYPE_CHECKING:
    import plotly.graph_objects as go

    from interp.checkpoints import LoadedModel
    from interp.model import SortTransformer
    from interp.stats import Estimate
else:
    go = lazy_import("plotly.graph_objects")


@dataclass(frozen=True)
class SweepConfig:
    """How many lists."""

    lists: int = 500  # held-out, for exact match: intervals of a few percent
    pairs: int = 48  # for the transplant: one of every length up to 48

    def __post_init__(self) -> None:
        at_least(self, lists=1, pairs=1)


@dataclass(frozen=True)
class Checkpoint:
    """What was measured of one checkpoint. None where there is nothing to measure."""

    step: int
    hash: str
    exact: Estimate
    """Lists without a mistake."""
    masked: Estimate | None
    """The same under the published mask."""
    follows: Estimate | None
    """Outputs that follow the list whose blanks were given, where the answers differ."""


def compute(
    models: Mapping[int, Callable[[], LoadedModel]],
    config: SweepConfig = SweepConfig(),
    seed: int = 0,
    progress: Progress = SILENT,
) -> tuple[Checkpoint, ...]:
    """Measure every checkpoint on the same lists.

    Args:
        models: by step, how to open each; one is held at a time.
    """
    from interp.answers.ablation import published_mask
    from interp.answers.decode import exact_match

    progress.begin(len(models), "checkpoints")
    found = []
    for step, load in models.items():
        loaded = load()
        model = loaded.model
        blanks, masks = model.task.n_blanks > 0, published_mask(model.task)
        found.append(
            Checkpoint(
                step,
                loaded.hash,
                exact_match(model, config.lists, seed),
                exact_match(model, config.lists, seed, interventions=masks) if blanks else None,
                follow_rate(model, config.pairs, seed) if blanks else None,
            )
        )
        progress.step()
    return tuple(found)


def follow_rate(model: SortTransformer, pairs: int, seed: int) -> Estimate | None:
    """The share of outputs that follow the other list when the blanks are its own.

    Equal to ``analyses.transplant_blanks``'s rate for the blanks alone, without its other
    conditions. None for a single blank, which answers itself, or where no two answers differ.
    """
    from interp.answers.trials import donors_for, run_trials, sorted_digits
    from interp.stats import clustered_rate

    task = model.task
    if task.n_blanks < 2 or model.config.n_layers < 2:
        return None
    own = task.held_out(pairs, seed).to(model.W_U.device)
    other = donors_for(model, own, seed)
    transplant = Treatment(Act.TRANSPLANT, tuple(range(task.n_blanks - 1)))
    trials = run_trials(model, own, {"blanks": transplant.on}, donors=other, seed=seed)
    theirs = sorted_digits(task, other).cpu()
    differ = (theirs != trials.answers) & trials.scored
    if not differ.any():
        return None
    return clustered_rate(trials.of("blanks") == theirs, differ, seed)


# -- words, figure and JSON ---------------------------------------------------------------------

_CURVES: tuple[tuple[str, str, str, str, str], ...] = (
    ("exact", "exact match as it is", figures.BLUE, "circle", "solid"),
    ("masked", "exact match, blanks masked", figures.VERMILLION, "square", "dash"),
    ("follows", "outputs that follow another list's blanks", figures.GREEN, "diamond", "dot"),
)


def figure(
    found: Sequence[Checkpoint], name: str, at: int | None = None, log: bool = False
) -> go.Figure:
    """The three rates over the steps, with their intervals; a line at step ``at``."""
    fig = go.Figure()
    for field, words, colour, symbol, dash in _CURVES:
        kept = [(c.step, rate) for c in found if (rate := getattr(c, field)) is not None]
        if kept:
            trace = figures.rate_points(
                [step for step, _ in kept], [rate for _, rate in kept], words, colour, symbol
            )
            fig.add_trace(trace.update(mode="lines+markers", line={"dash": dash}, showlegend=True))
    fig.update_xaxes(title="step", type="log" if log else "linear")
    fig.update_yaxes(title="%", range=[-3, 103])
    if at is not None and (at > 0 or not log):
        fig.add_vline(x=at, line={"color": figures.GREY, "width": 2, "dash": "dash"})
    return legend_on_top(figures.style(fig, f"Checkpoints of {name}", height=460))


def rows(found: Sequence[Checkpoint]) -> list[dict[str, Any]]:
    """A row for each checkpoint and rate."""
    return [
        {"step": c.step, "hash": c.hash, "rate": field, **rate.to_dict()}
        for c in found
        for field, *_ in _CURVES
        if (rate := getattr(c, field)) is not None
    ]


def summary(found: Sequence[Checkpoint]) -> list[str]:
    """A line for each checkpoint."""
    return [
        f"step {c.step}: "
        + "; ".join(
            f"{words} {rate.percent()}"
            for field, words, *_ in _CURVES
            if (rate := getattr(c, field)) is not None
        )
        for c in found
    ]


# -- command line -------------------------------------------------------------------------------


@dataclass(frozen=True)
class SweepArgs:
    """Measure every checkpoint of a run."""

    run: str  # a shipped run by its name, or a run folder
    config: SweepConfig = SweepConfig()
    seed: int = 0  # of the lists
    out: Path = Path("results")  # folder for the figure, the result and the manifest
    json: bool = False  # print the result as JSON on stdout, and nothing else there

    def __post_init__(self) -> None:
        if self.seed < 0:
            raise UserError(f"--seed must be 0 or more, not {self.seed}")


def main(argv: Sequence[str] | None = None) -> None:
    run_command(SweepArgs, _command, "python -m analyses.checkpoint_sweep", argv)


def _command(args: SweepArgs) -> None:
    from functools import partial

    from interp.checkpoints import load_bare

    watch = Stopwatch()
    folder = shipped_runs().get(args.run, Path(args.run))
    checkpoints = run_checkpoints(folder)
    if not checkpoints:
        runs = ", ".join(shipped_runs()) or "none"
        raise UserError(f"{args.run} holds no checkpoints of a run; shipped runs: {runs}")
    models = {checkpoint_step(path): partial(load_bare, path) for path in checkpoints}
    with progress_bar() as progress:
        found = compute(models, args.config, args.seed, progress)
    to = args.out / "checkpoint_sweep" / folder.resolve().name
    data = {"analysis": "checkpoint_sweep", "run": args.run, "seed": args.seed}
    data |= {"config": vars(args.config), "rows": rows(found), "finding": summary(found)}
    figures.write_html(figure(found, folder.resolve().name), to / "figure.html")
    files.write_json(to / "result.json", data)
    files.write_json(to / "manifest.json", {**manifest(), "seconds": round(watch.seconds(), 2)})
    note(f"wrote {to}/figure.html, result.json, manifest.json")
    print(json.dumps(data) if args.json else "\n".join(summary(found)))


if __name__ == "__main__":
    main()
