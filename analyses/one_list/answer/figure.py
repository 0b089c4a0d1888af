"""The figures of ``analyses.one_list.answer``: an answer, one step of it, and its heads then."""

from __future__ import annotations

from itertools import pairwise

import plotly.graph_objects as go

from analyses.one_list.answer.result import weights_at
from analyses.one_list.answers import Attention, Decoded
from interp import figures

_WRONG = "x", figures.VERMILLION, "wrong"
_NAMED = 0.08  # the least share of the width that holds a region's name


def answer_figure(decoded: Decoded) -> go.Figure:
    """Rows are tokens, columns outputs; a disc is what should be said, a cross a wrong output."""
    outputs = decoded.answer.outputs
    names = outputs[0].task.token_names
    columns = [f"out {i}" for i in range(len(outputs))]
    figure = go.Figure(
        go.Heatmap(
            z=decoded.probabilities.T,
            x=columns,
            y=names,
            zmin=0.0,
            zmax=1.0,
            colorscale=figures.SEQUENTIAL,
            colorbar={"title": {"text": "probability", "side": "right"}, "thickness": 12},
            hovertemplate="%{x} · %{y}<br>probability %{z:.4f}<extra></extra>",
            xgap=1,
            ygap=1,
        )
    )
    right = {i: names[o.expected] for i, o in enumerate(outputs) if not o.ended}
    wrong = {i: names[outputs[i].token] for i in decoded.answer.wrong}
    for marked, *look in ((right, "circle", "white", "right"), (wrong, *_WRONG)):
        _mark(figure, [columns[i] for i in marked], list(marked.values()), *look)
    figure.update_xaxes(title="output", type="category", showgrid=False)
    figure.update_yaxes(
        title="token", type="category", autorange="reversed", showgrid=False, dtick=1
    )
    figures.style(figure, "Probability of every token at every output", 460)
    figure.update_layout(legend={"y": 1.02, "yanchor": "bottom"})
    return _below_tools(figure, top=100, bottom=70)


def _mark(
    figure: go.Figure, x: list[str], y: list[str], symbol: str, colour: str, name: str
) -> None:
    names = {"right": "what should be said", "wrong": "what is said, and wrong"}
    figure.add_scatter(
        x=x,
        y=y,
        mode="markers",
        name=names[name],
        marker={
            "symbol": symbol,
            "size": 9,
            "color": colour,
            "line": {"color": "black", "width": 1},
        },
        hoverinfo="skip",
        showlegend=True,
    )


def step_figure(decoded: Decoded, step: int) -> go.Figure:
    """The distribution over all tokens at one step, a bar each, with its number."""
    output, values = decoded.answer.outputs[step], decoded.probabilities[step].tolist()
    names = output.task.token_names
    ticks, colours, hatches = [*names], [figures.GREY] * len(names), [""] * len(names)
    colours[output.token] = figures.BLUE
    if output.right:
        ticks[output.token] = f"<b>✓ said: {ticks[output.token]}</b>"
    else:
        colours[output.token], hatches[output.token] = figures.VERMILLION, "/"
        ticks[output.token] = f"<b>✗ said: {ticks[output.token]}</b>"
    if not output.right and not output.ended:
        colours[output.expected] = figures.GREEN
        ticks[output.expected] = f"<b>right: {ticks[output.expected]}</b>"
    figure = go.Figure(
        go.Bar(
            orientation="h",
            x=values,
            y=list(range(len(names))),
            text=[_number(value) for value in values],
            textposition="outside",
            cliponaxis=False,
            marker={"color": colours, "pattern": {"shape": hatches}},
            customdata=names,
            hovertemplate="%{customdata}<br>probability %{x:.6f}<extra></extra>",
        )
    )
    figure.update_yaxes(
        tickvals=list(range(len(names))), ticktext=ticks, autorange="reversed", showgrid=False
    )
    figure.update_xaxes(title="probability", range=[0, 1.25], tickvals=[0, 0.25, 0.5, 0.75, 1])
    figures.style(figure, f"Output {step}: which token", 400)
    figure.update_yaxes(zeroline=False)
    return _below_tools(figure, top=80, bottom=60)


def _number(probability: float) -> str:
    """Never rounded to certainty; nothing for what has no bar to be attention."""
    if probability >= 0.9995:
        return "> 0.999"
    return f"{probability:.3f}" if probability >= 0.0005 else ""


def _below_tools(figure: go.Figure, top: int, bottom: int) -> go.Figure:
    """The title below the icons that a page draws on the figure, and room at top and bottom."""
    title = {"y": 1 - 36 / figure.layout.height, "yanchor": "top"}
    return figure.update_layout(title=title, margin={"t": top, "b": bottom})


def heads_figure(attention: Attention, step: int) -> go.Figure:
    """Rows are heads, layer by layer; columns the sequence up to the row that emits the output."""
    weights = weights_at(attention, step)
    n_layers, n_heads, n_keys = weights.shape
    heads = [f"{layer}.{head}" for layer in range(n_layers) for head in range(n_heads)]
    labels = list(attention.labels[:n_keys])
    figure = go.Figure(
        go.Heatmap(
            z=weights.reshape(-1, n_keys),
            x=labels,
            y=heads,
            zmin=0.0,
            zmax=max(figures.FAINTEST_ATTENTION, float(weights.max())),
            colorscale=figures.SEQUENTIAL,
            colorbar={"title": {"text": "attention", "side": "right"}, "thickness": 12},
            hovertemplate="head %{y} · %{x}<br>attention %{z:.4f}<extra></extra>",
        )
    )
    figure.update_xaxes(
        title="position that is attended to",
        type="category",
        tickangle=-90,
        showgrid=False,
        **figures.label_axis(labels, most=26),
    )
    figure.update_yaxes(
        title="layer.head", type="category", autorange="reversed", showgrid=False, dtick=1
    )
    layers = [layer * n_heads - 0.5 for layer in range(1, n_layers)]
    figures.dividers(figure, rows=layers, colour="white", width=2.0)
    _draw_regions(figure, attention, n_keys)
    title = f"Output {step}: what the row {labels[-1]} attends to"
    figures.style(figure, title, height=max(400, 16 * len(heads) + 240))
    return _below_tools(figure, top=100, bottom=100)


def _draw_regions(figure: go.Figure, attention: Attention, n_keys: int) -> None:
    """Lines between regions, and above them a coloured band, named where there is room."""
    edges = [0, *(edge for edge in attention.edges if edge < n_keys), n_keys]
    figures.dividers(figure, columns=[edge - 0.5 for edge in edges[1:-1]], colour="white")
    for left, right in pairwise(edges):
        region = attention.regions[left]
        figure.add_shape(
            type="rect",
            x0=left - 0.5,
            x1=right - 0.5,
            y0=1.01,
            y1=1.04,
            yref="paper",
            fillcolor=figures.REGION_COLOURS[region],
            line_width=0,
        )
        if right - left >= _NAMED * n_keys:
            figure.add_annotation(
                x=(left + right - 1) / 2,
                y=1.05,
                yref="paper",
                yanchor="bottom",
                text=region.words,
                showarrow=False,
                font={"size": 11},
            )
