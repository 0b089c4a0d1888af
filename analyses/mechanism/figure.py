"""The figure of ``analyses.mechanism``: what the head looks for, and when the model stays."""

from __future__ import annotations

import plotly.graph_objects as go
from plotly import subplots

from analyses.mechanism.result import MechanismResult, Turned, Weights
from analyses.mechanism.words import curve
from interp import figures
from interp.task import N_DIGITS


def figure(result: MechanismResult) -> go.Figure:
    """Scores of the head by digit; the share that stays; the hard and the soft program; what its
    number does, where it is a head of layer 0."""
    layer, head = result.head
    rows = 2 if result.turned is None else 3
    fig = subplots.make_subplots(
        rows=rows,
        cols=2,
        vertical_spacing=0.18 if rows == 2 else 0.15,
        horizontal_spacing=0.14,
        subplot_titles=[
            f"Score of head {layer}.{head}: row's digit by digit of the list",
            "… by digit among the outputs",
            "Share that says the digit again, by copies to come",
            "Lists that a program gets in every output, %",
            *([] if result.turned is None else _TITLES),
        ],
    )
    if result.weights is not None:
        _draw_scores(fig, result.weights, rows)
    _draw_curve(fig, result)
    _draw_judged(fig, result)
    if result.turned is not None:
        _draw_turned(fig, result.turned)
        _draw_exchanged(fig, result.turned)
    figures.style(fig, "Copies to come against copies out", 430 * rows)
    if result.turned is not None:
        _place_legends(fig)
    return fig


def _draw_scores(fig: go.Figure, weights: Weights, rows: int) -> None:
    digits, limit = list(range(N_DIGITS)), float(weights.scores.abs().max())
    for column, table in enumerate(weights.scores, 1):
        trace = go.Heatmap(
            z=table.tolist(), x=digits, y=digits, colorscale=figures.DIVERGING,
            zmin=-limit, zmax=limit, showscale=column == 2, xgap=1, ygap=1,
            colorbar={
                "title": {"text": "score"}, "thickness": 12,
                "len": 0.84 / rows, "y": 1 - 0.4 / rows,
            },
            hovertemplate="row's digit %{y}, key %{x}: %{z:.1f}<extra></extra>",
        )  # fmt: skip
        fig.add_trace(trace, row=1, col=column)
        fig.update_xaxes(title="key's digit", dtick=1, row=1, col=column)
        fig.update_yaxes(title="row's digit", dtick=1, row=1, col=column)


def _place_legends(fig: go.Figure) -> None:
    """Each below the row of panels that it is of."""
    above = fig.layout.yaxis3.domain[0]
    fig.update_layout(
        legend={"y": above - 0.06, "yanchor": "top"},
        legend2={**_BELOW, "y": -0.06, "title": {"text": "left:"}},
        legend3={**_BELOW, "y": -0.085, "title": {"text": "right:"}},
        margin_b=130,
    )


_BELOW = {"orientation": "h", "x": 0, "yanchor": "top"}
_TITLES = (
    "Said when its number is set after right prefixes, %",
    "As after a wrong prefix, with a part of that run, %",
)


def _draw_turned(fig: go.Figure, turned: Turned) -> None:
    looks = (
        (figures.GREY, "cross"),
        (figures.PURPLE, "x"),
        (figures.BLUE, "circle"),
        (figures.GREEN, "square"),
        (figures.VERMILLION, "diamond"),
    )
    numbers = turned.values.tolist()
    for (name, rates), (colour, symbol) in zip(turned.shares().items(), looks, strict=True):
        fig.add_trace(
            go.Scatter(
                x=numbers, y=[100 * rate.value for rate in rates], name=name, mode="lines+markers",
                line={"color": colour}, marker={"symbol": symbol, "size": 5},
                legend="legend2",
                hovertemplate=f"number %{{x:.2f}}: %{{y:.0f}} %, n = {len(turned.last)}"
                f"<extra>{name}</extra>",
            ),
            row=3, col=1,
        )  # fmt: skip
    figures.dividers(fig, turned.right, row=3, col=1)
    fig.update_xaxes(title="number; between the grey lines, 90 % of right prefixes", row=3, col=1)
    fig.update_yaxes(range=[-4, 104], row=3, col=1)


def _draw_exchanged(fig: go.Figure, turned: Turned) -> None:
    kinds = [each.kind for each in turned.exchanged]
    for what, name, colour, symbol in (
        ("nothing", "nothing of it", figures.GREY, "x"),
        ("another head", "another head, the best", figures.ORANGE, "diamond"),
        ("its number", "the number alone", figures.BLUE, "circle"),
    ):
        rates = [each.rates()[what] for each in turned.exchanged]
        trace = figures.rate_points(kinds, rates, name, colour, symbol)
        fig.add_trace(trace.update(showlegend=True, legend="legend3"), row=3, col=2)
    fig.update_yaxes(range=[-4, 104], row=3, col=2)


def _draw_curve(fig: go.Figure, result: MechanismResult) -> None:
    cells = curve(result)
    colours = (figures.GREY, figures.VERMILLION, figures.ORANGE, figures.BLUE)
    symbols = ("x", "circle", "diamond", "square")
    for left, (colour, symbol) in enumerate(zip(colours, symbols, strict=True)):
        own = [cell for cell in cells if cell["left"] == left]
        name = "none to come" if not left else f"{left} to come"
        fig.add_trace(
            go.Scatter(
                x=[cell["copies"] for cell in own], y=[100 * cell["stays"] for cell in own],
                customdata=[cell["n"] for cell in own], name=name, mode="lines+markers",
                line={"color": colour}, marker={"symbol": symbol, "size": 6},
                hovertemplate="%{x} copies in the list: %{y:.0f} %, n = %{customdata}"
                f"<extra>{name}</extra>",
            ),
            row=2, col=1,
        )  # fmt: skip
    fig.update_xaxes(title="copies in the list", row=2, col=1)
    fig.update_yaxes(title="stays, %", range=[-4, 104], row=2, col=1)


def _draw_judged(fig: go.Figure, result: MechanismResult) -> None:
    kinds = [each for each in result.judged if each.kind != "edited prefixes"]
    for soft, name, colour, symbol in (
        (False, "hard program", figures.PURPLE, "circle"),
        (True, "soft program", figures.GREEN, "diamond"),
    ):
        trace = figures.rate_points(
            [each.kind for each in kinds],
            [each.lists(soft) for each in kinds],
            name,
            colour,
            symbol,
        )
        fig.add_trace(trace.update(showlegend=True), row=2, col=2)
    fig.update_yaxes(range=[-4, 104], row=2, col=2)
