"""Where the nodes and edges of a drawn circuit go: layers bottom to top, regions left to right."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import sqrt

from analyses.circuit.result import PARTS, CircuitResult
from interp import figures
from interp.edges import REGIONS, CircuitEdge, Node
from interp.task import Region

LOOKS = {
    "q": ("queries", figures.BLUE, "6 3"),
    "k": ("keys", figures.VERMILLION, "2 2"),
    "v": ("values", figures.GREEN, ""),
    "in": ("MLP and logits", figures.GREY, ""),
}
"""Of each port: its name, colour and dashes (so that nothing rests on colour alone)."""
_PORT_SHIFT = {"q": -0.16, "k": 0.0, "v": 0.16, "in": 0.0}  # where an edge ends, in node widths
_HALF = 0.17  # half the height of a node, in rows
_PAGE = 18.0  # node widths of a page
_GAP = 0.3  # between columns, in node widths
_WIDEST = 9.0  # pixels of an edge without which nothing is left


@dataclass(frozen=True)
class Spot:
    """A node in a region, and where its middle is: x in node widths, y in rows."""

    node: Node
    region: Region
    x: float
    y: float

    @property
    def label(self) -> str:
        return {"mlp": f"MLP {self.node.layer}"}.get(self.node.kind, str(self.node))


@dataclass(frozen=True)
class Line:
    """An edge from the top of its sender to the bottom of its receiver."""

    index: int
    """Among the edges of the drawn set."""
    edge: CircuitEdge
    effect: float
    """By how much the part's faithfulness falls without it."""
    x0: float
    y0: float
    x1: float
    y1: float

    @property
    def width(self) -> float:
        """In pixels."""
        return 1.0 + (_WIDEST - 1.0) * sqrt(min(1.0, max(0.0, self.effect)))

    def at(self, t: float) -> tuple[float, float]:
        """A point of the curve that leaves and arrives upright (a cubic Bézier)."""
        bend = self.bend
        a, b, c, d = (1 - t) ** 3, 3 * t * (1 - t) ** 2, 3 * t**2 * (1 - t), t**3
        x = (a + b) * self.x0 + (c + d) * self.x1
        y = a * self.y0 + b * (self.y0 + bend) + c * (self.y1 - bend) + d * self.y1
        return x, y

    @property
    def bend(self) -> float:
        return (self.y1 - self.y0) / 2


@dataclass(frozen=True)
class Panel:
    """The edges that lead to one part's outputs."""

    part: str
    spots: tuple[Spot, ...]
    lines: tuple[Line, ...]
    columns: tuple[tuple[Region, float, float], ...]
    """Each region with where its column starts and stops."""
    rows: int

    @property
    def width(self) -> float:
        return self.columns[-1][2] if self.columns else 1.0


def side_by_side(drawn: Sequence[Panel]) -> bool:
    """Whether panels are narrow enough to stand beside each other, and not below."""
    return sum(panel.width for panel in drawn) <= _PAGE


def panels(result: CircuitResult) -> list[Panel]:
    """One for each part that has edges."""
    made = [_panel(result, part) for part in range(len(PARTS))]
    return [panel for panel in made if panel.lines]


def _panel(result: CircuitResult, part: int) -> Panel:
    chosen = result.part_edges(part)
    spots, columns = _placed([result.edges[i] for i in chosen])
    lines = []
    for i in chosen:
        edge, effect = result.edges[i], result.mean_effects[i][part]
        a, b = spots[edge.sender, edge.source], spots[edge.receiver, edge.target]
        end = b.x + _PORT_SHIFT[edge.port]
        lines.append(Line(i, edge, effect, a.x, a.y + _HALF, end, b.y - _HALF))
    lines.sort(key=lambda line: -line.width)  # thin ones on top
    rows = 2 * result.n_layers + 2
    return Panel(PARTS[part], tuple(spots.values()), tuple(lines), tuple(columns), rows)


def _placed(
    edges: Sequence[CircuitEdge],
) -> tuple[dict[tuple[Node, Region], Spot], list[tuple[Region, float, float]]]:
    """Every node of some edges in its region's column, and the columns."""
    present = {(e.sender, e.source) for e in edges} | {(e.receiver, e.target) for e in edges}
    spots, columns, start = {}, [], 0.0
    for region in REGIONS:
        rows: dict[int, list[Node]] = {}
        for node in sorted(node for node, where in present if where == region):
            rows.setdefault(_row(node), []).append(node)
        if not rows:
            continue
        width = max(1.4, *(float(_places(row)) for row in rows.values()))
        for y, row in rows.items():
            for i, node in enumerate(row):
                x = start + width * (i + 0.5) / _places(row)
                spots[node, region] = Spot(node, region, x, float(y))
        columns.append((region, start, start + width))
        start += width + _GAP
    return spots, columns


def _places(row: Sequence[Node]) -> int:
    """How many to share a row out into: even for heads, so that none is in the way of edges that
    go straight up the middle of a column."""
    return len(row) + len(row) % 2 if row[0].kind == "head" else len(row)


def _row(node: Node) -> int:
    """Embedding, heads of layer 0, MLP 0, heads of layer 1, ..., logits."""
    return {"embed": 0, "mlp": 2 * node.layer + 2}.get(node.kind, 2 * node.layer + 1)
