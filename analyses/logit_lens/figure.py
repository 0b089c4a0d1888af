"""The figure of ``analyses.logit_lens``: what every depth says at output rows and at blanks."""

from __future__ import annotations

from typing import Any

import plotly.graph_objects as go
from plotly import subplots

from analyses.logit_lens.result import LensResult
from interp import figures


def figure(result: LensResult) -> go.Figure:
    """What is right at output rows and at blanks, and both rates with their intervals."""
    has_blanks = result.told(0) is not None
    titles = [f"Output rows: probability of the {result.task.right_word}, mean over lists"]
    if has_blanks:
        among = f"among all {result.task.symbols.word}s"
        titles.append(f"Blanks: probability of {result.task.right_at('j')} at blank j, {among}")
    titles.append("Rates by depth, with intervals over lists")
    rows = len(titles)
    fig = subplots.make_subplots(
        rows=rows, cols=1, subplot_titles=titles, vertical_spacing=0.36 / rows
    )
    _draw_heatmap(fig, result, result.right, "out", 1)
    if has_blanks:
        _draw_heatmap(fig, result, result.share, "blank", 2)
    _draw_rates(fig, result, rows, has_blanks)
    figures.style(fig, f"Logit lens · {len(result.lengths)} lists", height=320 * rows + 60)
    return fig.update_layout(margin={"l": 110, "t": 90}, legend={"y": -0.1})


def _draw_heatmap(fig: go.Figure, result: LensResult, values: Any, name: str, row: int) -> None:
    labels = [f"{name} {i}" for i in range(values.shape[-1])]
    cells = figures.heatmap(values.nanmean(0).tolist(), labels, result.depths, name="probability")
    cells.showscale = row == 1
    cells.colorbar.update(len=0.3, y=0.86)
    fig.add_trace(cells, row=row, col=1)
    fig.update_xaxes(tickangle=-90, showgrid=False, **figures.label_axis(labels), row=row, col=1)
    ticks = figures.label_axis(result.depths)
    fig.update_yaxes(autorange="reversed", showgrid=False, **ticks, row=row, col=1)


def _draw_rates(fig: go.Figure, result: LensResult, row: int, has_blanks: bool) -> None:
    n = range(len(result.depths))
    right = f"output rows: {result.task.right_word} on top"
    series = [(right, [result.answered(d) for d in n], "circle")]
    if has_blanks:
        told = [t for d in n if (t := result.told(d)) is not None]
        right = result.task.right_at("j")
        series.append((f"blanks: own list's {right} preferred (chance 50 %)", told, "square"))
    for (name, rates, symbol), colour in zip(series, (figures.GREEN, figures.BLUE), strict=False):
        trace = figures.rate_points(result.depths, rates, name, colour, symbol)
        trace.showlegend = True
        trace.mode = "lines+markers"
        fig.add_trace(trace, row=row, col=1)
    if has_blanks:
        fig.add_hline(y=50, line_dash="dot", line_color=figures.GREY, row=row, col=1)
    fig.update_yaxes(title="%", range=[-4, 104], row=row, col=1)
