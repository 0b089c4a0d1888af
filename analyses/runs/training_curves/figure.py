"""The figures of ``analyses.runs.training_curves``."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import plotly.graph_objects as go
from plotly import subplots

from analyses.runs.training_curves.result import RunCurves
from interp import figures
from training.curves import Curve
from training.studies.results import RunResult, StudyResults

MOST_RUNS = 8  # in one figure: so many colours, symbols and dashes are told apart
_COLOURS = (
    figures.BLUE,
    figures.ORANGE,
    figures.GREEN,
    figures.VERMILLION,
    figures.PURPLE,
    figures.SKY,
    figures.GREY,
    "#A08000",
)
_SYMBOLS = ("circle", "square", "diamond", "triangle-up", "x", "star", "hexagon", "cross")
_DASHES = ("solid", "dash", "dot", "dashdot", "longdash", "longdashdot", "solid", "dash")
_COLUMNS, _CELL = 4, 190  # arms in a row; pixels of one


def short_name(name: str) -> str:
    """``quick: blanks, seed 0`` of a study's run, ``0001-stable, step 500`` of a run's checkpoint;
    else the last part of a path."""
    path = Path(name)
    if path.parent.name == "checkpoints" and path.name.removeprefix("step-").isdecimal():
        return f"{short_name(str(path.parents[1]))}, step {int(path.name[5:])}"
    if path.name.removeprefix("seed-").isdecimal() and path.parent.name:
        study = f"{path.parents[1].name}: " if path.parents[1].name else ""
        return f"{study}{path.parent.name}, seed {int(path.name[5:])}"
    return path.name or name


def runs_figure(runs: Sequence[RunCurves], log: bool = False, at: int | None = None) -> go.Figure:
    """Accuracy above, loss below where it was kept; every point as it was logged.

    Args:
        log: steps on a logarithmic axis; step 0 has no place there.
        at: a step to mark with a line.
    """
    heights = [0.66, 0.34] if any(run.loss.steps for run in runs) else [1]
    fig = subplots.make_subplots(
        rows=len(heights), cols=1, shared_xaxes=True, row_heights=heights, vertical_spacing=0.06
    )
    for number, run in enumerate(runs):
        _draw_run(fig, run, number % MOST_RUNS)
    fig.update_yaxes(title="accuracy, %", range=[-3, 103], row=1, col=1)
    if len(heights) == 2:
        fig.update_yaxes(title="loss, nats", type="log", exponentformat="power", row=2, col=1)
    fig.update_xaxes(title="step", row=len(heights), col=1)
    fig.update_xaxes(type="log" if log else "linear")
    title = "Learning curves, as logged: lines training batches, symbols held-out lists"
    figures.style(fig, title, height=300 * len(heights) + 26 * len(runs))
    if at is not None and (at > 0 or not log):
        last = max((run.batch.steps[-1] for run in runs if run.batch.steps), default=0)
        _mark(fig, at, len(heights), to_left=at > last / 2)
    return legend_on_top(fig, len(runs))


def legend_on_top(fig: go.Figure, lines: int = 1) -> go.Figure:
    """Between the title and the plot: below it there would be the line that says what it is of."""
    legend = {"y": 1.01, "yanchor": "bottom", "x": 0}
    fig.layout.title.update(y=0.99, yanchor="top")
    return fig.update_layout(legend=legend, margin={"t": 60 + 24 * lines})


def _mark(fig: go.Figure, step: int, n_rows: int, to_left: bool) -> None:
    """A line at a step, named on the side where there is room."""
    for row in range(1, n_rows + 1):
        line = {"color": figures.GREY, "width": 2, "dash": "dash"}
        fig.add_vline(x=step, line=line, row=row, col=1)
    # A trace: an annotation would have to know whether the axis is logarithmic.
    fig.add_scatter(
        x=[step],
        y=[2],
        mode="text",
        text=[f"step {step}"],
        textposition="top left" if to_left else "top right",
        showlegend=False,
        hoverinfo="skip",
        row=1,
        col=1,
    )


def _draw_run(fig: go.Figure, run: RunCurves, number: int) -> None:
    name, colour = short_name(run.name), _COLOURS[number]
    line = {"color": colour, "dash": _DASHES[number], "width": 1.3}
    shared: dict[str, Any] = {"legendgroup": run.name, "line": line}
    fig.add_scatter(
        x=run.batch.steps,
        y=_percent(run.batch),
        mode="lines",
        name=f"{name}, training batch",
        hovertemplate=f"{name}<br>step %{{x}}, training batch %{{y:.1f}} %<extra></extra>",
        row=1,
        col=1,
        **shared,
    )
    fig.add_scatter(
        x=run.held_out.steps,
        y=_percent(run.held_out),
        mode="markers",
        marker={"color": colour, "symbol": _SYMBOLS[number], "size": 8},
        name=f"{name}, held-out",
        legendgroup=run.name,
        hovertemplate=f"{name}<br>step %{{x}}, held-out %{{y:.1f}} %<extra></extra>",
        row=1,
        col=1,
    )
    if run.loss.steps:
        fig.add_scatter(
            x=run.loss.steps,
            y=run.loss.values,
            mode="lines",
            showlegend=False,
            hovertemplate=f"{name}<br>step %{{x}}, loss %{{y:.2e}}<extra></extra>",
            row=2,
            col=1,
            **shared,
        )


def _percent(curve: Curve) -> list[float]:
    return [100 * value for value in curve.values]


# -- a study ------------------------------------------------------------------------------------


def arms_figure(study: StudyResults, log: bool = False) -> go.Figure:
    """A panel for each arm with the curves of all its runs; convergent ones thick, with symbols."""
    arms = study.plan.arms
    columns = min(_COLUMNS, len(arms))
    n_rows = -(-len(arms) // columns)
    height = n_rows * (_CELL + 50)
    fig = subplots.make_subplots(
        rows=n_rows,
        cols=columns,
        shared_yaxes=True,
        subplot_titles=[_arm_title(study, arm.name) for arm in arms],
        vertical_spacing=min(0.9 / max(1, n_rows - 1), 75 / height) if n_rows > 1 else 0,
        horizontal_spacing=0.025,
    )
    for number, arm in enumerate(arms):
        where = {"row": number // columns + 1, "col": number % columns + 1}
        for run in study.of(arm.name):
            _draw_arm_run(fig, run, where)
    fig.update_annotations(font={"size": 12})
    fig.update_yaxes(range=[-3, 103], tickvals=[0, 50, 100])
    fig.update_yaxes(title="accuracy, %", col=1)
    fig.update_xaxes(type="log" if log else "linear", nticks=5)
    fig.update_xaxes(title="step", row=n_rows)
    title = f"Study {study.plan.name}: training-batch accuracy, every run, raw (✓ convergent)"
    figures.style(fig, title, height=height + 130)
    return fig.update_layout(showlegend=False, margin={"t": 110, "b": 60})


def _arm_title(study: StudyResults, arm: str) -> str:
    ended, begun = study.ended(arm), study.of(arm)
    more = f", {len(begun) - len(ended)} running" if len(begun) > len(ended) else ""
    if not ended:
        return f"<b>{arm}</b><br>n = 0 ended{more}"
    outcome = study.outcome(arm)
    share, n = outcome.share(), outcome.convergent()
    interval = f"[{100 * share.low:.0f}, {100 * share.high:.0f}] %"
    return f"<b>{arm}</b><br>✓ {n} of {len(ended)} {interval}{more}"


def _draw_arm_run(fig: go.Figure, run: RunResult, where: dict[str, int]) -> None:
    steps, values = run.curves.batch.steps, _percent(run.curves.batch)
    good = run.convergent
    state = "convergent" if good else "not convergent" if run.summary else "has not ended"
    every = max(1, len(steps) // 6)
    fig.add_scatter(
        x=steps,
        y=values,
        mode="lines+markers" if good else "lines",
        line={
            "color": figures.BLUE if good else figures.VERMILLION,
            "width": 1.8 if good else 1,
            "dash": "solid" if good else "dot",
        },
        # A symbol on every so manieth point: all points are in the line.
        marker={
            "symbol": "circle",
            "size": [9 if i % every == 0 else 0 for i in range(len(steps))],
        },
        name=f"{run.arm}, seed {run.seed}: {state}",
        hovertemplate=f"seed {run.seed}, {state}<br>step %{{x}}: %{{y:.1f}} %<extra></extra>",
        **where,
    )
