"""The drawn circuit as a figure: a panel for the first output and one for all later ones."""

from __future__ import annotations

import plotly.graph_objects as go
from plotly import subplots

from analyses.circuit.layout import LOOKS, Line, Panel, panels, side_by_side
from analyses.circuit.result import PARTS, CircuitResult
from interp import figures

_POINTS = 16  # of a curve
_ROW_HEIGHT = 92  # pixels
_NARROWEST = 12.0  # node widths of a panel, so that edges end at their nodes
_DASHES = {"q": "dash", "k": "dot", "v": "solid", "in": "solid"}


def figure(result: CircuitResult) -> go.Figure:
    """Nodes by layer, bottom to top, and by region, left to right; edges by what they feed."""
    drawn = panels(result)
    if not drawn:
        return figures.style(go.Figure(), "No edge is needed: there is no answer to keep")
    beside = side_by_side(drawn)
    titles = [f"{panel.part.capitalize()}: {len(panel.lines)} edges" for panel in drawn]
    fig = subplots.make_subplots(
        rows=1 if beside else len(drawn),
        cols=len(drawn) if beside else 1,
        column_widths=[panel.width for panel in drawn] if beside else None,
        horizontal_spacing=0.04,
        vertical_spacing=0.07,
        subplot_titles=titles,
    )
    for i, panel in enumerate(drawn, 1):
        _draw(fig, result, panel, (1, i) if beside else (i, 1), 0 if beside else _NARROWEST)
    for port in dict.fromkeys(line.edge.port for panel in drawn for line in panel.lines):
        name, colour, _ = LOOKS[port]
        style = {"color": colour, "width": 4, "dash": _DASHES[port]}
        fig.add_trace(go.Scatter(x=[None], y=[None], mode="lines", line=style, name=name))
    title = (
        f"The circuit that keeps the answer to {100 * result.keep:g} % · "
        f"{len(result.edges)} of {result.n_edges} edges, width by what is lost without each"
    )
    heights = [_ROW_HEIGHT * panel.rows for panel in drawn]
    height = 190 + (max(heights) if beside else sum(heights))
    return figures.style(fig, title, height).update_layout(
        margin={"l": 20, "t": 100},
        legend={"orientation": "h", "x": 1, "xanchor": "right", "y": 1.0, "yanchor": "bottom"},
        hovermode="closest",
    )


def _draw(
    fig: go.Figure, result: CircuitResult, panel: Panel, at: tuple[int, int], least: float
) -> None:
    where = dict(zip(("row", "col"), at, strict=True))
    for line in panel.lines:
        fig.add_trace(_curve(line), **where)
    fig.add_trace(_handles(result, panel), **where)
    fig.add_trace(_nodes(panel), **where)
    for region, start, stop in panel.columns:
        looks = {"fillcolor": figures.GRID, "opacity": 0.35, "line_width": 0, "layer": "below"}
        fig.add_vrect(start, stop, **looks, **where)
        name, middle = f"<b>{region}</b>", (start + stop) / 2
        fig.add_annotation(x=middle, y=-0.55, text=name, showarrow=False, **where)
    fig.update_xaxes(visible=False, range=[-0.1, max(panel.width, least) + 0.1], **where)
    fig.update_yaxes(visible=False, range=[-0.8, panel.rows - 0.5], **where)


def _curve(line: Line) -> go.Scatter:
    points = [line.at(i / (_POINTS - 1)) for i in range(_POINTS)]
    port = line.edge.port
    return go.Scatter(
        x=[x for x, _ in points],
        y=[y for _, y in points],
        mode="lines",
        line={"color": LOOKS[port][1], "width": line.width, "dash": _DASHES[port]},
        opacity=0.75,
        hoverinfo="skip",
        showlegend=False,
    )


def _handles(result: CircuitResult, panel: Panel) -> go.Scatter:
    """Where an edge is read by hovering: a dot near its end, where edges are apart."""
    points = [line.at(0.8) for line in panel.lines]
    part, texts = PARTS.index(panel.part), []
    for line in panel.lines:
        estimate = result.effect(line.index, part)
        lost = f"{estimate.percent()} of the margin, n = {estimate.n}" if estimate else "nothing"
        texts.append(f"{line.edge}<br>without it is lost {lost}")
    return go.Scatter(
        x=[x for x, _ in points],
        y=[y for _, y in points],
        mode="markers",
        marker={"size": 5, "color": [LOOKS[line.edge.port][1] for line in panel.lines]},
        text=texts,
        hovertemplate="%{text}<extra></extra>",
        showlegend=False,
    )


def _nodes(panel: Panel) -> go.Scatter:
    return go.Scatter(
        x=[spot.x for spot in panel.spots],
        y=[spot.y for spot in panel.spots],
        mode="markers+text",
        marker={
            "symbol": ["circle" if s.node.kind == "head" else "square" for s in panel.spots],
            "size": 34,
            "color": "#F2F2F2",
            "line": {"color": figures.GREY, "width": 1.5},
        },
        text=[spot.label for spot in panel.spots],
        textfont={"size": 11, "color": "black"},
        hovertext=[f"{spot.node.words}, {spot.region}" for spot in panel.spots],
        hoverinfo="text",
        showlegend=False,
    )
