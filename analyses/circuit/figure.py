"""The drawn circuit as a figure: a panel for the first output and one for all later ones."""

from __future__ import annotations

from typing import TYPE_CHECKING

from analyses.circuit.layout import LOOKS, Line, Panel, panels
from analyses.circuit.result import PARTS
from interp import figures
from interp.support.lazy import lazy_import

if TYPE_CHECKING:
    import plotly.graph_objects as go

    from analyses.circuit.result import CircuitResult
else:
    go = lazy_import("plotly.graph_objects")

_POINTS = 16  # of a curve
_ROW_HEIGHT = 92  # pixels
_NARROWEST = 12.0  # node widths of a panel, so that edges end at their nodes
_DASHES = {"q": "dash", "k": "dot", "v": "solid", "in": "solid"}


def figure(result: CircuitResult) -> go.Figure:
    """Nodes by layer, bottom to top, and by region, left to right; edges by what they feed."""
    subplots = lazy_import("plotly.subplots")
    drawn = panels(result)
    if not drawn:
        return figures.style(go.Figure(), "No edge is needed: there is no answer to keep")
    fig = subplots.make_subplots(
        rows=len(drawn),
        cols=1,
        vertical_spacing=0.07,
        subplot_titles=[f"{panel.part.capitalize()}: {len(panel.lines)} edges" for panel in drawn],
    )
    for row, panel in enumerate(drawn, 1):
        _draw(fig, result, panel, row)
    for port in dict.fromkeys(line.edge.port for panel in drawn for line in panel.lines):
        name, colour, _ = LOOKS[port]
        style = {"color": colour, "width": 4, "dash": _DASHES[port]}
        fig.add_trace(go.Scatter(x=[None], y=[None], mode="lines", line=style, name=name))
    title = (
        f"The circuit that keeps the answer to {100 * result.keep:g} % · "
        f"{len(result.edges)} of {result.n_edges} edges, width by what is lost without each"
    )
    height = 190 + sum(_ROW_HEIGHT * panel.rows for panel in drawn)
    return figures.style(fig, title, height).update_layout(
        margin={"l": 20, "t": 100},
        legend={"orientation": "h", "x": 1, "xanchor": "right", "y": 1.0, "yanchor": "bottom"},
        hovermode="closest",
    )


def _draw(fig: go.Figure, result: CircuitResult, panel: Panel, row: int) -> None:
    for line in panel.lines:
        fig.add_trace(_curve(line), row=row, col=1)
    fig.add_trace(_handles(result, panel), row=row, col=1)
    fig.add_trace(_nodes(panel), row=row, col=1)
    for region, start, stop in panel.columns:
        fig.add_vrect(start, stop, fillcolor=figures.GRID, opacity=0.35, line_width=0,
        layer="below",
                      row=row, col=1)  # fmt: skip
        fig.add_annotation(
            x=(start + stop) / 2, y=-0.55, text=f"<b>{region}</b>", showarrow=False, row=row, col=1
        )
    across = [-0.1, max(panel.width, _NARROWEST) + 0.1]
    fig.update_xaxes(visible=False, range=across, row=row, col=1)
    fig.update_yaxes(visible=False, range=[-0.8, panel.rows - 0.5], row=row, col=1)


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
