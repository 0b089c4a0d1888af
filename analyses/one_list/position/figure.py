"""The figure of ``analyses.one_list.position``: every token's probability after every layer."""

from __future__ import annotations

import plotly.graph_objects as go

from analyses.one_list.lens.figure import probability_scale
from analyses.one_list.lens.result import ListLens
from interp import figures


def lens_position(found: ListLens, position: int) -> go.Figure:
    """Depths by tokens: the whole distribution at one position."""
    names = found.task.token_names
    chances = found.probabilities[:, position].tolist()
    cells = go.Heatmap(
        z=chances,
        x=list(range(found.task.d_vocab_out)),
        y=list(range(len(found.depths))),
        text=[[percent(p) for p in row] for row in chances],
        texttemplate="%{text}",
        textfont={"size": 12},
        customdata=[
            [[depth, label] for label in found.task.token_labels] for depth in found.depths
        ],
        hovertemplate="%{customdata[0]}: %{customdata[1]}<br>%{z:.5f}<extra></extra>",
        coloraxis="coloraxis",
        xgap=0.5,
        ygap=0.5,
    )
    fig = go.Figure(cells).update_layout(coloraxis=probability_scale("probability"))
    fig.update_xaxes(title="token", **figures.label_axis(names))
    depths = figures.label_axis(list(found.depths))
    fig.update_yaxes(autorange="reversed", **depths)
    title = f"Logit lens at {found.labels[position]} (holds {found.given[position]})"
    return figures.style(fig, title, height=160 + 34 * len(found.depths))


def percent(probability: float) -> str:
    """``97 %``; never certainty, and nothing where it is hardly there."""
    if probability < 0.005:
        return "·"
    return ">99 %" if probability > 0.995 else f"{100 * probability:.0f} %"
