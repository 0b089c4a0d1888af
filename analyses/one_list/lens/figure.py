"""The figure of ``analyses.one_list.lens``: a letter for every layer and position."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import plotly.graph_objects as go
from plotly import subplots

from analyses.one_list.lens.result import ListLens
from interp import figures
from interp.task import SortTask

TITLES = {
    "outputs": "Rows that emit the answer",
    "digits": "The list",
    "blanks": "Blanks, all but the last",
}
_MOST_TICKS = 50  # labels on an axis of positions: all of them, in every region
_ROW = 26  # pixels of a layer


def sign(task: SortTask, token: int) -> str:
    """In little room: a digit, ``_`` for BLANK, ``S`` for SEP."""
    return "S" if token == task.sep else task.token_label(token)


def lens_map(found: ListLens, regions: Sequence[str]) -> go.Figure:
    """Depths by positions, a panel for each region: the top token, coloured by its probability."""
    spans = [found.regions[region] for region in regions]
    panel, gap, top = _ROW * len(found.depths), 120, 80
    height = len(spans) * (panel + gap) + top
    fig = subplots.make_subplots(
        rows=len(spans),
        cols=1,
        subplot_titles=[TITLES[region] for region in regions],
        vertical_spacing=gap / (height - top - gap) if len(spans) > 1 else 0,
    )
    for row, span in enumerate(spans, 1):
        fig.add_trace(_cells(found, span), row=row, col=1)
        columns = figures.label_axis(_columns(found, span), _MOST_TICKS)
        fig.update_xaxes(tickangle=-90, **columns, row=row, col=1)
        depths = figures.label_axis(list(found.depths))
        fig.update_yaxes(autorange="reversed", **depths, row=row, col=1)
    fig.update_layout(coloraxis=probability_scale("probability"))
    figures.style(fig, "Logit lens: the most probable token by layer and position", height=height)
    return fig.update_layout(margin={"t": top, "b": 100})


def _cells(found: ListLens, span: range) -> go.Heatmap:
    label = found.task.token_label
    best = found.probabilities[:, span.start : span.stop].topk(2)
    tokens, chances = best.indices.tolist(), best.values.tolist()
    labels = [f"{found.labels[p]} (holds {found.given[p]})" for p in span]
    hover = [
        [
            f"{labels[x]} · {depth}<br>{label(t[0])} {p[0]:.3f}, then {label(t[1])} {p[1]:.3f}"
            for x, (t, p) in enumerate(zip(tokens[y], chances[y], strict=True))
        ]
        for y, depth in enumerate(found.depths)
    ]
    return go.Heatmap(
        z=[[p[0] for p in row] for row in chances],
        x=list(range(len(span))),
        y=list(range(len(found.depths))),
        text=[
            *([sign(found.task, t[0]) for t in row] for row in tokens[:-1]),
            _last_row(found, span),
        ],
        texttemplate="%{text}",
        textfont={"size": 12},
        hovertext=hover,
        hovertemplate="%{hovertext}<extra></extra>",
        coloraxis="coloraxis",
        xgap=0.5,
        ygap=0.5,
    )


def _last_row(found: ListLens, span: range) -> list[str]:
    """What the model itself says, wrong outputs marked."""
    said = found.logits[-1, span.start : span.stop].argmax(-1).tolist()
    if span != found.regions["outputs"]:
        return [sign(found.task, token) for token in said]
    right = found.right.tolist()
    return [sign(found.task, t) + ("" if t == r else "✗") for t, r in zip(said, right, strict=True)]


def _columns(found: ListLens, span: range) -> list[str]:
    """``out 3: 4`` where the token is not in the label's words."""
    return [
        found.labels[p] if found.labels[p].startswith(("blank", "SEP")) else _valued(found, p)
        for p in span
    ]


def _valued(found: ListLens, position: int) -> str:
    return f"{found.labels[position]}: {found.given[position]}"


def probability_scale(words: str) -> dict[str, Any]:
    return {
        "colorscale": figures.SEQUENTIAL,
        "cmin": 0,
        "cmax": 1,
        "colorbar": {"title": {"text": words, "side": "right"}, "thickness": 12},
    }
