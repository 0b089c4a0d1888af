"""Attention at a glance: what share every head gives each region, and one head in full.

    python -m analyses.one_list.glance --model blanks --list 3,1,4 --layer 1 --head 0

While the model answers a list, digit by digit, each output's row spreads its attention over what is
before it. On the left the mean over those rows of what goes to the list's digits, to SEP, to the
blanks, to the last blank (itself the first row) and to the outputs so far; a row of the table adds
up to 1. On the right one head, row by row.

What it does not show: that what is looked at is used.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float

from analyses.one_list.answer.body import attended_along
from analyses.one_list.command import OneListArgs, Seen, run_one_list
from interp import figures
from interp.support.errors import UserError
from interp.support.lazy import lazy_import
from interp.task import Region, SortTask

if TYPE_CHECKING:
    import plotly.graph_objects as go

    from interp.answers.treatment import Treatment
    from interp.model import SortTransformer
else:
    go = lazy_import("plotly.graph_objects")

REGIONS = (Region.DIGITS, Region.SEP, Region.BLANKS, Region.LAST_BLANK, Region.OUTPUTS)


@dataclass(frozen=True)
class Glance:
    """Attention of the rows that emit the answer to one list."""

    task: SortTask
    length: int
    pattern: Float[np.ndarray, "layer head row key"]
    """Keys are the real positions: the list's first digit is 0."""
    rows: tuple[str, ...]
    """``blank 48 → 1``: where, and what is emitted there."""
    keys: tuple[str, ...]

    @property
    def regions(self) -> list[Region]:
        """Those that the task has; a last region may still be empty, for a list of one digit."""
        return [r for r in REGIONS if self.task.n_blanks or "blank" not in r.value]

    @property
    def spans(self) -> dict[Region, slice]:
        """Keys of each region."""
        start = self.task.max_len - self.length
        spans = {r: self.task.region(r, self.length) for r in self.regions}
        return {r: slice(s.start - start, s.stop - start) for r, s in spans.items()}

    @property
    def shares(self) -> Float[np.ndarray, "layer head region"]:
        """Mean over the rows of the attention that goes to each region."""
        parts = [self.pattern[..., span].sum(-1).mean(-1) for span in self.spans.values()]
        return np.stack(parts, -1)

    @property
    def heads(self) -> list[str]:
        """``layer 0 head 3``, in the order of the pattern."""
        layers, heads = self.pattern.shape[:2]
        return [f"layer {layer} head {head}" for layer in range(layers) for head in range(heads)]

    def check_head(self, layer: int, head: int) -> None:
        """Raises a ``UserError`` if there is no such head."""
        layers, heads = self.pattern.shape[:2]
        if not (0 <= layer < layers and 0 <= head < heads):
            raise UserError(
                f"there is no head {head} in layer {layer}: layers are 0 to {layers - 1}, heads 0 "
                f"to {heads - 1}"
            )


def glance(
    model: SortTransformer,
    digits: tuple[int, ...],
    treatment: Treatment,
    outputs: Sequence[int] | None = None,
) -> Glance:
    """Attention while the model answers.

    Args:
        outputs: what is given back as the outputs; by default the model's own.
    """
    from interp.answers.decode import greedy_decode

    done = treatment.on_list(model, digits)
    if outputs is None:
        outputs = greedy_decode(model, [digits], interventions=done).lists[0]
    seen = attended_along(model, digits, outputs, done)
    pattern = seen.pattern[..., -len(digits) :, :]
    return Glance(model.task, len(digits), pattern, tuple(seen.row_labels), seen.labels)


# -- figure -------------------------------------------------------------------------------------


def figure(seen: Glance, layer: int, head: int, title: str = "") -> go.Figure:
    """Shares of all heads beside one head in full."""
    seen.check_head(layer, head)
    subplots = lazy_import("plotly.subplots")
    fig = subplots.make_subplots(
        rows=1,
        cols=2,
        column_widths=[0.32, 0.68],
        horizontal_spacing=0.16,
        subplot_titles=[
            "Every head: share by region",
            f"Layer {layer}, head {head}: rows look at columns",
        ],
    )
    values = seen.shares.reshape(-1, len(seen.regions))
    add_shares(fig, values, seen.regions, seen.heads, 1)
    full = seen.pattern[layer, head]
    trace = figures.heatmap(full, list(seen.keys), list(seen.rows), name="attention")
    trace.update(zmax=max(figures.FAINTEST_ATTENTION, float(full.max())))
    fig.add_trace(trace, row=1, col=2)
    dress_map(fig, seen, 2)
    height = max(460, min(900, 14 * max(len(seen.rows), len(values)) + 220))
    figures.style(fig, title or "Where the rows that answer look", height=height)
    return fig.update_layout(margin={"t": 90, "b": 90})


