"""The figure of ``analyses.one_reader``: a table in colour, and the parts of the row."""

from __future__ import annotations

import plotly.graph_objects as go
from plotly import subplots

from analyses.one_reader.result import CUTS, OneReaderResult
from analyses.one_reader.words import known_by
from interp import figures


def figure(result: OneReaderResult) -> go.Figure:
    """How often model and program say the same: by kind of prompt, and by part exchanged."""
    fig = subplots.make_subplots(
        rows=2,
        cols=1,
        row_heights=[0.6, 0.4],
        vertical_spacing=0.16,
        subplot_titles=[
            f"Tokens of the column {known_by(result)}: it says the same, %",
            "One part of the row from any other prompt: model and program say the same",
        ],
    )
    fig.add_trace(_cuts(result), row=1, col=1)
    fig.update_yaxes(autorange="reversed", showgrid=False, row=1, col=1)
    fig.update_xaxes(showgrid=False, row=1, col=1)
    _parts(fig, result)
    fig.update_yaxes(title="pairs, %", row=2, col=1)
    return figures.style(fig, _title(result), 820).update_layout(
        scattermode="group", scattergap=0.6, legend={"y": -0.08}
    )


def _title(result: OneReaderResult) -> str:
    if not result.costs(len(CUTS) - 1):
        return "Only the row that answers has to read"
    return "Others than the row that answers have to read"


def _cuts(result: OneReaderResult) -> go.Heatmap:
    rates = [kind.rates for kind in result.kinds]
    return figures.share_cells(
        [[rate.value for rate in line] for line in rates],
        [[f"{rate.percent()}, n = {rate.n}" for rate in line] for line in rates],
        list(CUTS),
        [kind.name for kind in result.kinds],
    )


def _parts(fig: go.Figure, result: OneReaderResult) -> None:
    every = [(one.part, one.rate) for one in result.exchanged]
    changed = [(one.part, one.where_it_changes) for one in result.exchanged]
    for name, colour, found in (
        ("all pairs", figures.BLUE, every),
        ("pairs in which the model's answer changes", figures.ORANGE, changed),
    ):
        there = [(part, rate) for part, rate in found if rate is not None]
        names, rates = [part for part, _ in there], [rate for _, rate in there]
        trace = figures.rate_points(names, rates, name, colour, "circle")
        fig.add_trace(trace.update(showlegend=True), row=2, col=1)
