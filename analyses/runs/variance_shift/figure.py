"""The figure of ``analyses.runs.variance_shift``: the course, and the last checkpoint in full."""

from __future__ import annotations

import plotly.graph_objects as go
from plotly import subplots

from analyses.runs.training_curves.figure import legend_on_top
from analyses.runs.variance_shift.result import (
    AS_IT_IS,
    EVERY_NORM,
    WITH_DROPOUT,
    Shift,
    ShiftResult,
)
from interp import figures

_CURVES = (
    (AS_IT_IS, figures.BLUE, "circle", "solid"),
    (WITH_DROPOUT, figures.ORANGE, "triangle-up", "dashdot"),
    (EVERY_NORM, figures.GREEN, "square", "dash"),
)


def figure(result: ShiftResult) -> go.Figure:
    """Above, exact match over the steps; below, at the last of them, with one alone, and with one
    reader of the stream behind the first MLP."""
    fig = subplots.make_subplots(
        rows=2,
        cols=1,
        vertical_spacing=0.18,
        row_heights=[0.5, 0.5],
        subplot_titles=["", f"At step {result.last.step}: this alone expects dropout"],
    )
    names = [*result.norms, *result.readers]
    _course(fig, result)
    _bars(fig, result.last, names)
    title = f"LayerNorms that expect dropout: {result.run}"
    return legend_on_top(figures.style(fig, title, 480 + 28 * len(names)))


def _course(fig: go.Figure, result: ShiftResult) -> None:
    """Exact match over the steps, in the three ways."""
    steps = [shift.step for shift in result.shifts]
    for name, colour, symbol, dash in _CURVES:
        rates = [shift.exact[name] for shift in result.shifts]
        trace = figures.rate_points(steps, rates, name, colour, symbol)
        trace.update(mode="lines+markers", line={"dash": dash}, showlegend=True)
        fig.add_trace(trace, row=1, col=1)
    fig.update_xaxes(title="step", row=1, col=1)
    fig.update_yaxes(range=[-3, 103], title="lists exact, %", row=1, col=1)


def _bars(fig: go.Figure, last: Shift, names: list[str]) -> None:
    """The last checkpoint with one thing alone, beside a line at what it is."""
    rates = [last.exact[name] for name in names]
    error = {
        "type": "data",
        "symmetric": False,
        "array": [100 * (rate.high - rate.value) for rate in rates],
        "arrayminus": [100 * (rate.value - rate.low) for rate in rates],
        "thickness": 1.2,
    }
    bars = go.Bar(
        x=[100 * rate.value for rate in rates],
        y=names,
        orientation="h",
        marker={"color": figures.GREEN},
        error_x=error,
        customdata=[rate.percent() for rate in rates],
        hovertemplate="%{y}<br>%{customdata}<extra></extra>",
        showlegend=False,
    )
    fig.add_trace(bars, row=2, col=1)
    line = {"color": figures.BLUE, "width": 2, "dash": "dot"}
    fig.add_vline(x=100 * last.exact[AS_IT_IS].value, line=line, row=2, col=1)
    fig.update_xaxes(range=[0, 103], title=f"lists exact, %; dotted: {AS_IT_IS}", row=2, col=1)
    fig.update_yaxes(autorange="reversed", row=2, col=1)
