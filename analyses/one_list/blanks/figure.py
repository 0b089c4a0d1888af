"""The figures of ``analyses.one_list.blanks``: a sample's rates, and whose digits come out."""

from __future__ import annotations

import plotly.graph_objects as go

from analyses.one_list.answers import Decoded
from analyses.one_list.blanks.result import Exchange, SampleRates
from interp import figures


def sample_figure(found: SampleRates, words: str) -> go.Figure:
    """Lists and digits right, in percent, under each condition.

    Args:
        words: what is done to the blanks.
    """
    names = ["as it is", "these blanks", "control: other positions"]
    series = (
        ("lists exact", found.exact, figures.VERMILLION, "circle"),
        ("digits right", found.digits, figures.BLUE, "square"),
    )
    fig = go.Figure()
    for name, rates, colour, symbol in series:
        trace = figures.rate_points(names, list(rates), name, colour, symbol)
        trace.showlegend, trace.mode, trace.marker.size = True, "markers+text", 10
        trace.text = [f"{100 * rate.value:.1f} %" for rate in rates]
        trace.textposition = "middle right"
        fig.add_trace(trace)
    fig.update_layout(scattermode="group", scattergap=0.4)
    fig.update_yaxes(title="right, %", range=[-6, 106])
    return _style(fig, f"{found.exact[0].n} random lists<br>{words}")


def exchange_figure(found: Exchange, words: str) -> go.Figure:
    """Probabilities of A's digit and of B's, where the sorted lists differ.

    Args:
        words: which blanks.
    """
    fig = go.Figure()
    for run, name, filled in (
        (found.runs.blanks, "these blanks from B", True),
        (found.runs.control, "control from B", False),
    ):
        _draw_run(fig, found, run, name, filled)
    fig.update_xaxes(title="output", range=[-0.6, len(found.right_a) - 0.4])
    fig.update_yaxes(title="probability", range=[-0.06, 1.06])
    return _style(fig, f"Whose digit comes out, where the sorted lists differ<br>{words} from B")


def _style(fig: go.Figure, title: str) -> go.Figure:
    """Room for two lines of title, and for two of legend below the axis."""
    figures.style(fig, title, 430)
    fig.update_layout(margin={"t": 76, "b": 120}, legend={"y": -0.26, "yanchor": "top"})
    return fig


def _draw_run(fig: go.Figure, found: Exchange, run: Decoded, name: str, filled: bool) -> None:
    there = [i for i in found.differing if i < len(run.probabilities)]
    digits = (
        ("A", found.right_a, figures.BLUE, "circle"),
        ("B", found.right_b, figures.ORANGE, "square"),
    )
    for whose, wanted, colour, symbol in digits:
        fig.add_trace(
            go.Scatter(
                x=there,
                y=[float(run.probabilities[i, wanted[i]]) for i in there],
                name=f"{whose}'s digit, {name}",
                mode="markers",
                marker={
                    "color": colour,
                    "symbol": symbol if filled else f"{symbol}-open",
                    "size": 9 if filled else 12,
                    "line": {"width": 1.5} if not filled else {},
                },
                hovertemplate="out %{x}<br>probability %{y:.4f}<extra>%{fullData.name}</extra>",
            )
        )
