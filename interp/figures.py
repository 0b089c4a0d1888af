"""Building blocks of every figure: one palette, one label scheme, one way to a file.

Colours are Okabe and Ito's, which people with any colour vision tell apart; figures never rely on
colour alone. Backgrounds are transparent and lines mid-grey, so that a figure is legible on a light
page and on a dark one.
"""

from __future__ import annotations

import html
import json
import re
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from interp.support import files
from interp.support.lazy import lazy_import
from interp.support.plotly_script import TRACES, packed
from interp.task import Region

if TYPE_CHECKING:
    import numpy as np
    import plotly.graph_objects as go

    from interp.stats import Estimate
else:
    np = lazy_import("numpy")
    go = lazy_import("plotly.graph_objects")

BLUE, ORANGE, GREEN, VERMILLION = "#0072B2", "#E69F00", "#009E73", "#D55E00"
SKY, PURPLE, GREY = "#56B4E9", "#CC79A7", "#7F7F7F"
GRID = "rgba(127,127,127,0.25)"

REGION_COLOURS = {
    Region.DIGITS: BLUE,
    Region.SEP: PURPLE,
    Region.BLANKS: GREY,
    Region.LAST_BLANK: ORANGE,
    Region.OUTPUTS: GREEN,
    Region.PAD: "#D0D0D0",
}
SEQUENTIAL = "Cividis"  # for shares and probabilities: legible in grey and to all eyes
FAINTEST_ATTENTION = 0.05  # colours reach to the largest weight, but never blow up mere noise
MOST_GAPPED = 80  # columns; with more, the lines between cells would hide the cells
DIVERGING = "RdBu"  # for effects with a sign; always centred on zero


def style(figure: go.Figure, title: str = "", height: int = 420) -> go.Figure:
    """Margins, fonts and grid of the house, on any figure that has its traces; returns it."""
    # Set one by one: `update_layout` and `update_xaxes` take several times as long.
    layout, clear = figure.layout, "rgba(0,0,0,0)"
    head, margin, legend = layout.title, layout.margin, layout.legend
    head.text, head.x, head.xanchor, head.font.size = title, 0, "left", 16
    margin.l, margin.r, margin.t, margin.b = 60, 20, 60 if title else 20, 60
    legend.orientation, legend.y, legend.x = "h", -0.2, 0
    layout.height, layout.paper_bgcolor, layout.plot_bgcolor = height, clear, clear
    layout.font.family = "Source Sans Pro, Segoe UI, Helvetica, Arial, sans-serif"
    layout.font.size = 13
    for axis in (*figure.select_xaxes(), *figure.select_yaxes()):
        axis.gridcolor, axis.zerolinecolor, axis.automargin = GRID, GREY, True
    maps = list(figure.select_traces({"type": "heatmap"}))
    for name in {trace[f"{side}axis"] or side for trace in maps for side in "xy"}:
        axis = layout[f"{name[0]}axis{name[1:]}"]
        axis.showgrid = axis.zeroline = False  # lines would show where a cell is empty
    return figure


def heatmap(
    values: Any, x: list[str], y: list[str], *, name: str, signed: bool = False, limit: float = 1.0
) -> go.Heatmap:
    """A heatmap over labelled rows and columns, read by hovering as well as by colour.

    Args:
        values: [len(y), len(x)] numbers; NaN cells are left blank.
        name: what a cell's number is, for the hover text and the colour bar.
        signed: a diverging scale centred on zero, reaching to ``limit`` on both sides.
        limit: the top of the scale.
    """
    # Positions of a list may share a label (pad): plot against numbers, and label the ticks.
    names = np.empty((len(y), len(x), 2), object)  # lists Plotly would check one by one
    names[..., 0], names[..., 1] = np.array(y, object)[:, None], np.array(x, object)
    return go.Heatmap(
        z=values,
        x=list(range(len(x))),
        y=list(range(len(y))),
        customdata=names,
        hovertemplate="%{customdata[0]} · %{customdata[1]}<br>" + name + " %{z:.3f}<extra></extra>",
        colorscale=DIVERGING if signed else SEQUENTIAL,
        zmin=-limit if signed else 0.0,
        zmax=limit,
        colorbar={"title": {"text": name, "side": "right"}, "thickness": 12},
        xgap=0.5,
        ygap=0.5,
    )


