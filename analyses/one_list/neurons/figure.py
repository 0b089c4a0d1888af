"""The figure of ``analyses.one_list.neurons``: those with the largest effects."""

from __future__ import annotations

import plotly.graph_objects as go

from analyses.one_list.neurons.result import ListNeurons
from interp import figures


def neuron_bars(found: ListNeurons, output: int, top: int) -> go.Figure:
    """The neurons with the largest effects: by zero ablation, and what they write directly."""
    order = found.lost.abs().argsort(descending=True)[:top]
    names = [f"neuron {n}" for n in found.neurons[order].tolist()]
    lost, direct = found.lost[order].tolist(), found.direct[order].tolist()
    colours = [figures.BLUE if value >= 0 else figures.VERMILLION for value in lost]
    fig = go.Figure()
    fig.add_bar(
        x=names,
        y=lost,
        marker_color=colours,
        name="lost when zeroed",
        hovertemplate="%{x}<br>lost when zeroed: %{y:+.4f}<extra></extra>",
    )
    fig.add_scatter(
        x=names,
        y=direct,
        mode="markers",
        marker={
            "symbol": "diamond",
            "size": 10,
            "color": figures.ORANGE,
            "line": {"color": "white", "width": 1.5},  # to stand out from the bars
        },
        name="written directly at the row",
        hovertemplate="%{x}<br>written directly: %{y:+.4f}<extra></extra>",
    )
    fig.update_xaxes(tickangle=-60, dtick=1)
    fig.update_yaxes(title="margin, logits")
    title = f"Neurons of layer {found.layer} for output {output}: {found.margin.words}"
    return figures.style(fig, title, height=440).update_layout(
        legend={"y": 1.02, "yanchor": "bottom"}, margin={"t": 90, "b": 100}
    )
