"""The figures of ``analyses.one_list.compare_models``, each with its numbers and its words.

A is blue with circles, B orange with diamonds; differences are A less B on a scale centred on zero.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import plotly.graph_objects as go
from plotly import subplots

from analyses.one_list.answers import Answer, Decoded
from analyses.one_list.compare_models.result import Lengths, Matrix
from analyses.one_list.glance.figure import add_shares, dress_map
from analyses.one_list.glance.result import AnswerRows
from analyses.one_list.subject import Shown
from analyses.runs.training_curves.figure import legend_on_top, short_name
from interp import figures
from interp.sites import head_name
from interp.stats import Estimate

_COLOURS, _SYMBOLS = (figures.BLUE, figures.ORANGE), ("circle", "diamond")
_FITS = 36  # characters of a model's name in a figure
Names = tuple[str, str]


def named(a: str, b: str) -> Names:
    """``A: blanks``, and of a long path its end."""
    return f"A: {_fitting(a)}", f"B: {_fitting(b)}"


def _fitting(name: str) -> str:
    name = short_name(name)
    return name if len(name) <= _FITS else "…" + name[-_FITS:]


# -- answers ------------------------------------------------------------------------------------


def outputs(names: Names, a: Decoded, b: Decoded) -> Shown:
    """The probability of each right digit above, A less B below."""
    fig = subplots.make_subplots(
        rows=2, cols=1, shared_xaxes=True, row_heights=[0.62, 0.38], vertical_spacing=0.1
    )
    wanted = [
        output.should_be for output in max(a, b, key=lambda one: len(one.of_right)).answer.outputs
    ]
    for name, decoded, colour, symbol in zip(names, (a, b), _COLOURS, _SYMBOLS, strict=True):
        outputs = decoded.answer.outputs
        # An open symbol with a cross inside is a wrong output: no colour needed to tell.
        symbols = [symbol if output.right else f"{symbol}-x-open" for output in outputs]
        fig.add_scatter(
            x=list(range(len(outputs))),
            y=[100 * p for p in decoded.of_right],
            mode="markers",
            name=name,
            marker={"color": colour, "symbol": symbols, "size": 11, "line": {"width": 1.5}},
            customdata=[
                [output.should_be, output.said, "✓" if output.right else "✗"] for output in outputs
            ],
            hovertemplate=name + "<br>out %{x}, right digit %{customdata[0]}: %{y:.1f} %<br>"
            "says %{customdata[1]} %{customdata[2]}<extra></extra>",
            row=1,
            col=1,
        )
    gaps = [100 * (p - q) for p, q in zip(a.of_right, b.of_right, strict=False)]
    _bars(fig, list(range(len(gaps))), gaps, "out %{x}: %{y:+.1f} points<extra></extra>")
    fig.update_yaxes(title="probability, %", range=[-4, 104], row=1, col=1)
    most = max(1.0, *(abs(gap) for gap in gaps)) * 1.1
    fig.update_yaxes(title="A − B, points", range=[-most, most], row=2, col=1)
    fig.update_xaxes(title="output", row=2, col=1, **_ticks(wanted))
    figures.style(fig, "Probability of each right digit", height=460)
    legend_on_top(fig)
    return Shown(fig, _output_rows(a, b), _output_words(names, a.answer, b.answer))


def _bars(fig: go.Figure, x: list[Any], gaps: list[float], hover: str) -> None:
    """Signed bars from zero: up is more for A."""
    fig.add_bar(
        x=x,
        y=gaps,
        marker={"color": [_COLOURS[gap < 0] for gap in gaps]},
        showlegend=False,
        hovertemplate=hover,
        row=2,
        col=1,
    )
    fig.add_hline(y=0, line={"color": figures.GREY, "width": 1}, row=2, col=1)


def _ticks(wanted: Sequence[str]) -> dict[str, Any]:
    return figures.label_axis([f"{i}<br>({digit})" for i, digit in enumerate(wanted)], most=30)


def _output_rows(a: Decoded, b: Decoded) -> list[dict[str, Any]]:
    pairs = zip(a.answer.outputs, b.answer.outputs, a.of_right, b.of_right, strict=False)
    return [
        {
            "output": i,
            "right": ours.expected,
            "a_says": ours.said,
            "a_right": ours.right,
            "a_probability_of_right": p,
            "b_says": theirs.said,
            "b_right": theirs.right,
            "b_probability_of_right": q,
            "a_minus_b": p - q,
        }
        for i, (ours, theirs, p, q) in enumerate(pairs)
    ]


def _output_words(names: Names, a: Answer, b: Answer) -> list[str]:
    lines = []
    for name, answer in zip(names, (a, b), strict=True):
        n = len(answer.outputs)
        lines.append(f"{name} says {answer.text}: {n - len(answer.wrong)} of {n} right")
    apart = ", ".join(map(str, b.changed_from(a)))
    return [*lines, f"They differ at outputs {apart}." if apart else "They agree."]


# -- attention ----------------------------------------------------------------------------------


def regions(names: Names, a: AnswerRows, b: AnswerRows, same: bool) -> Shown:
    """Shares by region of every head: A, B and, of the regions that both have, A less B."""
    both = [region for region in a.regions if region in b.regions]
    titles = ["A", "B", *(["A − B"] if same else [])]
    fig = subplots.make_subplots(
        rows=1,
        cols=len(titles),
        # Where heads are the same, one column of names does for all.
        shared_yaxes=same,
        horizontal_spacing=0.04 if same else 0.14,
        subplot_titles=titles,
    )
    for column, found in ((1, a), (2, b)):
        values = found.shares.reshape(-1, len(found.regions))
        add_shares(fig, values, found.regions, found.heads, column)
    if same:
        ours, theirs = (found.shares[..., _columns(found, both)] for found in (a, b))
        gaps = (ours - theirs).reshape(-1, len(both))
        add_shares(fig, gaps, both, a.heads, 3, signed=True)
    title = _titled("Attention by region, mean over the rows that answer", names)
    figures.style(fig, title, height=210 + 26 * len(a.heads)).update_layout(
        margin={"t": 110, "b": 80}
    )
    return Shown(fig, _region_rows(a, b), _region_words(names, a, b, same))


def _columns(found: AnswerRows, chosen: Sequence[Any]) -> list[int]:
    return [found.regions.index(region) for region in chosen]


def _region_rows(a: AnswerRows, b: AnswerRows) -> list[dict[str, Any]]:
    return [
        {"model": which, "head": name, "to": region.value, "share": float(value)}
        for which, found in (("A", a), ("B", b))
        for name, row in zip(found.heads, found.shares.reshape(-1, len(found.regions)), strict=True)
        for region, value in zip(found.regions, row, strict=True)
    ]


def _region_words(names: Names, a: AnswerRows, b: AnswerRows, same: bool) -> list[str]:
    lines = []
    for name, found in zip(names, (a, b), strict=True):
        means = found.shares.mean((0, 1))
        parts = ", ".join(f"{r} {v:.2f}" for r, v in zip(found.regions, means, strict=True))
        lines.append(f"{name}, mean over heads: {parts}")
    return lines if same else [*lines, "They have other numbers of layers or heads: no difference."]


def attention(names: Names, gap: AnswerRows, one: tuple[int, int], other: tuple[int, int]) -> Shown:
    """A's map less B's, on a scale centred on zero."""
    values = gap.pattern[0, 0]
    limit = max(0.05, float(abs(values).max()))
    fig = subplots.make_subplots(rows=1, cols=1)
    fig.add_trace(
        figures.heatmap(
            values, list(gap.keys), list(gap.rows), name="A − B", signed=True, limit=limit
        )
    )
    dress_map(fig, gap, 1)
    title = _titled(f"A's attention in {_head(one)} − B's in {_head(other)}", names)
    height = max(420, min(900, 14 * len(gap.rows) + 260))
    figures.style(fig, title, height=height).update_layout(margin={"t": 90, "b": 90})
    row, key = divmod(int(abs(values).argmax()), values.shape[1])
    moved = abs(values).sum(-1).mean() / 2
    words = [
        f"On average {moved:.2f} of a row's attention lies elsewhere (total variation).",
        f"Largest difference {values[row, key]:+.2f}: {gap.rows[row]} looks at {gap.keys[key]}."
        if values.any()
        else "They are the same everywhere.",
    ]
    table = [
        {"from": r, "to": k, "a_minus_b": float(value)}
        for r, line in zip(gap.rows, values, strict=True)
        for k, value in zip(gap.keys, line, strict=True)
    ]
    return Shown(fig, table, words)


def _titled(title: str, names: Names) -> str:
    return f"{title}<br><sup>{' · '.join(names)}</sup>"


def _head(place: tuple[int, int]) -> str:
    return f"head {head_name(place)}"


# -- behaviour and weights ----------------------------------------------------------------------


def by_length(names: Names, found: Lengths) -> Shown:
    """Exact match by length, with Wilson intervals."""
    fig = go.Figure()
    sides = (found.a, found.b)
    for name, rates, colour, symbol, shift in zip(
        names, sides, _COLOURS, _SYMBOLS, (-0.18, 0.18), strict=True
    ):
        x = [length + shift for length in rates]  # beside each other, not on top
        trace = figures.rate_points(x, list(rates.values()), name, colour, symbol)
        trace.update(
            showlegend=True,
            customdata=[f"length {n}: {rate.percent()}" for n, rate in rates.items()],
            hovertemplate=name + "<br>%{customdata}<extra></extra>",
        )
        fig.add_trace(trace)
    fig.update_yaxes(title="exact match, %", range=[-4, 104])
    fig.update_xaxes(title="length of the list")
    n = found.a_all.n
    figures.style(fig, f"Lists without a mistake, by length · {n} held-out lists", height=460)
    legend_on_top(fig)
    gap = found.gap.percent().replace(" %", " points")
    words = [
        f"{name}: {_rate(r)}" for name, r in zip(names, (found.a_all, found.b_all), strict=True)
    ]
    return Shown(fig, _length_rows(found), [*words, f"A − B: {gap}, bootstrap over the lists"])


def _rate(rate: Estimate) -> str:
    return f"{rate.percent()}, n = {rate.n} lists"


def _length_rows(found: Lengths) -> list[dict[str, Any]]:
    def rows(which: str, rates: Mapping[int, Estimate]) -> list[dict[str, Any]]:
        return [{"model": which, "length": n, **rate.to_dict()} for n, rate in rates.items()]

    return [*rows("A", found.a), *rows("B", found.b)]


def weights(names: Names, found: Sequence[Matrix]) -> Shown:
    """Norms on the left; how far A and B lie apart on the right."""
    fig = subplots.make_subplots(
        rows=1,
        cols=2,
        shared_yaxes=True,
        horizontal_spacing=0.06,
        subplot_titles=["Frobenius norm", "‖A − B‖ over their norms"],
    )
    y = [matrix.name for matrix in found]
    norms = [m.a for m in found], [m.b for m in found]
    sizes = (13, 8)  # B's lies on A's where the norms are nearly the same
    for name, values, colour, symbol, size in zip(
        names, norms, _COLOURS, _SYMBOLS, sizes, strict=True
    ):
        marker = {"color": colour, "symbol": symbol, "size": size}
        fig.add_scatter(x=values, y=y, mode="markers", name=name, marker=marker, row=1, col=1)
    fig.add_bar(
        x=[m.apart for m in found],
        y=y,
        orientation="h",
        marker={"color": figures.GREY},
        text=["" if m.apart is None else f"{m.apart:.2f}" for m in found],
        showlegend=False,
        row=1,
        col=2,
    )
    fig.add_vline(x=2**0.5, line={"color": figures.GREY, "dash": "dot"}, row=1, col=2)
    fig.update_xaxes(rangemode="tozero")
    fig.update_yaxes(autorange="reversed")
    figures.style(fig, "Weight matrices", height=160 + 26 * len(found))
    legend_on_top(fig, 2)
    fig.update_layout(legend={"y": 1.1})
    rows = [{"matrix": m.name, "a_norm": m.a, "b_norm": m.b, "apart": m.apart} for m in found]
    apart = [m.apart for m in found if m.apart is not None]
    mean = f"{sum(apart) / len(apart):.2f}" if apart else "not to be said: no two are of one shape"
    return Shown(fig, rows, [f"‖A − B‖ over their norms, mean of {len(apart)} matrices: {mean}"])
