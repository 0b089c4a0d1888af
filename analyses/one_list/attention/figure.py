"""The figures of ``analyses.one_list.attention``: all heads at a glance, and one enlarged.

They are drawn again at every change of the list, so they are kept light: one trace each, numbers as
they are in memory, and what a cell is of in the names of its row and column, not in its own text.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import plotly.graph_objects as go
from plotly.colors import get_colorscale

from analyses.one_list.answers import Attention
from analyses.one_list.attention.result import HeadMap, heads_of, span
from interp import figures
from interp.sites import head_name
from interp.task import Region

_SHORT = {Region.DIGITS: "in", Region.BLANKS: "blanks", Region.OUTPUTS: "out"}


def overview(attention: Attention, chosen: tuple[int, int] | None = None) -> go.Figure:
    """The emitting rows of every head: heads below each other, layers side by side.

    One heatmap, its cells laid out with gaps: wide ones between heads, one column wide where a new
    region of keys begins. The colour is the square root of the weight.

    Args:
        chosen: (layer, head) to frame.
    """
    weights = attention.pattern[:, :, -len(attention.emitted) :]
    n_layers, n_heads, n_rows, _ = weights.shape
    cut = np.insert(weights, list(attention.edges), np.nan, axis=-1)
    keys = np.insert(np.array(attention.labels, dtype=object), list(attention.edges), "").tolist()
    tall, wide = n_rows + max(1, n_rows // 6), len(keys) + max(2, len(keys) // 25)
    grid = np.full((n_heads * tall, n_layers * wide), np.nan, dtype=np.float32)
    for layer, head in heads_of(attention):
        corner = slice(head * tall, head * tall + n_rows), slice(layer * wide, None)
        grid[corner][:, : len(keys)] = cut[layer, head]
    figure = go.Figure(
        go.Heatmap(
            z=grid,
            x=_names("layer", n_layers, keys, wide),
            y=_names("head", n_heads, attention.row_labels, tall),
            hovertemplate="%{y}<br>%{x}<br>attention %{z:.3f}<extra></extra>",
            hoverongaps=False,
            colorscale=_square_root(figures.SEQUENTIAL),
            zmin=0,
            zmax=max(figures.FAINTEST_ATTENTION, float(weights.max())),
            colorbar=_bar("attention"),
        )
    )
    _overview_axes(figure, attention, tall, wide)
    if chosen in heads_of(attention):
        layer, head = chosen
        left, top = layer * wide - 1, head * tall - 0.75
        figure.add_shape(
            type="rect",
            x0=left,
            x1=left + len(keys) + 1,
            y0=top,
            y1=top + n_rows + 0.5,
            line={"color": figures.VERMILLION, "width": 2},
        )
    height = min(760, max(340, 4 * len(grid))) + 110
    return figures.style(figure, "Every head", height).update_layout(margin={"t": 80})


def _names(what: str, n: int, each: list[str], length: int) -> list[str]:
    """A name for every row or column of the grid; no two alike, gaps too."""
    padded = each + [""] * (length - len(each))
    return [f"{what} {i} · {name or f'gap {j}'}" for i in range(n) for j, name in enumerate(padded)]


def _overview_axes(figure: go.Figure, attention: Attention, tall: int, wide: int) -> None:
    n_layers, n_heads, *_ = attention.pattern.shape
    n_rows, width = len(attention.emitted), attention.pattern.shape[-1] + len(attention.edges)
    ticks = {}
    for region, short in _SHORT.items():
        at = span(attention, region)
        if at.stop > at.start:
            before = sum(edge <= at.start for edge in attention.edges)  # gaps left of it
            ticks[before + (at.start + at.stop - 1) / 2] = short
    places = [layer * wide + at for layer in range(n_layers) for at in ticks]
    figure.update_xaxes(
        type="category", tickvals=places, ticktext=[*ticks.values()] * n_layers, tickangle=0
    )
    figure.update_yaxes(
        type="category",
        tickvals=[head * tall + (n_rows - 1) / 2 for head in range(n_heads)],
        ticktext=[f"head {head}" for head in range(n_heads)],
        autorange="reversed",
    )
    for layer in range(n_layers):
        figure.add_annotation(
            text=f"layer {layer}",
            x=layer * wide + (width - 1) / 2,
            y=1,
            yref="paper",
            yanchor="bottom",
            showarrow=False,
        )


def enlarged(cells: HeadMap, head: tuple[int, int], signed: bool = False) -> go.Figure:
    """One head: rows are the positions that look, columns what they look at.

    Args:
        signed: a difference of attention, on a scale centred on zero.
    """
    what = "change of attention" if signed else "attention"
    top = max(figures.FAINTEST_ATTENTION, float(np.abs(cells.weights).max()))
    gap = 0.5 if len(cells.keys) <= figures.MOST_GAPPED else 0
    figure = go.Figure(
        go.Heatmap(
            z=cells.weights,
            x=cells.keys,
            y=cells.queries,
            hovertemplate="%{y}<br>looks at %{x}<br>" + what + " %{z:.3f}<extra></extra>",
            colorscale=figures.DIVERGING if signed else figures.SEQUENTIAL,
            zmin=-top if signed else 0,
            zmax=top,
            xgap=gap,
            ygap=gap,
            colorbar=_bar(what),
        )
    )
    columns = figures.label_axis(cells.keys)
    figure.update_xaxes(type="category", title="looked at", tickangle=-90, **columns)
    rows = figures.label_axis(cells.queries)
    figure.update_yaxes(type="category", autorange="reversed", **rows)
    figures.dividers(
        figure,
        columns=[edge - 0.5 for edge in cells.key_edges],
        rows=[edge - 0.5 for edge in cells.row_edges],
        colour=figures.ORANGE,
        width=1.5,
    )
    name = f"Head {head_name(head)}" + (": what the intervention changes" if signed else "")
    height = max(320, min(900, 14 * len(cells.queries) + 200))
    # Names of positions stand upright below the cells, and need their room.
    return figures.style(figure, name, height + 40).update_layout(margin={"b": 110})


def _bar(name: str) -> dict[str, Any]:
    return {"title": {"text": name, "side": "right"}, "thickness": 12}


def _square_root(scale: str) -> list[list[Any]]:
    """A colour scale on which a quarter of the range takes the colour of its middle."""
    return [[place**2, colour] for place, colour in get_colorscale(scale)]
