"""The figure of ``analyses.replication``: every run's raw curve, then the arms side by side."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import plotly.graph_objects as go
from plotly import subplots

from analyses.replication.ladder_figure import PANEL_TITLES, draw_ladder, key_words
from analyses.replication.result import THRESHOLDS, ReplicationResult
from interp import figures
from training.studies.results import RunResult

COLUMNS, ROWS_AN_ARM = 5, 2  # 2 x 5 curves an arm, as published
_CELL, _PANEL, _LABELS, _GAP = 105, 330, 50, 46  # pixels: a curve, a panel, its labels, between
_MANY = 10  # arms: with more, their labels stand upright
_COLOURS = (figures.BLUE, figures.ORANGE, figures.GREEN, figures.VERMILLION, figures.PURPLE)
_SYMBOLS = ("circle", "square", "diamond", "triangle-up", "x", "star", "hexagon", "cross")
_DOTTED = {"color": figures.GREY, "width": 0.7, "dash": "dot"}
_DASHES = ("solid", "dash", "dot", "dashdot", "longdash")


def figure(result: ReplicationResult) -> go.Figure:
    """Curves arm by arm, at most ten each; shares, medians, thresholds, and content of blanks."""
    cells = list(_cells(result))
    rows = cells[-1][1]
    more = [_LABELS, _PANEL, _LABELS, _PANEL] if result.rungs else []
    heights = [_CELL] * rows + [_PANEL, _LABELS, _PANEL, *more]
    total = sum(heights) + _GAP * (len(heights) + 2)
    wide: list[Any] = [{"colspan": 2}, None, {"colspan": 3}, None, None]
    fig = subplots.make_subplots(
        rows=len(heights),
        cols=COLUMNS,
        specs=[
            [{}] * COLUMNS if h == _CELL else [None] * COLUMNS if h == _LABELS else wide
            for h in heights
        ],
        row_heights=heights,
        vertical_spacing=_GAP / total,
        horizontal_spacing=0.025,
    )
    for run, row, column in cells:
        _draw_curves(fig, result, run, row, column)
    _label_cells(fig, result, cells)
    _draw_shares(fig, result, rows + 1)
    _draw_medians(fig, result, rows + 1)
    _draw_thresholds(fig, result, rows + 3)
    _draw_content(fig, result, rows + 3)
    if result.rungs:
        for panel, place in draw_ladder(fig, result.rungs, rows + 5).items():
            key = f" · {key_words()}" if panel == "peaks" else ""
            _panel_title(fig, PANEL_TITLES[panel] + key, *place)
    plan = result.study.plan
    title = (
        f"Study {plan.name}: accuracy on the training batches (line) and on held-out lists (dots)"
    )
    figures.style(fig, title, height=total + 110)
    return fig.update_layout(margin={"l": 70, "t": 80, "b": 120}, showlegend=False)


def _cells(result: ReplicationResult) -> Iterator[tuple[RunResult, int, int]]:
    """The runs that are drawn, with the row and column of each."""
    row = 0
    for arm in result.study.plan.arms:
        runs = result.study.of(arm.name)[: COLUMNS * ROWS_AN_ARM]
        for number, run in enumerate(runs):
            column = number % COLUMNS
            row += column == 0
            yield run, row, column + 1


def _draw_curves(
    fig: go.Figure, result: ReplicationResult, run: RunResult, row: int, column: int
) -> None:
    plan = result.study.plan
    where: dict[str, Any] = {"row": row, "col": column}
    colour = figures.BLUE if run.convergent else figures.GREY
    batch, held_out = run.curves.batch, run.curves.held_out
    fig.add_scatter(
        x=batch.steps,
        y=batch.values,
        mode="lines",
        line={"color": colour, "width": 1.6 if run.convergent else 0.9},
        hovertemplate="step %{x}, training batch %{y:.3f}<extra></extra>",
        **where,
    )
    fig.add_scatter(
        x=held_out.steps,
        y=held_out.values,
        mode="markers",
        marker={"color": figures.ORANGE, "size": 4, "line": {"color": "black", "width": 0.4}},
        hovertemplate="step %{x}, held-out %{y:.3f}<extra></extra>",
        **where,
    )
    steps, at = plan.arm(run.arm).config.steps, plan.measures.convergent_at
    # A trace: with hundreds of shapes or annotations, plotly takes minutes to add one more.
    fig.add_scatter(x=[0, steps], y=[at, at], mode="lines", line=_DOTTED, hoverinfo="skip", **where)
    fig.update_xaxes(range=[0, steps], nticks=4, tickfont={"size": 10}, **where)
    fig.update_yaxes(
        range=[0, 1.03],
        tickvals=[0, 0.5, 1],
        showticklabels=column == 1,
        tickfont={"size": 10},
        **where,
    )


def _label_cells(
    fig: go.Figure, result: ReplicationResult, cells: list[tuple[RunResult, int, int]]
) -> None:
    """Above each curve its seed and verdict; above each arm its name and what it is."""
    seen: set[str] = set()
    labels: list[dict[str, Any]] = []
    for run, row, column in cells:
        axis = fig.get_subplot(row, column)
        left, top = axis.xaxis.domain[0], axis.yaxis.domain[1]
        where = {"xref": "paper", "yref": "paper", "x": left, "y": top, "showarrow": False}
        where |= {"xanchor": "left", "yanchor": "bottom"}
        labels.append({"text": _cell_words(run), "font": {"size": 10}, **where})
        if run.arm not in seen:
            seen.add(run.arm)
            total = len(result.study.of(run.arm))
            drawn = COLUMNS * ROWS_AN_ARM
            more = f" (the first {drawn} of {total} runs)" if total > drawn else ""
            words = result.study.plan.arm(run.arm).words
            text = f"<b>{run.arm}</b> · {words}{more}"
            labels.append({"text": text, "font": {"size": 12}, "yshift": 14, **where})
    fig.update_layout(annotations=labels)


def _cell_words(run: RunResult) -> str:
    if run.summary is None:
        return f"seed {run.seed}, at step {run.step:,}, not ended"
    if run.summary["diverged_at"] is not None:
        return f"seed {run.seed}, diverged at step {run.summary['diverged_at']:,}"
    if run.convergent:
        return f"<b>★ seed {run.seed}, convergent: {run.median:.2f}</b>"
    return f"seed {run.seed}: {run.median:.2f}"


def _look(number: int) -> dict[str, Any]:
    return {
        "color": _COLOURS[number % len(_COLOURS)],
        "symbol": _SYMBOLS[number % len(_SYMBOLS)],
    }


def _dash(number: int) -> int:
    """Arms that share a colour differ in their dashes."""
    return (number + number // len(_COLOURS)) % len(_DASHES)


def _arm_axis(fig: go.Figure, result: ReplicationResult, row: int, column: int) -> None:
    names = list(result.outcomes)
    fig.update_xaxes(
        tickvals=list(range(len(names))),
        ticktext=names,
        range=[-0.5, max(0.5, len(names) - 0.5)],
        tickangle=-90 if len(names) > _MANY else -35 if len(names) > 3 else 0,
        zeroline=False,
        row=row,
        col=column,
    )


def _panel_title(fig: go.Figure, text: str, row: int, column: int) -> None:
    axis = fig.get_subplot(row, column)
    fig.add_annotation(
        text=f"<b>{text}</b>",
        font={"size": 12},
        xref="paper",
        yref="paper",
        x=axis.xaxis.domain[0],
        y=axis.yaxis.domain[1],
        xanchor="left",
        yanchor="bottom",
        yshift=4,
        showarrow=False,
    )


def _draw_shares(fig: go.Figure, result: ReplicationResult, row: int) -> None:
    for number, (name, outcome) in enumerate(result.outcomes.items()):
        look = _look(number)
        points = figures.rate_points([number], [outcome.share()], name, look["color"])
        points.update(marker=look | {"size": 9}, mode="markers+text")
        if len(result.outcomes) <= _MANY:
            points.update(text=[f"{outcome.convergent()}/{outcome.n}"])
            points.update(textposition="middle right")
        fig.add_trace(points, row=row, col=1)
    _arm_axis(fig, result, row, 1)
    fig.update_yaxes(range=[-3, 103], title="convergent runs, %", row=row, col=1)
    _panel_title(fig, "Convergent, Wilson 95 % interval", row, 1)


def _draw_medians(fig: go.Figure, result: ReplicationResult, row: int) -> None:
    """Every run as a point, and the mean beside them with its interval."""
    for number, (name, outcome) in enumerate(result.outcomes.items()):
        look = _look(number)
        spread = [0.16 * (seed % 5 - 2) / 2 - 0.1 for seed in range(outcome.n)]
        fig.add_scatter(
            x=[number + shift for shift in spread],
            y=[100 * value for value in outcome.medians],
            mode="markers",
            marker=look | {"size": 6, "opacity": 0.65},
            customdata=outcome.seeds,
            hovertemplate=name + ", seed %{customdata}: %{y:.1f} %<extra></extra>",
            row=row,
            col=3,
        )
        mean = figures.rate_points([number + 0.25], [outcome.mean(result.seed)], name, "black")
        mean.update(marker={"color": figures.GREY, "symbol": "line-ew-open", "size": 14})
        fig.add_trace(mean, row=row, col=3)
    measures = result.study.plan.measures
    fig.add_hline(
        100 * measures.convergent_at,
        line=_DOTTED,
        row=row,
        col=3,
    )
    _arm_axis(fig, result, row, 3)
    fig.update_yaxes(range=[-3, 103], row=row, col=3)
    steps = f"{measures.convergent_steps:,}"
    words = f"Median accuracy of the last {steps} steps, %: each run, and mean with bootstrap"
    _panel_title(fig, words, row, 3)


def _draw_thresholds(fig: go.Figure, result: ReplicationResult, row: int) -> None:
    for number, (name, outcome) in enumerate(result.outcomes.items()):
        shares = [outcome.share(t) for t in THRESHOLDS]
        fig.add_scatter(
            x=THRESHOLDS,
            y=[100 * share.value for share in shares],
            mode="lines",
            line={
                "color": _look(number)["color"],
                "dash": _DASHES[_dash(number)],
                "shape": "hv",
            },
            customdata=[share.percent() for share in shares],
            hovertemplate=name + " at %{x:.2f}: %{customdata}<extra></extra>",
            row=row,
            col=1,
        )
    _label_lines(fig, result, row)
    at = result.study.plan.measures.convergent_at
    fig.add_vline(at, line=_DOTTED, row=row, col=1)
    fig.update_xaxes(title="threshold of convergence", range=[0.5, 0.99], row=row, col=1)
    fig.update_yaxes(range=[-3, 108], title="convergent runs, %", row=row, col=1)
    _panel_title(fig, "Were the threshold another", row, 1)


def _label_lines(fig: go.Figure, result: ReplicationResult, row: int) -> None:
    """Which line is whose, in the panel's corner: lines may lie on each other."""
    lines = [
        f'<span style="color:{_look(number)["color"]}">{_DASH_WORDS[_dash(number)]}</span> {name}'
        for number, name in enumerate(result.outcomes)
    ]
    axis = fig.get_subplot(row, 1)
    fig.add_annotation(
        text="<br>".join(lines),
        align="left",
        bgcolor="rgba(255,255,255,0.7)",
        font={"size": 10},
        xref="paper",
        yref="paper",
        x=axis.xaxis.domain[0] + 0.005,
        y=axis.yaxis.domain[0],
        xanchor="left",
        yanchor="bottom",
        yshift=6,
        showarrow=False,
    )


