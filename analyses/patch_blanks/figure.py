"""The figure of ``analyses.patch_blanks``: effects by position, by place, and by head."""

from __future__ import annotations

from typing import Any

import plotly.graph_objects as go
from plotly import subplots

from analyses.experiment.minimal_pairs import HEAD_PLACES, PLACES
from analyses.patch_blanks.result import PatchResult
from interp import figures
from interp.methods.pair_runs import DIRECTIONS
from interp.sites import Component, place_name
from interp.stats import Estimate
from interp.task import Region

_ROW_HEIGHT = 24  # pixels of a head's row
_SITE_HEIGHT = 50  # and of a site's, in the panels of places, with two lines of text
_BETWEEN = 125  # pixels for a panel's tick labels and the next one's title
_WHAT = ("one clean position into the corrupted run", "one corrupted position into the clean run")


def figure(result: PatchResult) -> go.Figure:
    """Each direction by position; then places as a whole, with intervals; then single heads."""
    kept = int(result.understood.sum())
    if not kept:
        return figures.style(go.Figure(), "The model gets none of these pairs right: no effect")
    heads = _shown_heads(result)
    sites = len(result.sites)
    heights = [30 * sites, 30 * sites, _SITE_HEIGHT * sites, _ROW_HEIGHT * len(heads)]
    total = sum(heights) + _BETWEEN * (len(heights) - 1)
    fig = subplots.make_subplots(
        rows=4,
        cols=2,
        specs=[[{"colspan": 2}, None], [{"colspan": 2}, None], [{}, {}], [{}, {}]],
        row_heights=[height / sum(heights) for height in heights],
        vertical_spacing=_BETWEEN / total,
        horizontal_spacing=0.16,
        subplot_titles=[
            *(f"{d.capitalize()}: {w}" for d, w in zip(DIRECTIONS, _WHAT, strict=True)),
            *(f"{d.capitalize()}: places as a whole" for d in DIRECTIONS),
            *(f"{d.capitalize()}: single heads, in percent" for d in DIRECTIONS),
        ],
    )
    for direction in range(2):
        _draw_positions(fig, result, direction)
        _draw_places(fig, result, direction)
        _draw_heads(fig, result, direction, heads)
    of = f"{kept} pairs of lists, mean" if kept > 1 else "one pair of lists"
    lists = result.pairs.task.of_length(result.pairs.length)
    title = f"Share of the answer's change that a patch carries · {of}, {lists}"
    return figures.style(fig, title, height=total + 210).update_layout(
        margin={"l": 150, "t": 90, "b": 120}
    )


def _draw_positions(fig: go.Figure, result: PatchResult, direction: int) -> None:
    labels = result.pairs.task.labels(result.pairs.length)
    shown = [labels[p] for p in result.positions]
    means = result.by_position[:, result.understood].mean(1)
    # One position of many carries little on average: the scale is that of the largest mean.
    cells = figures.heatmap(
        means[direction].tolist(),
        shown,
        _site_labels(result),
        name="effect",
        signed=True,
        limit=max(0.05, float(means.abs().max())),
    )
    row = direction + 1
    cells.showscale = direction == 0
    fig.add_trace(cells, row=row, col=1)
    if direction == 0:
        span = fig.get_subplot(1, 1).yaxis.domain
        cells = fig.data[-1]
        cells.colorbar.update(len=span[1] - span[0], y=sum(span) / 2)
    fig.update_xaxes(tickangle=-90, **figures.label_axis(shown), row=row, col=1)
    _label_rows(fig, _site_labels(result), row, 1)
    task, length = result.pairs.task, result.pairs.length
    regions = (Region.SEP, Region.BLANKS, Region.LAST_BLANK, Region.OUTPUTS)
    starts = [span.start for region in regions if (span := task.region(region, length))]
    edges = [start - result.positions[0] - 0.5 for start in starts]
    figures.dividers(fig, columns=edges, row=row, col=1)


def _draw_places(fig: go.Figure, result: PatchResult, direction: int) -> None:
    present = [p for p in range(len(PLACES)) if result.place_estimate(direction, 0, p) is not None]
    table = [
        [e for place in present if (e := result.place_estimate(direction, site, place))]
        for site in range(len(result.sites))
    ]
    names = [PLACES[place] for place in present]
    cells = _cells(table, names, _site_labels(result))
    cells.text = [[e.percent(0).replace(" [", "<br>[") for e in row] for row in table]
    _add(fig, cells, names, _site_labels(result), 3, direction + 1)


def _draw_heads(fig: go.Figure, result: PatchResult, direction: int, heads: dict[int, str]) -> None:
    places = range(len(HEAD_PLACES))
    present = [p for p in places if result.head_estimate(direction, 0, p) is not None]
    table = [
        [e for place in present if (e := result.head_estimate(direction, site, place))]
        for site in heads
    ]
    names = [HEAD_PLACES[place] for place in present]
    cells = _cells(table, names, list(heads.values()))
    cells.text = [[f"{100 * e.value:.0f}".replace("-0", "0") for e in row] for row in table]
    _add(fig, cells, names, list(heads.values()), 4, direction + 1)


def _shown_heads(result: PatchResult) -> dict[int, str]:
    """Rows of the heads' panels: every output, then keys and values after the first layer.

    In the first layer queries, keys and values differ at the changed digit alone, and in the last
    queries matter at the answer row alone; those are in the JSON.
    """
    words = {Component.Z: "output", Component.K: "keys", Component.V: "values"}
    return {
        number: f"{words[site.component]} {site.layer}.{site.heads[0]}"
        for number, site in enumerate(result.heads)
        if site.heads
        and site.component in words
        and (site.layer > 0 or site.component is Component.Z)
    }


def _cells(table: list[list[Estimate]], x: list[str], y: list[str]) -> go.Heatmap:
    cells = figures.heatmap([[e.value for e in r] for r in table], x, y, name="effect", signed=True)
    cells.customdata = [
        [[row, column, e.percent(1), e.n] for column, e in zip(x, estimates, strict=True)]
        for row, estimates in zip(y, table, strict=True)
    ]
    cells.hovertemplate = (
        "%{customdata[0]} · %{customdata[1]}<br>%{customdata[2]}, n = %{customdata[3]}"
        "<extra></extra>"
    )
    cells.showscale = False
    cells.texttemplate = "%{text}"
    cells.textfont = {"size": 10}
    return cells


def _add(fig: go.Figure, cells: go.Heatmap, x: list[str], y: list[str], row: int, col: int) -> None:
    fig.add_trace(cells, row=row, col=col)
    fig.update_xaxes(tickangle=-35, **figures.label_axis(x), row=row, col=col)
    _label_rows(fig, y, row, col)


def _site_labels(result: PatchResult) -> list[str]:
    return [place_name(site.component, site.layer) for site in result.sites]


def _label_rows(fig: go.Figure, labels: list[str], row: int, col: int) -> None:
    ticks: dict[str, Any] = figures.label_axis(labels)
    fig.update_yaxes(autorange="reversed", showgrid=False, **ticks, row=row, col=col)
