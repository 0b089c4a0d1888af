"""The figure of ``analyses.settle``: a panel for each way of going on."""

from __future__ import annotations

import plotly.graph_objects as go
from plotly import subplots

from analyses.settle.result import SettleResult
from interp import figures


def figure(result: SettleResult) -> go.Figure:
    """The weights step by step and their average, one panel below the other on the same axes."""
    fig = subplots.make_subplots(
        rows=len(result.ways),
        cols=1,
        shared_xaxes=True,
        vertical_spacing=0.06,
        subplot_titles=[
            f"{name}: weights {way.weights.percent()}, their average {way.average.percent()}"
            for name, way in result.ways.items()
        ],
    )
    for row, way in enumerate(result.ways.values(), 1):
        steps = [result.step + number for number in range(1, len(way.exact) + 1)]
        line = {"color": figures.BLUE, "width": 1.5}
        weights = go.Scatter(x=steps, y=_percent(way.exact), name="the weights", line=line)
        average = go.Scatter(
            x=[step for step, _ in way.averaged],
            y=_percent(tuple(exact for _, exact in way.averaged)),
            name="their average",
            line={"color": figures.GREEN, "dash": "dash"},
        )
        for trace in (weights, average):
            trace.update(mode="lines", legendgroup=trace.name, showlegend=row == 1)
            fig.add_trace(trace, row=row, col=1)
    fig.update_yaxes(range=[0, 104])
    fig.update_yaxes(title="lists exact, %", row=(len(result.ways) + 1) // 2, col=1)
    fig.update_xaxes(title="step", row=len(result.ways), col=1)
    title = f"Going on from step {result.step}"
    figures.style(fig, title, 120 + 150 * len(result.ways))
    return fig.update_layout(legend={"y": -0.09})


def _percent(shares: tuple[float, ...]) -> list[float]:
    return [100 * share for share in shares]
