"""The figure of ``heads.head_finder``: what ablating each head costs, over where it looks."""

from __future__ import annotations

import plotly.graph_objects as go
from plotly import subplots

from analyses.heads.head_finder.result import HeadResult, nats
from interp import figures
from interp.answers.kinds import HEAD_KINDS, Kind
from interp.methods.heads import pattern_ranks
from interp.sites import head_name


def figure(result: HeadResult) -> go.Figure:
    """What ablating each head costs, in lists and in nats, over where each head looks."""
    names = [head_name(head) for head in result.heads]
    ranks = pattern_ranks(result.stats)
    fig = subplots.make_subplots(
        rows=3,
        cols=1,
        row_heights=[0.3, 0.3, 0.4],
        vertical_spacing=0.09,
        subplot_titles=[
            "Lists that ablating the head makes wrong, %",
            f"Log-probability lost, nats per output (dotted: named by {result.config.ablation})",
            f"Where it looks: scores of its pattern at the answer rows, "
            f"lists of {result.stats.task.of_length(result.stats.length)}",
        ],
    )
    for kind in HEAD_KINDS:
        exact = [result.exact_lost(kind, head) for head in result.heads]
        points = figures.rate_points(names, exact, kind, *Kind(kind).way.mark)
        points.showlegend = True
        fig.add_trace(points, row=1, col=1)
        fig.add_trace(_nats_points(result, names, kind), row=2, col=1)
    _draw_threshold(fig, result)
    table = [dict(ranked) for ranked in ranks.values()]
    values = [[row.get(head, float("nan")) for head in result.heads] for row in table]
    fig.update_xaxes(type="category")  # 0.0, 0.1, ... are names of heads
    fig.update_xaxes(type="linear", row=3, col=1)
    cells = figures.heatmap(values, names, list(ranks), name="score", signed=True)
    cells.text = [["" if v != v else f"{round(v, 2) + 0.0:.2f}" for v in row] for row in values]
    cells.texttemplate, cells.textfont = "%{text}", {"size": 10}
    cells.colorbar.update(len=0.36, y=0.16)
    fig.add_trace(cells, row=3, col=1)
    marked = [
        f"<b>{head_name(h)} ★</b>" if h in result.named else head_name(h) for h in result.heads
    ]
    fig.update_xaxes(title="layer.head (★ named)", row=3, col=1, **figures.label_axis(marked))
    fig.update_yaxes(
        autorange="reversed", showgrid=False, row=3, col=1, **figures.label_axis(list(ranks))
    )
    fig.update_layout(scattermode="group", scattergap=0.5)
    n = len(result.trials.lengths)
    title = f"What each head carries, and where it looks · {n} lists"
    return figures.style(fig, title, 1150).update_layout(legend={"y": -0.08}, margin={"t": 90})


def _draw_threshold(fig: go.Figure, result: HeadResult) -> None:
    ticks = {_FLOOR: f"≤ {_FLOOR}", 0.01: "0.01", 0.1: "0.1", 1.0: "1", 10.0: "10"}
    fig.update_yaxes(type="log", tickvals=[*ticks], ticktext=[*ticks.values()], row=2, col=1)
    threshold = max(result.config.threshold, _FLOOR)
    fig.add_hline(threshold, line_dash="dot", line_color=figures.GREY, row=2, col=1)


_FLOOR = 1e-3  # nats; smaller costs, and gains, are drawn here


def _nats_points(result: HeadResult, names: list[str], kind: str) -> go.Scatter:
    effects = [result.effect(kind, head) for head in result.heads]
    points = figures.rate_points(names, effects, kind, *Kind(kind).way.mark)
    low, points.y, high = (
        [max(getattr(effect, end), _FLOOR) for effect in effects]
        for end in ("low", "value", "high")
    )
    points.error_y.array = [top - y for top, y in zip(high, points.y, strict=True)]
    points.error_y.arrayminus = [y - bottom for bottom, y in zip(low, points.y, strict=True)]
    points.customdata = [f"{nats(effect)} nats" for effect in effects]
    return points
