"""The ladder drawn: sizes from left to right, what was published last, in the same axes."""

from __future__ import annotations

from typing import Any

import plotly.graph_objects as go

from analyses.replication.ladder import ARMS, Rung
from analyses.replication.published import MAX_LEN, PUBLISHED
from interp import figures

_COLOURS = dict(zip(ARMS, (figures.BLUE, figures.ORANGE, figures.GREEN), strict=True))
_SYMBOLS = dict(zip(ARMS, ("circle", "square", "diamond"), strict=True))
_APART = 0.24  # between the arms of a rung
_LEFT, _RIGHT = 1, 3  # columns
PANEL_TITLES = {
    "shares": "The ladder: convergent runs, %, Wilson",
    "medians": "Median accuracy of the last sixth, %: each run; bars: published range",
    "crashes": "Crashes of a run, mean with bootstrap",
    "peaks": "Best batch of a run, %",
}


def draw_ladder(fig: go.Figure, rungs: tuple[Rung, ...], row: int) -> dict[str, tuple[int, int]]:
    """Four panels in the rows ``row`` and ``row + 2``.

    Returns:
        The row and column of each panel of ``PANEL_TITLES``, for whoever writes the titles.
    """
    for arm in ARMS:
        _shares(fig, rungs, arm, {"row": row, "col": _LEFT})
        _medians(fig, rungs, arm, {"row": row, "col": _RIGHT})
        _crashes(fig, rungs, arm, {"row": row + 2, "col": _LEFT})
        _peaks(fig, rungs, arm, {"row": row + 2, "col": _RIGHT})
    for below in (row, row + 2):
        for column in (_LEFT, _RIGHT):
            _axis(fig, rungs, below, column)
    fig.update_yaxes(range=[-3, 103], row=row)
    fig.update_yaxes(rangemode="tozero", row=row + 2, col=_LEFT)
    return {
        "shares": (row, _LEFT),
        "medians": (row, _RIGHT),
        "crashes": (row + 2, _LEFT),
        "peaks": (row + 2, _RIGHT),
    }


def _axis(fig: go.Figure, rungs: tuple[Rung, ...], row: int, column: int) -> None:
    labels = [f"{rung.study}<br>1–{rung.digits} digits" for rung in rungs]
    labels.append(f"published<br>1–{MAX_LEN} digits")
    fig.update_xaxes(
        tickvals=list(range(len(labels))),
        ticktext=labels,
        tickangle=0,
        tickfont={"size": 10},
        range=[-0.5, len(labels) - 0.5],
        zeroline=False,
        row=row,
        col=column,
    )


def _at(number: int, arm: str) -> float:
    return number + _APART * (ARMS.index(arm) - 1)


def _shares(fig: go.Figure, rungs: tuple[Rung, ...], arm: str, where: dict[str, int]) -> None:
    there = [(n, rung) for n, rung in enumerate(rungs) if arm in rung.outcomes]
    rates = [*(rung.outcomes[arm].share() for _, rung in there), PUBLISHED[arm].share]
    x = [_at(n, arm) for n in (*(n for n, _ in there), len(rungs))]
    points = figures.rate_points(x, rates, arm, _COLOURS[arm], _SYMBOLS[arm])
    fig.add_trace(points.update(hovertemplate=arm + ": %{customdata}<extra></extra>"), **where)


def _medians(fig: go.Figure, rungs: tuple[Rung, ...], arm: str, where: dict[str, int]) -> None:
    known = PUBLISHED[arm]
    for number, rung in enumerate(rungs):
        if arm in rung.outcomes:
            _dots(fig, arm, number, rung.outcomes[arm].medians, where)
    _dots(fig, arm, len(rungs), known.medians, where)
    _range(fig, arm, len(rungs), known.others, where)


def _peaks(fig: go.Figure, rungs: tuple[Rung, ...], arm: str, where: dict[str, int]) -> None:
    for number, rung in enumerate(rungs):
        if arm in rung.outcomes:
            _dots(fig, arm, number, tuple(rung.peaks(arm)), where)
    _range(fig, arm, len(rungs), PUBLISHED[arm].peaks, where)


def _crashes(fig: go.Figure, rungs: tuple[Rung, ...], arm: str, where: dict[str, int]) -> None:
    for number, rung in enumerate(rungs):
        if arm not in rung.outcomes:
            continue
        mean = rung.crashes(arm)
        error = {"array": [mean.high - mean.value], "arrayminus": [mean.value - mean.low]}
        fig.add_scatter(
            x=[_at(number, arm)],
            y=[mean.value],
            error_y={"type": "data", "symmetric": False, "thickness": 1.2, **error},
            mode="markers",
            marker=_marker(arm, 8),
            name=arm,
            hovertemplate=f"{arm}: %{{y:.1f}} crashes, n = {mean.n}<extra></extra>",
            **where,
        )


def _dots(
    fig: go.Figure, arm: str, number: int, values: tuple[float, ...], where: dict[str, int]
) -> None:
    fig.add_scatter(
        x=[_at(number, arm) + 0.03 * (n % 5 - 2) for n in range(len(values))],
        y=[100 * value for value in values],
        mode="markers",
        marker={**_marker(arm, 6), "opacity": 0.65},
        name=arm,
        hovertemplate=f"{arm}: %{{y:.1f}} %<extra></extra>",
        **where,
    )


def _range(
    fig: go.Figure, arm: str, number: int, ends: tuple[float, float], where: dict[str, int]
) -> None:
    low, high = (100 * end for end in ends)
    fig.add_scatter(
        x=[_at(number, arm)] * 2,
        y=[low, high],
        mode="lines",
        line={"color": _COLOURS[arm], "width": 7},
        opacity=0.5,
        name=arm,
        hovertemplate=f"{arm}, published: {low:.0f} to {high:.0f} %<extra></extra>",
        **where,
    )


def _marker(arm: str, size: int) -> dict[str, Any]:
    return {"color": _COLOURS[arm], "symbol": _SYMBOLS[arm], "size": size}


def key_words() -> str:
    """Which colour is which arm, for a title."""
    marks = {"circle": "●", "square": "■", "diamond": "◆"}
    return "  ".join(
        f'<span style="color:{_COLOURS[arm]}">{marks[_SYMBOLS[arm]]}</span> {arm}' for arm in ARMS
    )
