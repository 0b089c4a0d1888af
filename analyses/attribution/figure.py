"""The figure of ``analyses.attribution``: who writes the answer, and how good guesses are."""

from __future__ import annotations

from typing import Any

import plotly.graph_objects as go
from plotly import subplots

from analyses.attribution.result import SOURCES, AttributionResult
from interp import figures
from interp.sites import Component, Site, head_name, place_name
from interp.stats import Estimate

_COLOURS = {
    "gradient": figures.VERMILLION,
    "integrated": figures.BLUE,
    "integrated inputs": figures.GREEN,
}
_SYMBOLS = {"gradient": "circle", "integrated": "square", "integrated inputs": "diamond"}
_SHOWN = 400  # points of a method in a scatter plot: those with the largest effects


def figure(result: AttributionResult) -> go.Figure:
    """Direct logit attribution, the guesses by position and one by one, and their agreement."""
    site = _short(result.patching.sites[result.patching.last_stream])
    fig = subplots.make_subplots(
        rows=4,
        cols=2,
        specs=[[{}, {}], [{"colspan": 2}, None], [{}, {}], [{}, {}]],
        row_heights=[0.3, 0.16, 0.27, 0.27],
        vertical_spacing=0.095,
        horizontal_spacing=0.14,
        subplot_titles=[
            "Who writes the answer (direct logit attribution)",
            "Where heads read it, logits",
            f"Patching the residual stream {site}, denoising: share of the whole effect",
            "Guess against exact, denoising",
            "Guess against exact, noising",
            "Rank correlation with the exact sweep, denoising",
            "Guesses sum to this share of the exact effects",
        ],
    )
    _draw_parts(fig, result)
    _draw_sources(fig, result)
    _draw_positions(fig, result)
    for direction in range(2):
        _draw_scatter(fig, result, direction)
    _draw_agreement(fig, result, "rank", 1)
    _draw_agreement(fig, result, "recovered", 2)
    lists, pairs = len(result.direct.total), len(result.patching.understood)
    of = result.task.of_length(result.length)
    title = f"Attribution · {lists} lists; {pairs} pairs of lists of {of}"
    figures.style(fig, title, height=1500)
    return fig.update_layout(margin={"l": 120, "t": 90}, legend={"y": -0.07}, scattermode="group")


def _short(site: Site) -> str:
    """``before layer 1``, ``head 0.4``"""
    if site.component is Component.Z and site.heads:
        return f"head {head_name((site.layer, site.heads[0]))}"
    return place_name(site.component, site.layer)


def _points(names: list[str], estimates: list[Estimate], axis: str) -> dict[str, Any]:
    """Values with their intervals along ``axis``."""
    values = [e.value for e in estimates]
    other = "y" if axis == "x" else "x"
    return {
        axis: values,
        other: names,
        f"error_{axis}": {
            "type": "data",
            "symmetric": False,
            "array": [e.high - e.value for e in estimates],
            "arrayminus": [e.value - e.low for e in estimates],
            "thickness": 1.2,
        },
        "customdata": [[e.low, e.high] for e in estimates],
        "hovertemplate": f"%{{{other}}}<br>%{{{axis}:.3f}}"
        " [%{customdata[0]:.3f}, %{customdata[1]:.3f}]<extra></extra>",
    }


def _draw_parts(fig: go.Figure, result: AttributionResult) -> None:
    names = [part.words for part in result.direct.parts]
    estimates = [result.part(number) for number in range(len(names))]
    bars = go.Bar(
        orientation="h",
        marker_color=figures.SKY,
        showlegend=False,
        **_points(names, estimates, "x"),
    )
    fig.add_trace(bars, row=1, col=1)
    fig.update_yaxes(autorange="reversed", tickfont={"size": 11}, dtick=1, row=1, col=1)
    fig.update_xaxes(title="logits, of the digit minus the others' mean", row=1, col=1)


