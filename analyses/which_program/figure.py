"""The figure of ``analyses.which_program``: two tables in colour."""

from __future__ import annotations

import plotly.graph_objects as go
from plotly import subplots

from analyses.which_program.result import WhichProgramResult
from analyses.which_program.words import ITSELF
from interp import figures
from interp.stats import Estimate


def figure(result: WhichProgramResult) -> go.Figure:
    """Agreement by program and kind of prefix; below, who is right where two programs differ."""
    fig = subplots.make_subplots(
        rows=2,
        cols=1,
        row_heights=[0.68, 0.32],
        vertical_spacing=0.17,
        subplot_titles=[
            "Outputs of which the program (column) says what the model says",
            "Edited prefixes on which two programs differ: share that the program on the left gets",
        ],
    )
    names = [program.name for program in result.programs]
    fig.add_trace(_agreement(result, names), row=1, col=1)
    fig.add_trace(_parted(result, names), row=2, col=1)
    fig.update_yaxes(autorange="reversed", showgrid=False)
    fig.update_xaxes(showgrid=False)
    fig.update_yaxes(title="the program", row=2, col=1)
    fig.update_xaxes(title="differs from", row=2, col=1)
    return figures.style(fig, _title(result), 860)


def _title(result: WhichProgramResult) -> str:
    names = " = ".join(result.programs[p].name for p in result.best)
    if result.winner:
        return f"The model's program: {names}"
    return f"None of these programs is the model's; the closest is {names}"


def _agreement(result: WhichProgramResult, names: list[str]) -> go.Heatmap:
    rates: list[list[Estimate | None]] = [
        [*(result.agreement(p, k) for p in range(len(names))), result.itself(k)]
        for k in range(len(result.kinds))
    ]
    return figures.share_cells(
        [[rate.value if rate else None for rate in line] for line in rates],
        [
            [f"{rate.percent()}, n = {rate.n} lists" if rate else "" for rate in line]
            for line in rates
        ],
        [*names, ITSELF],
        [kind.name for kind in result.kinds],
    )


def _parted(result: WhichProgramResult, names: list[str]) -> go.Heatmap:
    numbers = range(len(names))
    found = [[result.parted(a, b) for b in numbers] for a in numbers]
    return figures.share_cells(
        [[right / n if n else None for n, right, _ in line] for line in found],
        [[f"{right} of {n} prefixes" for n, right, _ in line] for line in found],
        names,
        names,
    )
