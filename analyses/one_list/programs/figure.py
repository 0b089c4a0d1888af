"""The figure of ``analyses.one_list.programs``: who says what at every step."""

from __future__ import annotations

import plotly.graph_objects as go

from analyses.one_list.programs.result import Compared
from interp import figures

_MODEL = "the model"


def steps_figure(found: Compared) -> go.Figure:
    """Columns are steps of the prefix, rows the model and the programs; crossed where they part."""
    names = [_MODEL, *found.programs]
    columns = [_column(k, step.prefix) for k, step in enumerate(found.steps)]
    agree = [[1.0 for _ in found.steps]]
    text = [[f"<b>{step.token}</b>" for step in found.steps]]
    for name in found.programs:
        agree.append([float(step.agrees(name)) for step in found.steps])
        text.append([f"{'' if s.agrees(name) else '✗ '}{s.says(name)}" for s in found.steps])
    fig = go.Figure(
        figures.agreement_cells(
            agree,
            list(range(len(columns))),
            names,
            text,
            hovertemplate="%{y} at %{x}: %{text}<extra></extra>",
        )
    )
    fig.update_yaxes(autorange="reversed", showgrid=False)
    fig.update_xaxes(
        showgrid=False, title="outputs given back so far", **figures.label_axis(columns)
    )
    return figures.style(fig, "What comes next, by the model and by each program", 330)


def _column(step: int, prefix: tuple[int, ...]) -> str:
    return f"… {prefix[-1]}" if step else "none"
