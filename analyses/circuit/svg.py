"""The drawn circuit as SVG, to be put into a text: light or dark as the reader's page is."""

from __future__ import annotations

from collections.abc import Callable
from html import escape

from analyses.circuit.layout import LOOKS, Line, Panel, Spot, panels, side_by_side
from analyses.circuit.result import CircuitResult

_ACROSS, _UP = 66.0, 92.0  # pixels of a node's width and of a row
_MARGIN, _HEAD, _TITLE = 16.0, 78.0, 34.0
_STYLE = """
text { font: 12px 'Segoe UI', Helvetica, Arial, sans-serif; fill: #1d2733; text-anchor: middle }
.title { font-size: 15px; font-weight: 600; text-anchor: start } .about { text-anchor: start }
.region { fill: #7f7f7f; fill-opacity: .1 } .name { font-weight: 600 }
.node { fill: #f2f2f2; stroke: #7f7f7f; stroke-width: 1.5 } .label { fill: #000 }
path { fill: none; stroke-opacity: .75 }
@media (prefers-color-scheme: dark) { text { fill: #e6e6e6 } .label { fill: #000 } }
"""


def drawing(result: CircuitResult) -> str:
    """The whole picture, as the text of a file."""
    drawn, body = panels(result), []
    x, y, width, height = 0.0, _HEAD, 640.0, _HEAD
    beside = side_by_side(drawn)
    for panel in drawn:
        body.append(f'<g transform="translate({x:.0f} {y:.0f})">{_panel(panel)}</g>')
        right, bottom = x + panel.width * _ACROSS + 2 * _MARGIN, y + _height(panel)
        width, height = max(width, right), max(height, bottom)
        x, y = (right, y) if beside else (x, bottom)
    title = escape(
        f"The circuit that keeps the answer to {100 * result.keep:g} %: "
        f"{len(result.edges)} of {result.n_edges} edges"
    )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:.0f} {height:.0f}" '
        f'width="{width:.0f}" height="{height:.0f}" role="img" aria-label="{title}">'
        f"<title>{title}</title><style>{_STYLE}</style>"
        f'<text class="title" x="{_MARGIN}" y="24">{title}</text>{_legend()}{"".join(body)}</svg>\n'
    )


def _height(panel: Panel) -> float:
    return _TITLE + panel.rows * _UP


def _legend() -> str:
    parts, x = [], _MARGIN
    for name, colour, dashes in LOOKS.values():
        parts.append(
            f'<path d="M{x:.0f} 46h30" stroke="{colour}" stroke-width="4" '
            f'stroke-dasharray="{dashes or "none"}"/>'
            f'<text class="about" x="{x + 36:.0f}" y="50">{name}</text>'
        )
        x += 52 + 7 * len(name)
    return (
        "".join(parts)
        + f'<text class="about" x="{x:.0f}" y="50">width: what is lost without</text>'
    )


def _panel(panel: Panel) -> str:
    bottom = _height(panel) - 0.9 * _UP

    def place(x: float, y: float) -> tuple[float, float]:
        return _MARGIN + x * _ACROSS, bottom - y * _UP

    parts = [
        f'<text class="title" x="{_MARGIN}" y="16">'
        f"{panel.part.capitalize()}: {len(panel.lines)} edges</text>"
    ]
    for region, start, stop in panel.columns:
        x, y = place(start, panel.rows - 0.75)
        parts.append(
            f'<rect class="region" x="{x:.1f}" y="{y:.1f}" width="{(stop - start) * _ACROSS:.1f}" '
            f'height="{bottom + 0.65 * _UP - y:.1f}"/><text class="name" '
            f'x="{x + (stop - start) * _ACROSS / 2:.1f}" y="{bottom + 0.5 * _UP:.1f}">'
            f"{region}</text>"
        )
    parts += [_curve(line, place) for line in panel.lines]
    parts += [_node(spot, *place(spot.x, spot.y)) for spot in panel.spots]
    return "".join(parts)


def _curve(line: Line, place: Callable[[float, float], tuple[float, float]]) -> str:
    (x0, y0), (x1, y1) = place(line.x0, line.y0), place(line.x1, line.y1)
    bend = line.bend * _UP
    _, colour, dashes = LOOKS[line.edge.port]
    told = escape(f"{line.edge}: {100 * line.effect:.1f} % of the margin is lost without it")
    return (
        f'<path d="M{x0:.1f} {y0:.1f}C{x0:.1f} {y0 - bend:.1f} {x1:.1f} {y1 + bend:.1f} '
        f'{x1:.1f} {y1:.1f}" stroke="{colour}" stroke-width="{line.width:.1f}" '
        f'stroke-dasharray="{dashes or "none"}"><title>{told}</title></path>'
    )


def _node(spot: Spot, x: float, y: float) -> str:
    corner = 16 if spot.node.kind == "head" else 3
    told = escape(f"{spot.node.words}, {spot.region}")
    return (
        f'<g><title>{told}</title><rect class="node" x="{x - 24:.1f}" y="{y - 16:.1f}" width="48" '
        f'height="32" rx="{corner}"/><text class="label" x="{x:.1f}" y="{y + 4:.1f}">'
        f"{spot.label}</text></g>"
    )
