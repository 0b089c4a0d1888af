"""The figure of ``analyses.path_blanks``: shares by route, and the blanks' route taken apart."""

from __future__ import annotations

import plotly.graph_objects as go
from plotly import subplots

from analyses.path_blanks.result import ROUTES, PathResult
from interp import figures
from interp.methods.pair_runs import DIRECTIONS

_ROW_HEIGHT = 30  # pixels of a writer's row
_BETWEEN = 110  # pixels for the upper panel's tick labels and the lower ones' titles
_LOOKS = ((figures.BLUE, "circle"), (figures.VERMILLION, "diamond"))


def figure(result: PathResult) -> go.Figure:
    """Above, each route with its intervals; below, writers by readers in each direction."""
    kept = int(result.understood.sum())
    if not kept:
        return figures.style(go.Figure(), "The model gets none of these pairs right: no effect")
    table = bool(result.writers)
    heights = [320, _ROW_HEIGHT * len(result.writers)] if table else [320]
    fig = subplots.make_subplots(
        rows=len(heights),
        cols=2,
        specs=[[{"colspan": 2}, None], [{}, {}]][: len(heights)],
        row_heights=heights,
        vertical_spacing=_BETWEEN / (sum(heights) + _BETWEEN) if table else 0,
        horizontal_spacing=0.16,
        subplot_titles=[
            "Share of the effect along each route from the list to the answer, in percent",
            *(
                f"{d.capitalize()}: through the blanks but the last, in percent"
                for d in DIRECTIONS
                if table
            ),
        ],
    )
    for direction in range(2):
        _draw_routes(fig, result, direction)
        if table:
            _draw_paths(fig, result, direction)
    of = f"{kept} pairs of lists, mean" if kept > 1 else "one pair of lists"
    lists = result.pairs.task.of_length(result.pairs.length)
    title = f"Does the answer pass through the blanks? · {of}, {lists}"
    height = sum(heights) + (_BETWEEN if table else 0) + 190
    return figures.style(fig, title, height=height).update_layout(
        margin={"l": 110, "t": 90, "b": 100},
        scattermode="group",
        scattergap=0.7,
        legend={"orientation": "h", "x": 1, "xanchor": "right", "y": 1.0, "yanchor": "bottom"},
    )


def _draw_routes(fig: go.Figure, result: PathResult, direction: int) -> None:
    found = {name: result.route(direction, name) for name in ROUTES}
    present = {name: estimate for name, estimate in found.items() if estimate is not None}
    colour, symbol = _LOOKS[direction]
    names = [_route_words(name) for name in present]
    rates = list(present.values())
    points = figures.rate_points(names, rates, DIRECTIONS[direction], colour, symbol)
    points.showlegend, points.cliponaxis = True, False
    fig.add_trace(points, row=1, col=1)
    fig.update_yaxes(rangemode="tozero", zeroline=True, row=1, col=1)


def _route_words(route: str) -> str:
    return {
        "all blanks": "<b>any blank</b>",
        "blanks": "blanks but<br>the last",
        "answer row": "the row itself<br>in layer 0",
    }.get(route, route)


def _draw_paths(fig: go.Figure, result: PathResult, direction: int) -> None:
    table = [
        [result.path(direction, i, j) for j in range(len(result.readers))]
        for i in range(len(result.writers))
    ]
    cells = figures.heatmap(
        [[None if e is None else e.value for e in row] for row in table],
        result.readers,
        result.writers,
        name="effect",
        signed=True,
    )
    cells.customdata = [
        [
            [f"{w} → blanks → {r}", "no such path" if e is None else f"{e.percent()}, n = {e.n}"]
            for r, e in zip(result.readers, row, strict=True)
        ]
        for w, row in zip(result.writers, table, strict=True)
    ]
    cells.hovertemplate = "%{customdata[0]}<br>%{customdata[1]}<extra></extra>"
    cells.text = [
        ["" if e is None else f"{100 * e.value:.0f}".replace("-0", "0") for e in row]
        for row in table
    ]
    cells.texttemplate, cells.textfont, cells.showscale = "%{text}", {"size": 10}, False
    column = direction + 1
    fig.add_trace(cells, row=2, col=column)
    readers, writers = figures.label_axis(result.readers), figures.label_axis(result.writers)
    fig.update_xaxes(title="read by", tickangle=-35, **readers, row=2, col=column)
    fig.update_yaxes(autorange="reversed", showgrid=False, **writers, row=2, col=column)
    if direction == 0:
        fig.update_yaxes(title="written by", row=2, col=column)
