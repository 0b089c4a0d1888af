"""The picture of ``analyses.behaviour``: eight panels and a table of mistakes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import plotly.graph_objects as go
from plotly import subplots

from analyses.behaviour.result import IN_ORDER, KEEPS, BehaviourResult
from interp import figures
from interp.answers.behaviour import Mistake
from interp.sites import spans
from interp.stats import Estimate
from interp.task import SortTask

_PANEL_HEIGHT, _GAP, _ROW_HEIGHT = 240, 85, 24  # pixels; rows are those of the table


def figure(result: BehaviourResult) -> go.Figure:
    """Right lists and outputs in every respect, calibration, and mistakes."""
    shown = len(result.shown)
    rows = [_PANEL_HEIGHT] * 4 + [(shown + 2) * _ROW_HEIGHT]
    height = sum(rows) + 4 * _GAP
    fig = subplots.make_subplots(
        rows=5,
        cols=2,
        specs=[[{}, {}]] * 4 + [[{"type": "table", "colspan": 2}, None]],
        row_heights=rows,
        vertical_spacing=_GAP / height,
        horizontal_spacing=0.1,
        subplot_titles=[*_titles(result.task), _table_title(result, shown)],
    )
    for number, draw in enumerate(_PANELS.values()):
        draw(fig, result, {"row": number // 2 + 1, "col": number % 2 + 1})
    if shown:
        fig.add_trace(_table(result.task, result.shown), row=5, col=1)
    title = f"What the model does · {result.exact.n} held-out lists, {result.exact.percent()} exact"
    figures.style(fig, title, height + 200)
    legend = {"y": 1 + 40 / height, "yanchor": "bottom", "x": 0}
    return fig.update_layout(margin={"t": 140}, legend=legend, scattermode="group")


def _titles(task: SortTask) -> list[str]:
    return [title.format(symbols=f"{task.symbols.word}s") for title in _PANELS]


# -- panels -------------------------------------------------------------------------------------


def _rates(
    fig: go.Figure, at: dict[str, int], x: list[Any], rates: list[Estimate], x_title: str
) -> None:
    fig.add_trace(figures.rate_points(x, rates, "exact", figures.BLUE), **at)
    fig.update_xaxes(title=x_title, **at)
    _percent(fig, at, "lists exact, %", rates)


def _percent(fig: go.Figure, at: dict[str, int], title: str, rates: list[Estimate]) -> None:
    """An axis down to the lowest interval, so that differences near 100 % are seen."""
    low = min((100 * rate.low for rate in rates), default=0.0)
    low = max(0.0, low - 0.06 * (100 - low))
    fig.update_yaxes(title=title, range=[low, 100 + 0.04 * (100 - low)], **at)


def _by_length(fig: go.Figure, result: BehaviourResult, at: dict[str, int]) -> None:
    _rates(fig, at, list(result.by_length), list(result.by_length.values()), _in_list(result.task))


def _in_list(task: SortTask) -> str:
    return f"{task.symbols.word}s in the list"


def _by_output(fig: go.Figure, result: BehaviourResult, at: dict[str, int]) -> None:
    rates = result.by_output
    points = figures.rate_points(list(range(len(rates))), rates, "right", figures.GREEN, "diamond")
    fig.add_trace(points, **at)
    fig.update_xaxes(title="output", **at)
    _percent(fig, at, "outputs right, %", rates)


def _by_distinct(fig: go.Figure, result: BehaviourResult, at: dict[str, int]) -> None:
    rates = result.distinct_rates
    words = f"different {result.task.symbols.word}s drawn from"
    _rates(fig, at, list(rates), list(rates.values()), words)
    fig.update_xaxes(dtick=1, **at)


def _by_copies(fig: go.Figure, result: BehaviourResult, at: dict[str, int]) -> None:
    names = [str(a) if a == b else f"{a}-{b}" for a, b in result.by_copies]
    words = f"times that the commonest {result.task.symbols.word} occurs"
    _rates(fig, at, names, list(result.by_copies.values()), words)
    fig.update_xaxes(type="category", **at)


_SOURCES = ((figures.ORANGE, "square"), (figures.PURPLE, "circle-open"))
"""Marks of ``BehaviourResult.sources``."""


def _calibration(fig: go.Figure, result: BehaviourResult, at: dict[str, int]) -> None:
    bins = [one for found in result.calibration.values() for one in found.bins]
    line = {"color": figures.GREY, "dash": "dot", "width": 1.5}
    ends = [100 * min(one.confidence for one in bins), 100]
    trace = go.Scatter(x=ends, y=ends, mode="lines", line=line, showlegend=False, hoverinfo="skip")
    fig.add_trace(trace, **at)
    for (source, found), mark in zip(result.calibration.items(), _SOURCES, strict=True):
        x = [100 * one.confidence for one in found.bins]
        points = figures.rate_points(x, [one.accuracy for one in found.bins], source, *mark)
        points.customdata = [
            f"{one.accuracy.percent()} of {one.n_outputs} outputs, "
            f"probability {one.low:g} to {one.high:g}"
            for one in found.bins
        ]
        points.showlegend = True
        fig.add_trace(points, **at)
    fig.update_xaxes(title="mean probability of the bin, %", **at)
    fig.update_yaxes(title="outputs right, %", **at)


def _by_offset(fig: go.Figure, result: BehaviourResult, at: dict[str, int]) -> None:
    for (source, rates), mark in zip(result.by_offset.items(), _SOURCES, strict=True):
        names = [offset_text(result.task, off) for off in rates]
        fig.add_trace(figures.rate_points(names, list(rates.values()), source, *mark), **at)
    every = sorted({off for rates in result.by_offset.values() for off in rates})
    order = {
        "categoryorder": "array",
        "categoryarray": [offset_text(result.task, off) for off in every],
    }
    fig.update_xaxes(title=f"told minus {result.task.right_word}", type="category", **order, **at)
    fig.update_yaxes(title="of wrong outputs, %", rangemode="tozero", **at)
    _nothing(fig, at, bool(every))


def _first_error(fig: go.Figure, result: BehaviourResult, at: dict[str, int]) -> None:
    hover = f"%{{x}} {result.task.symbols.word}s: first mistake at output %{{y}}"
    for (source, found), (colour, symbol) in zip(result.sources.items(), _SOURCES, strict=True):
        wrong = ~found.exact
        points = go.Scatter(
            x=found.lengths[wrong].tolist(),
            y=found.first_error[wrong].tolist(),
            mode="markers",
            marker={"color": colour, "symbol": symbol, "size": 6, "opacity": 0.6},
            hovertemplate=f"{source} · {hover}<extra></extra>",
            legendgroup=source,
            showlegend=False,
        )
        fig.add_trace(points, **at)
    longest = result.answers.task.max_len
    fig.update_xaxes(title=_in_list(result.task), range=[0, longest + 1], **at)
    fig.update_yaxes(title="first wrong output", range=[-1, longest], **at)
    _nothing(fig, at, any(result.mistakes.values()))


def _kinds(fig: go.Figure, result: BehaviourResult, at: dict[str, int]) -> None:
    words = f"{result.task.symbols.word}s"
    kinds = {
        KEEPS: f"right {words},<br>wrong order",
        IN_ORDER: f"{result.task.rule.order},<br>wrong {words}",
    }
    for source, mark in zip(result.mistakes, _SOURCES, strict=True):
        rates = [rate for kind in kinds if (rate := result.share(source, kind)) is not None]
        names = list(kinds.values())[: len(rates)]
        fig.add_trace(figures.rate_points(names, rates, source, *mark), **at)
    fig.update_yaxes(title="of wrong lists, %", range=[-4, 104], **at)
    _nothing(fig, at, any(result.mistakes.values()))


def _nothing(fig: go.Figure, at: dict[str, int], anything: bool) -> None:
    if not anything:
        fig.add_annotation(
            text="no mistakes",
            showarrow=False,
            x=0.5,
            y=0.5,
            xref="x domain",
            yref="y domain",
            **at,
        )


_PANELS: dict[str, Callable[[go.Figure, BehaviourResult, dict[str, int]], None]] = {
    "Lists exact, by length": _by_length,
    "Outputs right, by index": _by_output,
    "Lists exact, by how many different {symbols}": _by_distinct,
    "Lists exact, by repeats": _by_copies,
    "Calibration (on the dotted line: right as often as said)": _calibration,
    "Wrong outputs: by how much": _by_offset,
    "Wrong lists: where the first mistake is": _first_error,
    "Wrong lists, decoded: what is wrong": _kinds,
}


# -- the mistakes themselves --------------------------------------------------------------------


def _table_title(result: BehaviourResult, shown: int) -> str:
    wrong = sum(int((~found.exact).sum()) for found in result.sources.values())
    return f"{shown} of {wrong} wrong lists, and what greedy decoding answers" if shown else ""


def _table(task: SortTask, shown: list[Mistake]) -> go.Table:
    font = {"family": "monospace", "size": 11, "color": "black"}
    columns = [
        [text(task, one.digits) for one in shown],
        [text(task, one.answer) for one in shown],
        [what_is_wrong(task, one) for one in shown],
    ]
    return go.Table(
        header={"values": ["list", "answer", "mistake"], "align": "left", "fill_color": "#D0D0D0",
                "font": {"color": "black"}},
        cells={"values": columns, "align": "left", "font": font, "height": _ROW_HEIGHT,
               "fill_color": "#F4F4F4"},
        columnwidth=[4, 4, 4],
    )  # fmt: skip


def text(task: SortTask, tokens: tuple[int, ...]) -> str:
    """Digits as one word, longer numbers apart; a token that is none of them is a dash."""
    apart = "" if task.symbols.run_together else " "
    return apart.join(str(token) if token < task.n_symbols else "-" for token in tokens)


def what_is_wrong(task: SortTask, one: Mistake) -> str:
    parts = [f"wrong at {spans(one.wrong)}"]
    for words, tokens in (("missing", one.missing), ("too many", one.extra)):
        if tokens:
            times = {token: tokens.count(token) for token in tokens}
            found = [text(task, (t,)) + (f"×{n}" if n > 1 else "") for t, n in times.items()]
            parts.append(f"{words} {' '.join(found)}")
    return ", ".join(parts)


def offset_text(task: SortTask, off: int) -> str:
    """``+1``, ``-3``, ``no digit``"""
    return f"no {task.symbols.word}" if off == task.n_symbols else f"{off:+d}"
