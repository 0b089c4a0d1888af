"""The figure of ``analyses.runs.variance_shift``: the course, and the last checkpoint in full."""

from __future__ import annotations

import plotly.graph_objects as go
from plotly import subplots

from analyses.runs.training_curves.figure import legend_on_top
from analyses.runs.variance_shift.result import AS_IT_IS, EVERY_NORM, WITH_DROPOUT, ShiftResult
from interp import figures

_CURVES = (
    (AS_IT_IS, figures.BLUE, "circle", "solid"),
    (WITH_DROPOUT, figures.ORANGE, "triangle-up", "dashdot"),
    (EVERY_NORM, figures.GREEN, "square", "dash"),
)


def figure(result: ShiftResult) -> go.Figure:
    """Above, exact match over the steps; below, at the last of them, with one alone, and with one
    reader of the stream behind the first MLP."""
    last, names = result.last, [*result.norms, *result.readers]
    fig = subplots.make_subplots(
        rows=2,
        cols=1,
        vertical_spacing=0.18,
        row_heights=[0.5, 0.5],
        subplot_titles=["", f"At step {last.step}: this alone expects dropout"],
    )
    for name, colour, symbol, dash in _CURVES:
        trace = figures.rate_points(
            [shift.step for shift in result.shifts],
            [shift.exact[name] for shift in result.shifts],
            name,
            colour,
            symbol,
        )
        fig.add_trace(
            trace.update(mode="lines+markers", line={"dash": dash}, showlegend=True), row=1, col=1
        )
    rates = [last.exact[name] for name in names]
    fig.add_trace(
        go.Bar(
            x=[100 * rate.value for rate in rates],
            y=names,
            orientation="h",
            marker={"color": figures.GREEN},
            error_x={
                "type": "data",
                "symmetric": False,
                "array": [100 * (rate.high - rate.value) for rate in rates],
                "arrayminus": [100 * (rate.value - rate.low) for rate in rates],
                "thickness": 1.2,
            },
            customdata=[rate.percent() for rate in rates],
            hovertemplate="%{y}<br>%{customdata}<extra></extra>",
            showlegend=False,
        ),
        row=2,
        col=1,
    )
    line = {"color": figures.BLUE, "width": 2, "dash": "dot"}
    fig.add_vline(x=100 * last.exact[AS_IT_IS].value, line=line, row=2, col=1)
    fig.update_xaxes(title="step", row=1, col=1)
    fig.update_yaxes(range=[-3, 103], title="lists exact, %", row=1, col=1)
    fig.update_xaxes(range=[0, 103], title=f"lists exact, %; dotted: {AS_IT_IS}", row=2, col=1)
    fig.update_yaxes(autorange="reversed", row=2, col=1)
    title = f"LayerNorms that expect dropout: {result.run}"
    return legend_on_top(figures.style(fig, title, 480 + 28 * len(names)))