def add_shares(
    fig: go.Figure,
    values: Float[np.ndarray, "head region"],
    regions: Sequence[Region],
    heads: Sequence[str],
    column: int,
    signed: bool = False,
) -> None:
    """A table in colour, with its numbers."""
    limit = max(figures.FAINTEST_ATTENTION, float(abs(values).max())) if signed else 1.0
    trace = figures.heatmap(values, list(regions), list(heads), name="share", signed=signed)
    trace.update(
        zmin=-limit if signed else 0,
        zmax=limit,
        showscale=False,
        text=[[f"{value:+.2f}" if signed else f"{value:.2f}" for value in row] for row in values],
        texttemplate="%{text}",
        textfont={"size": 11},
    )
    fig.add_trace(trace, row=1, col=column)
    ticks = {"tickmode": "array", "tickvals": list(range(len(regions))), "ticktext": list(regions)}
    fig.update_xaxes(tickangle=-40, row=1, col=column, **ticks)
    rows = {"tickmode": "array", "tickvals": list(range(len(heads))), "ticktext": list(heads)}
    fig.update_yaxes(autorange="reversed", row=1, col=column, **rows)


def dress_map(fig: go.Figure, seen: Glance, column: int) -> None:
    """Labels and dividers between regions for a map of rows by keys."""
    keys = figures.label_axis(list(seen.keys))
    fig.update_xaxes(tickangle=-90, row=1, col=column, **keys)
    rows = figures.label_axis(list(seen.rows))
    fig.update_yaxes(autorange="reversed", row=1, col=column, **rows)
    if len(seen.keys) > figures.MOST_GAPPED:
        fig.update_traces(xgap=0, ygap=0, row=1, col=column)
    for span in list(seen.spans.values())[1:]:
        if span.start < len(seen.keys):
            fig.add_vline(
                x=span.start - 0.5, line_width=1, line_color=figures.GREY, row=1, col=column
            )


def table(seen: Glance, layer: int, head: int) -> list[dict[str, Any]]:
    """The numbers behind the figure: shares of every head, then the chosen head's weights."""
    shares = [
        {"what": "share", "head": name, "to": region.value, "value": float(value)}
        for name, row in zip(seen.heads, seen.shares.reshape(-1, len(seen.regions)), strict=True)
        for region, value in zip(seen.regions, row, strict=True)
    ]
    weights = [
        {
            "what": "attention",
            "head": f"layer {layer} head {head}",
            "from": row,
            "to": key,
            "value": float(value),
        }
        for row, values in zip(seen.rows, seen.pattern[layer, head], strict=True)
        for key, value in zip(seen.keys, values, strict=True)
    ]
    return [*shares, *weights]


# -- command line -------------------------------------------------------------------------------


@dataclass(frozen=True)
class GlanceArgs(OneListArgs):
    """Where every head looks while a list is answered."""

    layer: int = 1  # of the head that is shown in full
    head: int = 0  # of that layer


def look(
    model: SortTransformer, digits: tuple[int, ...], treatment: Treatment, args: GlanceArgs
) -> Seen:
    """Everything that the command writes."""
    seen = glance(model, digits, treatment)
    seen.check_head(args.layer, args.head)
    words = [
        f"{name}: " + ", ".join(f"{r} {v:.2f}" for r, v in zip(seen.regions, row, strict=True))
        for name, row in zip(seen.heads, seen.shares.reshape(-1, len(seen.regions)), strict=True)
    ]
    return Seen(figure(seen, args.layer, args.head), table(seen, args.layer, args.head), words)


def main(argv: Sequence[str] | None = None) -> None:
    run_one_list(look, GlanceArgs, "one_list_glance", argv)


if __name__ == "__main__":
    main()