def dividers(
    figure: go.Figure,
    columns: Iterable[float] = (),
    rows: Iterable[float] = (),
    *,
    colour: str = GREY,
    width: float = 1.0,
    row: int | None = None,
    col: int | None = None,
) -> None:
    """Lines across a panel, as ``add_vline`` and ``add_hline`` draw them, in a tenth of the time.

    Args:
        columns: where a line goes from top to bottom.
        rows: where one goes from left to right.
        row, col: the panel, in a figure of several.
    """
    axes = figure.layout if row is None else figure.get_subplot(row, col)
    x, y = (axis.plotly_name.replace("axis", "") for axis in (axes.xaxis, axes.yaxis))
    line = {"color": colour, "width": width}
    across = {"type": "line", "line": line, "xref": x, "yref": f"{y} domain", "y0": 0, "y1": 1}
    along = {"type": "line", "line": line, "yref": y, "xref": f"{x} domain", "x0": 0, "x1": 1}
    lines = [{**across, "x0": at, "x1": at} for at in columns]
    lines += [{**along, "y0": at, "y1": at} for at in rows]
    figure.layout.shapes = (*figure.layout.shapes, *lines)


def agreement_cells(agrees: Any, x: list[Any], y: list[str], text: Any, **more: Any) -> go.Heatmap:
    """Cells that are green or red, each with its text, for tables of right and wrong.

    Args:
        agrees: [len(y), len(x)], 1 or 0.
        more: further properties of the trace, such as ``hovertemplate``.
    """
    return go.Heatmap(
        z=agrees,
        x=x,
        y=y,
        text=text,
        texttemplate="%{text}",
        textfont={"color": "black", "size": 12},
        colorscale=[[0, "#F4A582"], [1, "#A6DBC8"]],
        zmin=0,
        zmax=1,
        showscale=False,
        xgap=2,
        ygap=2,
        **more,
    )


def share_cells(
    shares: Sequence[Sequence[float | None]], words: Sequence[Sequence[str]], x: Any, y: Any
) -> go.Heatmap:
    """Cells coloured by a share, each with its percentage; empty where there is none.

    Args:
        shares: [len(y), len(x)].
        words: of every cell, for who points at it.
    """
    return go.Heatmap(
        z=shares,
        x=x,
        y=y,
        text=[["" if v is None else f"{100 * v:.1f}" for v in line] for line in shares],
        texttemplate="%{text}",
        customdata=words,
        hovertemplate="%{y} · %{x}<br>%{customdata}<extra></extra>",
        colorscale=SEQUENTIAL,
        zmin=0,
        zmax=1,
        showscale=False,
        xgap=2,
        ygap=2,
    )


def rate_points(
    x: list[Any], rates: list[Estimate], name: str, colour: str, symbol: str = "circle"
) -> go.Scatter:
    """Rates in percent with their intervals; the marker's shape tells series apart as well."""
    values = [100 * rate.value for rate in rates]
    return go.Scatter(
        x=x,
        y=values,
        error_y={
            "type": "data",
            "symmetric": False,
            "array": [100 * rate.high - v for rate, v in zip(rates, values, strict=True)],
            "arrayminus": [v - 100 * rate.low for rate, v in zip(rates, values, strict=True)],
            "thickness": 1.2,
        },
        mode="markers",
        marker={"color": colour, "symbol": symbol, "size": 8},
        line={"color": colour, "width": 1.5},
        name=name,
        legendgroup=name,
        offsetgroup=name,
        showlegend=False,
        customdata=[rate.percent() for rate in rates],
        hovertemplate=name + " · %{x}<br>%{customdata}<extra></extra>",
    )


