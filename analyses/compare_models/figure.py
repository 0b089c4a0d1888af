"""The figures of ``analyses.compare_models``, each with its numbers and its words.

A is blue with circles, B orange with diamonds; differences are A less B on a scale centred on zero.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from analyses.one_list.command import Seen
from analyses.one_list.glance.body import add_shares, dress_map
from analyses.training_curves.figure import legend_on_top, short_name
from interp import figures
from interp.support.lazy import lazy_import
from interp.task import BLANK, TOKEN_LABELS

if TYPE_CHECKING:
    import plotly.graph_objects as go

    from analyses.compare_models.body import Lengths, Matrix, Said
    from analyses.one_list.glance.body import Glance
    from interp.stats import Estimate
else:
    go = lazy_import("plotly.graph_objects")

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


def outputs(names: Names, a: Said, b: Said, wanted: Sequence[int]) -> Seen:
    """The probability of each right digit above, A less B below."""
    subplots = lazy_import("plotly.subplots")
    fig = subplots.make_subplots(
        rows=2, cols=1, shared_xaxes=True, row_heights=[0.62, 0.38], vertical_spacing=0.1
    )
    x = list(range(len(wanted)))
    for name, said, colour, symbol in zip(names, (a, b), _COLOURS, _SYMBOLS, strict=True):
        # An open symbol with a cross inside is a wrong output: no colour needed to tell.
        symbols = [symbol if right else f"{symbol}-x-open" for right in said.right]
        fig.add_scatter(
            x=x,
            y=[100 * p for p in said.probability],
            mode="markers",
            name=name,
            marker={"color": colour, "symbol": symbols, "size": 11, "line": {"width": 1.5}},
            customdata=[
                [digit, token_name(token), "✓" if right else "✗"]
                for digit, token, right in zip(wanted, said.tokens, said.right, strict=True)
            ],
            hovertemplate=name + "<br>out %{x}, right digit %{customdata[0]}: %{y:.1f} %<br>"
            "says %{customdata[1]} %{customdata[2]}<extra></extra>",
            row=1,
            col=1,
        )
    gaps = [100 * (p - q) for p, q in zip(a.probability, b.probability, strict=True)]
    _bars(fig, x, gaps, "out %{x}: %{y:+.1f} points<extra></extra>")
    fig.update_yaxes(title="probability, %", range=[-4, 104], row=1, col=1)
    most = max(1.0, *(abs(gap) for gap in gaps)) * 1.1
    fig.update_yaxes(title="A − B, points", range=[-most, most], row=2, col=1)
    fig.update_xaxes(title="output", row=2, col=1, **_ticks(wanted))
    figures.style(fig, "Probability of each right digit", height=460)
    legend_on_top(fig)
    return Seen(fig, _output_rows(a, b, wanted), _output_words(names, a, b))


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


def _ticks(wanted: Sequence[int]) -> dict[str, Any]:
    return figures.label_axis([f"{i}<br>({digit})" for i, digit in enumerate(wanted)], most=30)


def token_name(token: int) -> str:
    """For people: ``7``, ``SEP``, ``BLANK``."""
    return "BLANK" if token == BLANK else TOKEN_LABELS[token]


def _output_rows(a: Said, b: Said, wanted: Sequence[int]) -> list[dict[str, Any]]:
    return [
        {
            "output": i,
            "right": digit,
            "a_says": token_name(a.tokens[i]),
            "a_right": a.right[i],
            "a_probability_of_right": a.probability[i],
            "b_says": token_name(b.tokens[i]),
            "b_right": b.right[i],
            "b_probability_of_right": b.probability[i],
            "a_minus_b": a.probability[i] - b.probability[i],
        }
        for i, digit in enumerate(wanted)
    ]


def _output_words(names: Names, a: Said, b: Said) -> list[str]:
    n = len(a.tokens)
    lines = [
        f"{name} says {' '.join(map(token_name, said.tokens))}: {sum(said.right)} of {n} right"
        for name, said in zip(names, (a, b), strict=True)
    ]
    apart = [str(i) for i in range(n) if a.tokens[i] != b.tokens[i]]
    return [*lines, f"They differ at outputs {', '.join(apart)}." if apart else "They agree."]


# -- attention ----------------------------------------------------------------------------------


def regions(names: Names, a: Glance, b: Glance, same: bool) -> Seen:
    """Shares by region of every head: A, B and, of the regions that both have, A less B."""
    subplots = lazy_import("plotly.subplots")
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
    for column, seen in ((1, a), (2, b)):
        values = seen.shares.reshape(-1, len(seen.regions))
        add_shares(fig, values, seen.regions, seen.heads, column)
    if same:
        ours, theirs = (seen.shares[..., _columns(seen, both)] for seen in (a, b))
        gaps = (ours - theirs).reshape(-1, len(both))
        add_shares(fig, gaps, both, a.heads, 3, signed=True)
    title = _titled("Attention by region, mean over the rows that answer", names)
    figures.style(fig, title, height=210 + 26 * len(a.heads)).update_layout(
        margin={"t": 110, "b": 80}
    )
    return Seen(fig, _region_rows(a, b), _region_words(names, a, b, same))


def _columns(seen: Glance, chosen: Sequence[Any]) -> list[int]:
    return [seen.regions.index(region) for region in chosen]


def _region_rows(a: Glance, b: Glance) -> list[dict[str, Any]]:
    return [
        {"model": which, "head": name, "to": region.value, "share": float(value)}
        for which, seen in (("A", a), ("B", b))
        for name, row in zip(seen.heads, seen.shares.reshape(-1, len(seen.regions)), strict=True)
        for region, value in zip(seen.regions, row, strict=True)
    ]


def _region_words(names: Names, a: Glance, b: Glance, same: bool) -> list[str]:
    lines = []
    for name, seen in zip(names, (a, b), strict=True):
        means = seen.shares.mean((0, 1))
        parts = ", ".join(f"{r} {v:.2f}" for r, v in zip(seen.regions, means, strict=True))
        lines.append(f"{name}, mean over heads: {parts}")
    return lines if same else [*lines, "They have other numbers of layers or heads: no difference."]


def attention(names: Names, gap: Glance, one: tuple[int, int], other: tuple[int, int]) -> Seen:
    """A's map less B's, on a scale centred on zero."""
    values = gap.pattern[0, 0]
    limit = max(0.05, float(abs(values).max()))
    subplots = lazy_import("plotly.subplots")
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
    return Seen(fig, table, words)


def _titled(title: str, names: Names) -> str:
    return f"{title}<br><sup>{' · '.join(names)}</sup>"


def _head(place: tuple[int, int]) -> str:
    return f"layer {place[0]} head {place[1]}"


# -- behaviour and weights ----------------------------------------------------------------------


def by_length(names: Names, found: Lengths) -> Seen:
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
    return Seen(fig, _length_rows(found), [*words, f"A − B: {gap}, bootstrap over the lists"])


def _rate(rate: Estimate) -> str:
    return f"{rate.percent()}, n = {rate.n} lists"


def _length_rows(found: Lengths) -> list[dict[str, Any]]:
    def rows(which: str, rates: Mapping[int, Estimate]) -> list[dict[str, Any]]:
        return [{"model": which, "length": n, **rate.to_dict()} for n, rate in rates.items()]

    return [*rows("A", found.a), *rows("B", found.b)]


def weights(names: Names, found: Sequence[Matrix]) -> Seen:
    """Norms on the left; how far A and B lie apart on the right."""
    subplots = lazy_import("plotly.subplots")
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
    return Seen(fig, rows, [f"‖A − B‖ over their norms, mean of {len(apart)} matrices: {mean}"])
