"""The figure of ``analyses.crash``: the course, the mistakes, the weights, and what stops it."""

from __future__ import annotations

from collections.abc import Mapping

import plotly.graph_objects as go
from plotly import subplots

from analyses.crash.result import CrashResult
from interp import figures
from interp.stats import Estimate


def figure(result: CrashResult) -> go.Figure:
    """Four panels, one below the other."""
    fig = subplots.make_subplots(
        rows=4,
        cols=1,
        vertical_spacing=0.09,
        subplot_titles=[
            "Step by step: held-out lists exact",
            "How outputs go wrong",
            "One group of weights exchanged between before and the drop",
            "The steps from before on, made again with one thing changed",
        ],
    )
    _course(fig, result)
    _rates(fig, result.mistakes, "in the drop", figures.VERMILLION, 2)
    _rates(fig, result.mistakes_before, "before", figures.BLUE, 2)
    for number, (name, colour) in enumerate(
        (("before into the drop", figures.GREEN), ("the drop into before", figures.PURPLE))
    ):
        _rates(fig, {g: both[number] for g, both in result.groups.items()}, name, colour, 3)
    _again(fig, result)
    fig.update_yaxes(title="outputs, %", row=2, col=1)
    for row in (1, 3, 4):
        fig.update_yaxes(title="lists exact, %", row=row, col=1)
    for row in (1, 4):
        fig.update_xaxes(title="step", row=row, col=1)
    fall = f"{100 * result.fall:.0f} points"
    figures.style(fig, f"A fall of {fall} in {result.during - result.before} steps", 1180)
    return fig.update_layout(scattermode="group", scattergap=0.6, legend={"y": -0.05})


def _course(fig: go.Figure, result: CrashResult) -> None:
    steps = [m.step for m in result.course]
    for name, values, colour, dash in (
        ("the weights", [m.exact for m in result.course], figures.BLUE, "solid"),
        ("their average", [m.averaged for m in result.course], figures.GREEN, "dash"),
    ):
        line = {"color": colour, "dash": dash}
        y = [100 * value for value in values]
        trace = go.Scatter(x=steps, y=y, name=name, line=line, offsetgroup="course")
        fig.add_trace(trace, row=1, col=1)
    marks = (
        ("before", result.before, "bottom left"),
        ("drop", result.during, "bottom left"),
        ("after", result.after, "bottom right"),
    )
    for name, step, place in marks:
        if step is not None:
            mark = {"annotation_text": name, "annotation_position": place}
            fig.add_vline(step, line_dash="dot", line_color=figures.GREY, row=1, col=1, **mark)


def _rates(fig: go.Figure, rates: Mapping[str, Estimate], name: str, colour: str, row: int) -> None:
    trace = figures.rate_points(list(rates), list(rates.values()), name, colour, "circle")
    fig.add_trace(trace.update(showlegend=True), row=row, col=1)


_COLOURS = (figures.BLUE, figures.GREEN, figures.ORANGE, figures.PURPLE, figures.VERMILLION)


def _again(fig: go.Figure, result: CrashResult) -> None:
    for one, colour in zip(result.changed, _COLOURS, strict=False):
        _line(fig, one.steps, one.exact, one.words, {"color": colour})
    for number, one in enumerate(result.others):
        line = {"color": figures.GREY, "width": 1, "dash": "dot"}
        _line(fig, one.steps, one.exact, one.words, line, shown=number == 0)


def _line(
    fig: go.Figure,
    steps: tuple[int, ...],
    exact: tuple[float, ...],
    name: str,
    line: dict[str, object],
    shown: bool = True,
) -> None:
    y = [100 * value for value in exact]
    trace = go.Scatter(x=list(steps), y=y, name=name, line=line, mode="lines", offsetgroup="again")
    fig.add_trace(trace.update(showlegend=shown, legendgroup=name), row=4, col=1)
