"""The figure of ``analyses.one_list.dial``: the probability of every digit at every number."""

from __future__ import annotations

import plotly.graph_objects as go

from analyses.one_list.dial.result import Dialled
from interp import figures
from interp.task import N_DIGITS


def dial_figure(found: Dialled) -> go.Figure:
    """A column for each number, a row for each digit; a line where the number is as it is."""
    numbers = [round(number, 4) for number in found.numbers.tolist()]
    fig = go.Figure(
        go.Heatmap(
            z=found.probabilities[:, :N_DIGITS].T.tolist(), x=numbers, y=list(range(N_DIGITS)),
            colorscale=figures.SEQUENTIAL, zmin=0, zmax=1, xgap=1, ygap=1,
            colorbar={"title": {"text": "probability"}, "thickness": 12},
            hovertemplate="number %{x:.2f}: %{y} with probability %{z:.3f}<extra></extra>",
        )
    )  # fmt: skip
    figures.dividers(fig, [found.own], colour=figures.VERMILLION, width=3.0)
    fig.update_xaxes(title=f"its number (line: as it is, {found.own:+.2f})", showgrid=False)
    fig.update_yaxes(title="next digit", dtick=1, showgrid=False)
    after = " ".join(map(str, found.prefix))
    return figures.style(
        fig, f"What is said after {after}, by one number of head 0.{found.head}", 360
    )