_DASH_WORDS = ("━━━", "╸╸╸", "····", "━·━·", "━╸━╸")


def _draw_content(fig: go.Figure, result: ReplicationResult, row: int) -> None:
    """Exact match of the last weights: against the follow-rate where it is known, else by arm."""
    known = result.content()
    if not known:
        _draw_final(fig, result, row)
        return
    names = list(result.outcomes)
    for run, rate in known:
        points = figures.rate_points(
            [100 * run.final_exact], [rate], f"{run.arm}, seed {run.seed}", figures.GREY
        )
        look = _look(names.index(run.arm))
        symbol = look["symbol"] if run.convergent else f"{look['symbol']}-open"
        points.update(marker=look | {"symbol": symbol, "size": 9})
        fig.add_trace(points, row=row, col=3)
    fig.update_xaxes(
        title="final exact match, % of fresh lists", range=[-3, 103], zeroline=False, row=row, col=3
    )
    fig.update_yaxes(range=[-3, 103], row=row, col=3)
    _panel_title(fig, "% of outputs that follow another list's blanks. Filled: convergent", row, 3)


def _draw_final(fig: go.Figure, result: ReplicationResult, row: int) -> None:
    for number, name in enumerate(result.outcomes):
        runs = result.study.ended(name)
        symbols = [_look(number)["symbol"] + ("" if run.convergent else "-open") for run in runs]
        fig.add_scatter(
            x=[number + 0.3 * (i % 5 - 2) / 2 for i in range(len(runs))],
            y=[100 * run.final_exact for run in runs],
            mode="markers",
            marker=_look(number) | {"symbol": symbols, "size": 8},
            customdata=[run.seed for run in runs],
            hovertemplate=name + ", seed %{customdata}: %{y:.2f} %<extra></extra>",
            row=row,
            col=3,
        )
    _arm_axis(fig, result, row, 3)
    fig.update_yaxes(range=[-3, 103], row=row, col=3)
    _panel_title(fig, "Last weights, % of fresh lists exact, each run. Filled: convergent", row, 3)
