"""The figures of ``analyses.one_list.inside.body``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from interp import figures
from interp.support.lazy import lazy_import
from interp.task import BLANK, D_VOCAB_OUT, SEP, TOKEN_LABELS

if TYPE_CHECKING:
    import plotly.graph_objects as go

    from analyses.one_list.inside.neurons import ListNeurons
    from analyses.one_list.inside.result import ListDirect, ListLens
else:
    go = lazy_import("plotly.graph_objects")

SIGNS = {BLANK: "_", SEP: "S"}
"""In cells, which are one letter wide; digits stand for themselves."""
TITLES = {
    "outputs": "Rows that emit the answer",
    "digits": "The list",
    "blanks": "Blanks, all but the last",
}
_MOST_TICKS = 50  # labels on an axis of positions: all of them, in every region
_ROW = 26  # pixels of a layer


def sign(token: int) -> str:
    """One letter: a digit, ``_`` for BLANK, ``S`` for SEP."""
    return SIGNS.get(token, str(token))


# -- the lens -----------------------------------------------------------------------------------


def lens_map(found: ListLens, regions: Sequence[str]) -> go.Figure:
    """Depths by positions, a panel for each region: the top token, coloured by its probability."""
    subplots = lazy_import("plotly.subplots")
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
        fig.update_xaxes(tickangle=-90, showgrid=False, **columns, row=row, col=1)
        depths = figures.label_axis(list(found.depths))
        fig.update_yaxes(
            autorange="reversed", showgrid=False, zeroline=False, **depths, row=row, col=1
        )
    fig.update_xaxes(zeroline=False)
    fig.update_layout(coloraxis=_scale("probability"))
    figures.style(fig, "Logit lens: the most probable token by layer and position", height=height)
    return fig.update_layout(margin={"t": top, "b": 100})


def _cells(found: ListLens, span: range) -> go.Heatmap:
    best = found.probabilities[:, span.start : span.stop].topk(2)
    tokens, chances = best.indices.tolist(), best.values.tolist()
    labels = [f"{found.labels[p]} (holds {found.given[p]})" for p in span]
    hover = [
        [
            f"{labels[x]} · {depth}<br>{TOKEN_LABELS[t[0]]} {p[0]:.3f}, "
            f"then {TOKEN_LABELS[t[1]]} {p[1]:.3f}"
            for x, (t, p) in enumerate(zip(tokens[y], chances[y], strict=True))
        ]
        for y, depth in enumerate(found.depths)
    ]
    return go.Heatmap(
        z=[[p[0] for p in row] for row in chances],
        x=list(range(len(span))),
        y=list(range(len(found.depths))),
        text=[*([sign(t[0]) for t in row] for row in tokens[:-1]), _last_row(found, span)],
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
        return [sign(token) for token in said]
    right = found.right.tolist()
    return [sign(t) + ("" if t == r else "✗") for t, r in zip(said, right, strict=True)]


def _columns(found: ListLens, span: range) -> list[str]:
    """``out 3: 4`` where the token is not in the label's words."""
    return [
        found.labels[p] if found.labels[p].startswith(("blank", "SEP")) else _valued(found, p)
        for p in span
    ]


def _valued(found: ListLens, position: int) -> str:
    return f"{found.labels[position]}: {found.given[position]}"


def _scale(words: str) -> dict[str, Any]:
    return {
        "colorscale": figures.SEQUENTIAL,
        "cmin": 0,
        "cmax": 1,
        "colorbar": {"title": {"text": words, "side": "right"}, "thickness": 12},
    }


def lens_position(found: ListLens, position: int) -> go.Figure:
    """Depths by tokens: the whole distribution at one position."""
    chances = found.probabilities[:, position].tolist()
    cells = go.Heatmap(
        z=chances,
        x=list(range(D_VOCAB_OUT)),
        y=list(range(len(found.depths))),
        text=[[percent(p) for p in row] for row in chances],
        texttemplate="%{text}",
        textfont={"size": 12},
        customdata=[
            [[depth, TOKEN_LABELS[t]] for t in range(D_VOCAB_OUT)] for depth in found.depths
        ],
        hovertemplate="%{customdata[0]}: %{customdata[1]}<br>%{z:.5f}<extra></extra>",
        coloraxis="coloraxis",
        xgap=0.5,
        ygap=0.5,
    )
    fig = go.Figure(cells).update_layout(coloraxis=_scale("probability"))
    tokens = ["BLANK" if t == BLANK else TOKEN_LABELS[t] for t in range(D_VOCAB_OUT)]
    fig.update_xaxes(title="token", showgrid=False, zeroline=False, **figures.label_axis(tokens))
    depths = figures.label_axis(list(found.depths))
    fig.update_yaxes(autorange="reversed", showgrid=False, zeroline=False, **depths)
    title = f"Logit lens at {found.labels[position]} (holds {found.given[position]})"
    return figures.style(fig, title, height=160 + 34 * len(found.depths))


def percent(probability: float) -> str:
    """``97 %``; never certainty, and nothing where it is hardly there."""
    if probability < 0.005:
        return "·"
    return ">99 %" if probability > 0.995 else f"{100 * probability:.0f} %"


# -- direct logit attribution -------------------------------------------------------------------


def direct_bars(found: ListDirect, output: int, sources: Sequence[str]) -> go.Figure:
    """What each part adds to the margin; and where each head reads its share."""
    subplots = lazy_import("plotly.subplots")
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
    fig.update_xaxes(tickangle=-40, showgrid=False, zeroline=False, **columns, row=1, col=2)
    heads = figures.label_axis(list(found.heads))
    fig.update_yaxes(autorange="reversed", showgrid=False, zeroline=False, **heads, row=1, col=2)
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


# -- neurons ------------------------------------------------------------------------------------


def neuron_bars(found: ListNeurons, output: int, top: int) -> go.Figure:
    """The neurons with the largest effects: by zero ablation, and what they write directly."""
    order = found.lost.abs().argsort(descending=True)[:top]
    names = [f"neuron {n}" for n in found.neurons[order].tolist()]
    lost, direct = found.lost[order].tolist(), found.direct[order].tolist()
    colours = [figures.BLUE if value >= 0 else figures.VERMILLION for value in lost]
    fig = go.Figure()
    fig.add_bar(
        x=names,
        y=lost,
        marker_color=colours,
        name="lost when zeroed",
        hovertemplate="%{x}<br>lost when zeroed: %{y:+.4f}<extra></extra>",
    )
    fig.add_scatter(
        x=names,
        y=direct,
        mode="markers",
        marker={
            "symbol": "diamond",
            "size": 10,
            "color": figures.ORANGE,
            "line": {"color": "white", "width": 1.5},  # to stand out from the bars
        },
        name="written directly at the row",
        hovertemplate="%{x}<br>written directly: %{y:+.4f}<extra></extra>",
    )
    fig.update_xaxes(tickangle=-60, dtick=1)
    fig.update_yaxes(title="margin, logits")
    title = f"Neurons of layer {found.layer} for output {output}: {found.margin.words}"
    return figures.style(fig, title, height=440).update_layout(
        legend={"y": 1.02, "yanchor": "bottom"}, margin={"t": 90, "b": 100}
    )
