"""The figure of ``analyses.one_list.direct``: each part's share, and where heads read theirs."""

from __future__ import annotations

from collections.abc import Sequence

import plotly.graph_objects as go
from plotly import subplots

from analyses.one_list.direct.result import ListDirect
from interp import figures


def direct_bars(found: ListDirect, output: int, sources: Sequence[str]) -> go.Figure:
    """What each part adds to the margin; and where each head reads its share."""
    fig = subplots.make_subplots(
        rows=1,
        cols=2,
        column_widths=[0.58, 0.42],
        horizontal_spacing=0.17,
        subplot_titles=["Each part's share, logits", "Heads, by what they read, logits"],
    )
    names = ["the margin", *found.parts]
    values = [found.total, *found.parts.values()]
    fig.add_trace(_bars(names, values), row=1, col=1)
    fig.update_yaxes(autorange="reversed", dtick=1, showgrid=False, row=1, col=1)
    fig.update_xaxes(range=_room(values), row=1, col=1)
    fig.add_trace(_sources(found, sources), row=1, col=2)
    columns = figures.label_axis(list(sources))
    fig.update_xaxes(tickangle=-40, **columns, row=1, col=2)
    heads = figures.label_axis(list(found.heads))
    fig.update_yaxes(autorange="reversed", **heads, row=1, col=2)
    title = f"Direct logit attribution of output {output}: {found.margin.words}"
    return figures.style(fig, title, height=max(420, 24 * len(names) + 150)).update_layout(
        margin={"t": 90, "l": 150}
    )


def _bars(names: list[str], values: list[float]) -> go.Bar:
    """For the digit in blue, against it in vermillion, the whole in grey."""
    colours = [figures.BLUE if value >= 0 else figures.VERMILLION for value in values]
    return go.Bar(
        x=values,
        y=names,
        orientation="h",
        marker_color=[figures.GREY, *colours[1:]],
        text=[signed(value) for value in values],
        textposition="outside",
        cliponaxis=False,
        showlegend=False,
        hovertemplate="%{y}<br>%{x:+.4f}<extra></extra>",
    )


def signed(value: float) -> str:
    """``+1.25``; ``0`` where it is hardly anything, nothing for NaN."""
    if value != value:
        return ""
    return f"{value:+.2f}" if abs(value) >= 0.005 else "0"


def _room(values: Sequence[float]) -> list[float]:
    """The range of an axis with room for the numbers beside the bars."""
    low, high = min(0.0, *values), max(0.0, *values)
    spare = 0.2 * (high - low or 1.0)
    return [low - (spare if low < 0 else 0), high + spare]


def _sources(found: ListDirect, sources: Sequence[str]) -> go.Heatmap:
    values = found.by_source.tolist()
    limit = max(0.05, float(found.by_source.nan_to_num().abs().max()))
    cells = figures.heatmap(
        values, list(sources), list(found.heads), name="logits", signed=True, limit=limit
    )
    cells.text = [[signed(value) for value in row] for row in values]
    cells.texttemplate, cells.textfont = "%{text}", {"size": 11}
    return cells
