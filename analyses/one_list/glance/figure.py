"""The figure of ``analyses.one_list.glance``, and the parts that others draw with."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import plotly.graph_objects as go
from jaxtyping import Float
from plotly import subplots

from analyses.one_list.glance.result import AnswerRows
from interp import figures
from interp.sites import head_name
from interp.task import Region


def glance_figure(found: AnswerRows, layer: int, head: int, title: str = "") -> go.Figure:
    """Shares of all heads beside one head in full."""
    found.check_head(layer, head)
    fig = subplots.make_subplots(
        rows=1,
        cols=2,
        column_widths=[0.32, 0.68],
        horizontal_spacing=0.16,
        subplot_titles=[
            "Every head: share by region",
            f"Head {head_name((layer, head))}: rows look at columns",
        ],
    )
    values = found.shares.reshape(-1, len(found.regions))
    add_shares(fig, values, found.regions, found.heads, 1)
    full = found.pattern[layer, head]
    trace = figures.heatmap(full, list(found.keys), list(found.rows), name="attention")
    trace.update(zmax=max(figures.FAINTEST_ATTENTION, float(full.max())))
    fig.add_trace(trace, row=1, col=2)
    dress_map(fig, found, 2)
    height = max(460, min(900, 14 * max(len(found.rows), len(values)) + 220))
    figures.style(fig, title or "Where the rows that answer look", height=height)
    return fig.update_layout(margin={"t": 90, "b": 90})


def add_shares(
    fig: go.Figure,
    values: Float[np.ndarray, "head region"],
    regions: Sequence[Region],
    heads: Sequence[str],
    column: int,
    signed: bool = False,
) -> None:
    """A table in colour, with its numbers."""
    limit = max(figures.FAINTEST_ATTENTION, float(abs(values).max())) if signed else 1.0
    names = [region.words for region in regions]
    trace = figures.heatmap(values, names, list(heads), name="share", signed=signed)
    trace.update(
        zmin=-limit if signed else 0,
        zmax=limit,
        showscale=False,
        text=[[f"{value:+.2f}" if signed else f"{value:.2f}" for value in row] for row in values],
        texttemplate="%{text}",
        textfont={"size": 11},
    )
    fig.add_trace(trace, row=1, col=column)
    ticks = {"tickmode": "array", "tickvals": list(range(len(names))), "ticktext": names}
    fig.update_xaxes(tickangle=-40, row=1, col=column, **ticks)
    rows = {"tickmode": "array", "tickvals": list(range(len(heads))), "ticktext": list(heads)}
    fig.update_yaxes(autorange="reversed", row=1, col=column, **rows)


def dress_map(fig: go.Figure, found: AnswerRows, column: int) -> None:
    """Labels and dividers between regions for a map of rows by keys."""
    keys = figures.label_axis(list(found.keys))
    fig.update_xaxes(tickangle=-90, row=1, col=column, **keys)
    rows = figures.label_axis(list(found.rows))
    fig.update_yaxes(autorange="reversed", row=1, col=column, **rows)
    if len(found.keys) > figures.MOST_GAPPED:
        fig.update_traces(xgap=0, ygap=0, row=1, col=column)
    starts = [span.start for span in list(found.spans.values())[1:]]
    edges = [start - 0.5 for start in starts if start < len(found.keys)]
    figures.dividers(fig, columns=edges, row=1, col=column)
