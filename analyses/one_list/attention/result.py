"""What of a list's attention is shown: heads, rows, columns, and some cells of one head."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from analyses.one_list.answers import Attention
from analyses.one_list.attention import Keys
from interp.sites import head_name
from interp.support.errors import UserError
from interp.task import Region


def heads_of(attention: Attention) -> list[tuple[int, int]]:
    """(layer, head) of every head."""
    return [
        (i, j) for i in range(attention.pattern.shape[0]) for j in range(attention.pattern.shape[1])
    ]


def first_row(attention: Attention) -> int:
    """The first row that emits an output."""
    return len(attention.labels) - len(attention.emitted)


def queries_of(attention: Attention) -> list[str]:
    """Labels of all rows; those that emit say what: ``out 0: 1 → 3``."""
    return [*attention.labels[: first_row(attention)], *attention.row_labels]


def span(attention: Attention, *regions: Region) -> slice:
    """Positions of regions that follow each other; empty where there are none."""
    found = [i for i, region in enumerate(attention.regions) if region in regions]
    return slice(found[0], found[-1] + 1) if found else slice(0, 0)


@dataclass(frozen=True)
class HeadMap:
    """Some rows and columns of one head."""

    weights: Float[np.ndarray, "row key"]
    queries: list[str]
    keys: list[str]
    row_edges: list[int]
    """Where a new region of rows begins, counted from the first row shown."""
    key_edges: list[int]


def head_map(
    attention: Attention,
    head: tuple[int, int],
    every_row: bool,
    keys: Keys,
    less: Attention | None = None,
) -> HeadMap:
    """The cells of a head to show.

    Args:
        less: attention to take away, along the same tokens.

    Raises:
        UserError: if there is no such head, or nothing of the kind to look at.
    """
    pattern = attention.pattern
    if head not in heads_of(attention):
        raise UserError(
            f"there is no head {head_name(head)}: layers are 0 to {pattern.shape[0] - 1}, "
            f"heads 0 to {pattern.shape[1] - 1}"
        )
    rows = slice(0 if every_row else first_row(attention), len(attention.labels))
    columns = key_span(attention, keys)
    if columns.start == columns.stop:
        raise UserError(f"there are no {keys} to look at, with this model and list")
    weights = pattern[head] if less is None else pattern[head] - less.pattern[head]
    return HeadMap(
        weights=weights[rows, columns],
        queries=queries_of(attention)[rows],
        keys=list(attention.labels[columns]),
        row_edges=[edge - rows.start for edge in attention.edges if rows.start < edge < rows.stop],
        key_edges=[
            edge - columns.start for edge in attention.edges if columns.start < edge < columns.stop
        ],
    )


def key_span(attention: Attention, keys: Keys) -> slice:
    """The columns of that choice; empty where there are none."""
    if keys == "all":
        return slice(0, len(attention.labels))
    regions = {
        "digits": (Region.DIGITS,),
        "blanks": (Region.BLANKS, Region.LAST_BLANK),
        "outputs": (Region.OUTPUTS,),
    }
    return span(attention, *regions[keys])
