"""The figure of ``analyses.align_program``: variables by parts, in colour."""

from __future__ import annotations

import plotly.graph_objects as go

from analyses.align_program.result import AlignResult
from interp import figures


def figure(result: AlignResult) -> go.Figure:
    """IIA of every variable and kind of source (columns) at every part (rows) that holds some."""
    shown = [a for a in result.alignments if a.family != "control"]
    best = [
        max((a.accuracy(p).value for a in shown), default=0.0) for p in range(len(result.parts))
    ]
    kept = [p for p in range(len(result.parts)) if best[p] >= _LEAST]
    rates = [[a.accuracy(p) for a in shown] for p in kept]
    names = [_name(result, a.program, a.variable, a.family) for a in shown]
    fig = go.Figure(
        go.Heatmap(
            z=[[rate.value for rate in line] for line in rates],
            x=list(range(len(names))),
            y=[result.parts[p].words for p in kept],
            text=[[f"{100 * rate.value:.0f}" for rate in line] for line in rates],
            texttemplate="%{text}",
            customdata=[
                [[names[c], f"{rate.percent()}, n = {rate.n} pairs"] for c, rate in enumerate(line)]
                for line in rates
            ],
            hovertemplate="%{customdata[0]} · %{y}<br>%{customdata[1]}<extra></extra>",
            colorscale=figures.SEQUENTIAL,
            zmin=0,
            zmax=1,
            colorbar={"title": {"text": "IIA", "side": "right"}, "thickness": 12},
            xgap=2,
            ygap=2,
        )
    )
    fig.update_yaxes(autorange="reversed", showgrid=False)
    ticks = list(range(len(names)))
    fig.update_xaxes(tickvals=ticks, ticktext=names, tickangle=-40, showgrid=False)
    title = f"Where the variables of {result.program.name} are · parts above {100 * _LEAST:.0f} %"
    return figures.style(fig, title, 240 + 22 * len(kept))


_LEAST = 0.2  # the highest IIA from which a part has a row


def _name(result: AlignResult, program: str, variable: str, family: str) -> str:
    return f"{variable}, {family}" if program == result.program.name else f"({program}) {variable}"
