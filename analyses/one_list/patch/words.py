"""What ``analyses.one_list.patch`` found, in words and as a table."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from analyses.one_list.patch.result import PatchMap
from interp.answers.pairs import Pairs

_NAMED = 5  # places, or changed digits, that words name one by one
_LEAST = 0.005  # the share from which they do: what rounds to a percent


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
        f"The lists differ in {len(changed)} of {pairs.task.of_length(pairs.length)}{which}. "
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
        if abs(share := float(found.shares[row, column])) >= _LEAST
    ]
    return ", ".join(named) or "no place carries as much as a percent"


def rows(found: PatchMap) -> list[dict[str, Any]]:
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
