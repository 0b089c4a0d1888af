"""What ``analyses.one_list.patch.body`` found, in words, as a figure and as a table."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from interp import figures
from interp.support.lazy import lazy_import

if TYPE_CHECKING:
    import plotly.graph_objects as go

    from analyses.one_list.patch.body import PatchMap
    from interp.answers.pairs import Pairs
else:
    go = lazy_import("plotly.graph_objects")

_NAMED = 5  # places, or changed digits, that words name one by one
_SEEN = 0.005  # the share from which they do: what rounds to a percent


def pair_words(pairs: Pairs) -> str:
    """What differs between two lists, and what is read."""
    start, first = pairs.task.max_len - pairs.length, pairs.task.first_output_row
    row = int(pairs.rows[0])
    changed = [
        f"in {i}"
        for i in range(pairs.length)
        if pairs.clean[0, start + i] != pairs.corrupt[0, start + i]
    ]
    ours, theirs = pairs.answers[0].tolist()
    which = f" ({', '.join(changed)})" if len(changed) <= _NAMED else ""
    return (
        f"The lists differ in {len(changed)} of {pairs.length} digits{which}. "
        f"Their answers part at out {row - first}: {ours} for the clean list, {theirs} for the "
        f"corrupted one. It is read at {pairs.task.labels(pairs.length)[row]}, which emits it."
    )


def wrong_words(found: PatchMap) -> str:
    """What is said where the model does not prefer both right answers."""
    sides = zip(("clean", "corrupted"), found.difference, (1, -1), strict=True)
    wrong = [name for name, difference, sign in sides if sign * difference <= 0]
    return (
        f"The model prefers the wrong answer of the two for the {' and the '.join(wrong)} list: "
        "there is no effect to share out."
    )


def summary(found: PatchMap) -> list[str]:
    """The finding in a few lines."""
    lines = [pair_words(found.pairs)]
    if not found.understood:
        return [*lines, wrong_words(found)]
    return [*lines, f"{found.direction.capitalize()}, by itself: {strongest(found)}."]


def strongest(found: PatchMap) -> str:
    """``values 1.2 at blank 4: 58 %, ...``: the cells with the largest shares."""
    n_columns = len(found.positions)
    order = found.shares.abs().flatten().argsort(descending=True, stable=True)[:_NAMED].tolist()
    cells = [(index // n_columns, index % n_columns) for index in order]
    named = [
        f"{found.names[row]} at {found.labels[column]}: {100 * share:.0f} %"
        for row, column in cells
        if abs(share := float(found.shares[row, column])) >= _SEEN
    ]
    return ", ".join(named) or "no place carries as much as a percent"


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
    for edge in found.edges:
        fig.add_vline(edge - 0.5, line_width=1, line_color=figures.GREY)
    how = "every cell patched" if found.method == "exact" else f"guessed by {found.method}"
    title = f"Activation patching, {found.direction}: share of the answer's change · {how}"
    return figures.style(fig, title, height=26 * len(found.names) + 170)


def table(found: PatchMap) -> list[dict[str, Any]]:
    """A cell each; ``effect`` in logits, ``share`` None where there is none to share."""
    return list(_rows(found))


def _rows(found: PatchMap) -> Iterator[dict[str, Any]]:
    effects, shares = found.effects.tolist(), found.shares.tolist()
    for r, site in enumerate(found.sites):
        for c, (position, label) in enumerate(zip(found.positions, found.labels, strict=True)):
            yield {
                "site": site.hook_name,
                "head": "" if site.heads is None else site.heads[0],
                "position": position,
                "label": label,
                "effect": effects[r][c],
                "share": shares[r][c] if found.understood else None,
            }