def _draw_sources(fig: go.Figure, result: AttributionResult) -> None:
    heads = [head.words for head in result.direct.heads]
    cells = [[result.source(h, s) for s in range(len(SOURCES))] for h in range(len(heads))]
    values = [[e.value for e in row] for row in cells]
    trace = figures.heatmap(
        values,
        [source.value for source in SOURCES],
        heads,
        name="logits",
        signed=True,
        limit=max(0.05, *(abs(v) for row in values for v in row)),
    )
    trace.text = [[f"{value:.2f}" for value in row] for row in values]
    trace.texttemplate, trace.textfont = "%{text}", {"size": 10}
    trace.colorbar.update(len=0.22, y=0.89, title=None)
    fig.add_trace(trace, row=1, col=2)
    fig.update_xaxes(**figures.label_axis([s.value for s in SOURCES]), row=1, col=2)
    fig.update_yaxes(autorange="reversed", **figures.label_axis(heads), row=1, col=2)


def _draw_positions(fig: go.Figure, result: AttributionResult) -> None:
    found = result.patching
    every = [found.exact, *found.guessed]
    gap = float(found.gap[0].mean()) or 1.0
    means = [(effects[0, :, found.last_stream].mean(0) / gap).tolist() for effects in every]
    names = ["exact", *_COLOURS]
    limit = max(0.05, *(abs(v) for row in means for v in row))
    trace = figures.heatmap(means, found.labels, names, name="effect", signed=True, limit=limit)
    trace.colorbar.update(len=0.14, y=0.635, title=None)
    fig.add_trace(trace, row=2, col=1)
    fig.update_xaxes(tickangle=-90, **figures.label_axis(found.labels), row=2, col=1)
    fig.update_yaxes(autorange="reversed", **figures.label_axis(names), row=2, col=1)


def _draw_scatter(fig: go.Figure, result: AttributionResult, direction: int) -> None:
    found = result.patching
    exact = found.exact[direction][found.possible[direction]]
    if not len(exact):
        return
    for method, guessed in zip(_COLOURS, found.guessed, strict=True):
        guess = guessed[direction][found.possible[direction]]
        largest = exact.abs().maximum(guess.abs()).topk(min(_SHOWN, len(exact))).indices
        points = go.Scatter(
            x=exact[largest].tolist(),
            y=guess[largest].tolist(),
            mode="markers",
            marker={"color": _COLOURS[method], "symbol": _SYMBOLS[method], "size": 4},
            opacity=0.6,
            name=method,
            legendgroup=method,
            showlegend=False,
            hovertemplate=method + "<br>exact %{x:.2f}, guess %{y:.2f}<extra></extra>",
        )
        fig.add_trace(points, row=3, col=direction + 1)
    margin = 0.05 * float(exact.max() - exact.min())
    ends = [float(exact.min()) - margin, float(exact.max()) + margin]
    line = {"color": figures.GREY, "dash": "dot", "width": 1}
    fig.add_trace(
        go.Scatter(x=ends, y=ends, mode="lines", line=line, hoverinfo="skip", showlegend=False),
        row=3,
        col=direction + 1,
    )
    fig.update_xaxes(title="exact effect, logits", row=3, col=direction + 1)
    fig.update_yaxes(title="guess, logits", row=3, col=direction + 1)


def _draw_agreement(fig: go.Figure, result: AttributionResult, which: str, col: int) -> None:
    sites = [None, *range(len(result.patching.sites))]
    names = ["all", *(_short(site) for site in result.patching.sites)]
    for method in _COLOURS:
        every = [getattr(result.agreement(method, 0, site), which) for site in sites]
        there = [(name, e) for name, e in zip(names, every, strict=True) if e]
        points = go.Scatter(
            mode="markers",
            marker={"color": _COLOURS[method], "symbol": _SYMBOLS[method], "size": 7},
            name=method,
            legendgroup=method,
            offsetgroup=method,
            showlegend=col == 1,
            **_points([name for name, _ in there], [e for _, e in there], "y"),
        )
        fig.add_trace(points, row=4, col=col)
    fig.add_hline(y=1, line_dash="dot", line_color=figures.GREY, row=4, col=col)
    limits = [-1.05, 1.05] if which == "rank" else [-0.5, 3]
    order = {"categoryorder": "array", "categoryarray": names}
    fig.update_yaxes(range=limits, row=4, col=col)
    fig.update_xaxes(tickangle=-60, dtick=1, tickfont={"size": 11}, **order, row=4, col=col)