def label_axis(labels: list[str], most: int = 40) -> dict[str, Any]:
    """Ticks for an axis of positions: every label where they fit, else evenly thinned."""
    stride = max(1, -(-len(labels) // most))
    shown = list(range(0, len(labels), stride))
    return {"tickmode": "array", "tickvals": shown, "ticktext": [labels[i] for i in shown]}


def attention_heatmap(pattern: Any, queries: list[str], keys: list[str], title: str) -> go.Figure:
    """One head's attention: rows are queries, top to bottom; columns the keys they attend to."""
    figure = go.Figure(heatmap(pattern, keys, queries, name="attention"))
    figure.update_xaxes(title="key", tickangle=-90, **label_axis(keys))
    figure.update_yaxes(title="query", autorange="reversed", **label_axis(queries))
    return style(figure, title, height=max(420, min(900, 14 * len(queries) + 160)))


_OURS = r'/?(?:br|sup|sub|b|i|em|extra) ?/?>|span style="color:#[0-9A-F]{6}">|/span>'
_OWN_TAG = re.compile(f"<(?!{_OURS})", re.IGNORECASE)


def unlinked(figure: go.Figure) -> go.Figure:
    """``figure``, in whose texts nothing but our own plain tags is one.

    Plotly reads texts as a kind of HTML. The name of a run, a folder, can be a link or a style that
    fetches something; neither is ever meant.
    """
    return retold(figure, _without_links)


def parts_unlinked(parts: dict[str, Any]) -> dict[str, Any]:
    """The parts of a figure as :func:`unlinked` has them."""
    return parts_retold(parts, _without_links)


def _without_links(text: str) -> str:
    return _OWN_TAG.sub("&lt;", text) if "<" in text else text


def retold(figure: go.Figure, change: Callable[[str], str]) -> go.Figure:
    """``figure`` with every text in it changed so; the same object, where that changes nothing."""
    parts = figure.to_dict()
    changed = parts_retold(parts, change)
    return figure if changed is parts else go.Figure(changed)


def copied(
    figure: go.Figure, change: Callable[[dict[str, Any]], dict[str, Any]] | None = None
) -> go.Figure:
    """A copy, of parts that are changed so. Its template, Plotly's own as in every figure of ours,
    is not checked once more: that takes several times as long as the rest."""
    parts = figure.to_dict()
    parts["layout"].pop("template", None)
    return go.Figure(change(parts) if change else parts)


def parts_retold(value: Any, change: Callable[[str], str]) -> Any:
    """The parts of a figure, every text in them changed so; the same object, where none changes."""
    if isinstance(value, str):
        return value if (changed := change(value)) == value else changed
    if isinstance(value, dict):
        told = {key: parts_retold(one, change) for key, one in value.items()}
        return told if any(told[key] is not one for key, one in value.items()) else value
    if isinstance(value, list | tuple) or _is_array_of_text(value):
        kept = list(value)
        each = [parts_retold(one, change) for one in kept]
        return each if any(a is not b for a, b in zip(each, kept, strict=True)) else value
    return value


def _is_array_of_text(value: Any) -> bool:
    return getattr(getattr(value, "dtype", None), "kind", None) in ("O", "U")


CONFIG = {
    "displaylogo": False,
    "responsive": True,
    "showSendToCloud": False,  # else there is a button that uploads the figure
    "plotlyServerURL": "",
}
"""For Plotly's script, wherever a figure is drawn."""


def write_html(figure: go.Figure, path: Path) -> None:
    """A page with everything inside: it opens offline, anywhere."""
    files.write_text(path, html_page(figure))


def html_page(figure: go.Figure) -> str:
    """What :func:`write_html` writes."""
    figure = unlinked(figure)
    kinds = frozenset({trace.type for trace in figure.data} | TRACES)
    title = html.escape(re.sub("<[^>]*>", " ", str(figure.layout.title.text or "A figure")))
    parts = {
        "TITLE": title,
        "SCRIPT": packed(kinds),
        "FIGURE": _in_page(figure),
        "CONFIG": json.dumps(CONFIG),
    }
    return re.sub("|".join(parts), lambda found: parts[found[0]], _PAGE)


# Transparent figures take the page's colours, so the page says what they are in dark mode.
_PAGE = """<!DOCTYPE html>
<html><head><meta charset="utf-8"><title>TITLE</title>
<style>:root{color-scheme:light}body{background:#fff;margin:16px}</style></head>
<body><div id="figure"></div>
<script type="text/plain" id="packed">SCRIPT</script>
<script>
(async () => {
  const packed = atob(document.getElementById("packed").textContent);
  const bytes = Uint8Array.from(packed, (one) => one.charCodeAt(0));
  const script = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
  (0, eval)(await new Response(script).text());
  const figure = FIGURE;
  await Plotly.newPlot("figure", figure.data, figure.layout, CONFIG);
})();
</script></body></html>
"""


def _in_page(figure: go.Figure) -> str:
    """JSON in which nothing ends a script."""
    found: str = figure.to_json()
    return found.replace("<", "\\u003c")
