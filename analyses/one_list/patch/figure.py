"""The map of ``analyses.one_list.patch``."""

from __future__ import annotations

import plotly.graph_objects as go

from analyses.one_list.patch.result import PatchMap
from interp import figures


def figure(found: PatchMap) -> go.Figure:
    """The map: rows are places, columns positions."""
    if not found.understood:
        return figures.style(go.Figure(), "The model gets one of the two wrong: no effect to share")
    cells = figures.heatmap(
        found.shares.tolist(),
        found.holds,
        found.names,
        name="share",
        signed=True,
        limit=found.limit,
    )
    fig = go.Figure(cells)
    fig.update_xaxes(tickangle=-90, showgrid=False, **figures.label_axis(found.labels, 74))
    fig.update_yaxes(autorange="reversed", showgrid=False, **figures.label_axis(found.names))
    figures.dividers(fig, columns=[edge - 0.5 for edge in found.edges])
    how = "every cell patched" if found.method == "exact" else f"guessed by {found.method}"
    title = f"Activation patching, {found.direction}: share of the answer's change · {how}"
    return figures.style(fig, title, height=26 * len(found.names) + 170)
