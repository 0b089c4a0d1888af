"""The figure of ``heads.attention_patterns``: the table, the patterns, and the circuits."""

from __future__ import annotations

from typing import Any

import plotly.graph_objects as go
from plotly import subplots

from analyses.heads.attention_patterns.result import BEST, PatternResult
from interp import figures
from interp.sites import head_name
from interp.task import Region


def figure(result: PatternResult) -> go.Figure:
    """The table; mean patterns at the answer rows; the circuits: a panel for each head."""
    _, n_layers, n_heads, *_ = result.stats.mass.shape
    kinds = ("attention", "QK", "OV")
    heights = [36 * len(result.stats.heads) + 40] + 3 * n_layers * [230]
    gap = 75
    total = sum(heights) + gap * (len(heights) - 1)
    fig = subplots.make_subplots(
        rows=1 + 3 * n_layers,
        cols=n_heads,
        specs=[[{"colspan": n_heads}, *[None] * (n_heads - 1)]]
        + [[{} for _ in range(n_heads)] for _ in range(3 * n_layers)],
        row_heights=heights,
        vertical_spacing=gap / total,
        horizontal_spacing=min(0.035, 0.2 / n_heads),
        subplot_titles=["At the answer rows: attention to regions, targets above chance, shape"]
        + [_panel_title(result, kind, head) for kind in kinds for head in result.stats.heads],
    )
    _draw_table(fig, result)
    for layer, head in result.stats.heads:
        row, col = 2 + layer, 1 + head
        _draw_pattern(fig, result, (layer, head), row, col)
        _draw_circuit(fig, result, "score", (layer, head), row + n_layers, col)
        _draw_circuit(fig, result, "logit", (layer, head), row + 2 * n_layers, col)
    title = f"Where heads look · {result.stats.words}"
    figures.style(fig, title, total + 170)
    _scale(fig, result, heights, gap)
    fig.update_annotations(font_size=12)
    return fig.update_layout(margin={"t": 100, "l": 70})


def _panel_title(result: PatternResult, kind: str, head: tuple[int, int]) -> str:
    if kind == "attention":
        return f"{head_name(head)} attention"
    reach = float((result.qk if kind == "QK" else result.ov)[head].abs().max())
    return f"{head_name(head)} {kind}, ±{reach:.2g}"


def _draw_table(fig: go.Figure, result: PatternResult) -> None:
    shown = [name for name in result.table[0] if name != "entropy, bits"]
    names = [name for name in shown if any(row[name] is not None for row in result.table)]
    rows = [[row[name] for name in names] for row in result.table]
    values = [[float("nan") if e is None else e.value for e in row] for row in rows]
    heads = [head_name(head) for head in result.stats.heads]
    cells = figures.heatmap(values, names, heads, name="share", signed=True)
    cells.showscale = False
    cells.text = [
        [
            ("" if e is None else f"{round(e.value, 2) + 0.0:.2f}<br>[{e.low:.2f}, {e.high:.2f}]")
            + (f"<br>{offset} back" if name == BEST and offset is not None else "")
            for name, e in zip(names, row, strict=True)
        ]
        for row, offset in zip(rows, map(_best(result), result.stats.heads), strict=True)
    ]
    cells.texttemplate, cells.textfont = "%{text}", {"size": 9}
    fig.add_trace(cells, row=1, col=1)
    wrapped = [name.replace(" ", "<br>", 1) for name in names]
    fig.update_xaxes(tickangle=0, **figures.label_axis(wrapped), row=1, col=1)
    fig.update_yaxes(autorange="reversed", **figures.label_axis(heads), row=1, col=1)


def _best(result: PatternResult) -> Any:
    return lambda head: result.stats.best_offset(*head)


def _scale(fig: go.Figure, result: PatternResult, heights: list[int], gap: int) -> None:
    """One colour axis for all patterns, its bar beside their panels."""
    n_layers, total = result.stats.mass.shape[1], sum(heights) + gap * (len(heights) - 1)
    shares = (0.0, 0.01, 0.05, 0.1, 0.2, 0.5, 1.0)
    top, size = heights[0] + gap, sum(heights[1 : 1 + n_layers]) + gap * (n_layers - 1)
    fig.update_layout(
        coloraxis={
            "colorscale": figures.SEQUENTIAL,
            "cmin": 0,
            "cmax": float(result.stats.pattern.max().sqrt()),
            "colorbar": {
                "title": {"text": "attention", "side": "right"},
                "thickness": 12,
                "yanchor": "top",
                "y": 1 - top / total,
                "len": size / total,
                "tickvals": [share**0.5 for share in shares],
                "ticktext": [str(share) for share in shares],
            },
        }
    )


def _draw_pattern(
    fig: go.Figure, result: PatternResult, head: tuple[int, int], row: int, col: int
) -> None:
    """Rows against keys, with a line where a region begins; the colour is the square root."""
    stats, task = result.stats, result.stats.task
    start = task.max_len - stats.length
    labels = task.labels(stats.length)
    keys = labels[start : start + stats.pattern.shape[-1]]
    queries = [labels[position] for position in task.output_rows(stats.length)]
    pattern = stats.pattern[head]
    cells = figures.heatmap(pattern.sqrt().tolist(), keys, queries, name="attention")
    cells.update(xgap=0, ygap=0, coloraxis="coloraxis", customdata=pattern.tolist())
    cells.text = [[f"{query} · {key}" for key in keys] for query in queries]
    cells.hovertemplate = "%{text}<br>attention %{customdata:.3f}<extra></extra>"
    fig.add_trace(cells, row=row, col=col)
    spans = {
        region: [position - start for position in span]
        for region in (Region.DIGITS, Region.SEP, Region.BLANKS, Region.OUTPUTS)
        if (span := task.region(region, stats.length))
    }
    edges = [span[0] - 0.5 for span in spans.values()][1:]
    figures.dividers(fig, columns=edges, colour="#FFFFFF", row=row, col=col)
    named = {region: span for region, span in spans.items() if region is not Region.SEP}
    fig.update_xaxes(
        tickvals=[sum(span) / len(span) for span in named.values()],
        ticktext=[region.value for region in named],
        **_SMALL,
        row=row,
        col=col,
    )
    ticks = figures.label_axis(queries, 8) if col == 1 else {"showticklabels": False}
    fig.update_yaxes(autorange="reversed", **ticks, **_SMALL, row=row, col=col)


_SMALL: dict[str, Any] = {"tickfont": {"size": 10}, "tickangle": 0, "showgrid": False}


def _draw_circuit(
    fig: go.Figure, result: PatternResult, name: str, head: tuple[int, int], row: int, col: int
) -> None:
    values = (result.qk if name == "score" else result.ov)[head]
    tokens = result.stats.task.token_labels
    limit = max(1e-6, float(values.abs().max()))
    cells = figures.heatmap(values.tolist(), tokens, tokens, name=name, signed=True, limit=limit)
    cells.showscale = False
    fig.add_trace(cells, row=row, col=col)
    ticks: dict[str, Any] = figures.label_axis(tokens)
    rows: dict[str, Any] = {"showticklabels": False}
    across, down = {"score": ("key", "query"), "logit": ("output", "source")}[name]
    title = {"text": f"{across} token", "font": {"size": 11}, "standoff": 2}
    fig.update_xaxes(title=title, **ticks, **_SMALL, row=row, col=col)
    if col == 1:
        rows = {"title": f"{down} token", **ticks}
    fig.update_yaxes(autorange="reversed", **rows, **_SMALL, row=row, col=col)
