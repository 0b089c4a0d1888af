"""Every head's attention while one list is answered: its scores, and the cells to show."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from jaxtyping import Bool, Float

from analyses.one_list.answers import Answer, Attention, attention_of
from analyses.one_list.attention import AttentionSettings
from analyses.one_list.attention.figure import enlarged, overview
from analyses.one_list.attention.result import HeadMap, first_row, head_map, heads_of, span
from analyses.one_list.subject import ListSubject, Shown, figure, rows, summary, to_json
from interp.methods.attention import Target
from interp.sites import head_name
from interp.support.errors import UserError
from interp.support.progress import Progress
from interp.task import Region, SortTask

__all__ = ["compute", "figure", "rows", "summary", "to_json"]  # see analyses.experiment


def compute(
    subject: ListSubject, settings: AttentionSettings, seed: int, progress: Progress
) -> Shown:
    """All heads, or the one that the settings ask for.

    Raises:
        UserError: if there is no such head, or nothing to take away from its attention.
    """
    run, task = subject.run(seed), subject.model.task
    words = {row["head"]: _in_words(row) for row in scores(run.attention, run.decoded.answer, task)}
    if settings.layer is None or settings.head is None:
        return Shown(overview(run.attention), overview_rows(run.attention), [*words.values()])
    if settings.difference and not subject.treatment:
        raise UserError("--difference takes away nothing: give an intervention with --do")
    less = attention_of(subject.model, run.decoded.answer) if settings.difference else None
    head = (settings.layer, settings.head)
    cells = head_map(run.attention, head, settings.every_row, settings.keys, less)
    drawn = enlarged(cells, head, signed=settings.difference)
    return Shown(drawn, list(map_rows(cells)), [words[head_name(head)]])


# -- scores of this one list --------------------------------------------------------------------


def scores(attention: Attention, answer: Answer, task: SortTask) -> list[dict[str, Any]]:
    """For every head, means over the rows that emit: attention to regions, entropy, and targets.

    The targets are those of :class:`interp.methods.attention.Target`; not above chance, and along
    the model's own outputs. None where no row has such a target.
    """
    rows, masks = attention.pattern[:, :, first_row(attention) :], targets(attention, answer, task)
    table = []
    for head in heads_of(attention):
        weights = rows[head]
        mass = {
            f"on {region.words}": float(weights[:, span(attention, region)].sum(-1).mean())
            for region in dict.fromkeys(attention.regions)
        }
        bits = -(weights * np.log2(np.maximum(weights, 1e-30))).sum(-1).mean()
        on_target = {name: _mean_on(weights, mask) for name, mask in masks.items()}
        table.append({"head": head_name(head), **mass, "entropy, bits": float(bits), **on_target})
    return table


def _mean_on(
    weights: Float[np.ndarray, "row key"], mask: Bool[np.ndarray, "row key"]
) -> float | None:
    """Mean over the rows that have a target; None without."""
    there = mask.any(-1)
    return float((weights * mask).sum(-1)[there].mean()) if there.any() else None


def targets(
    attention: Attention, answer: Answer, task: SortTask
) -> dict[str, Bool[np.ndarray, "row key"]]:
    """Keys that an algorithm might have each emitting row look for, by name of the target."""
    n, keys = len(answer.outputs), np.arange(len(attention.labels))
    digits, blanks = np.array(answer.digits), span(attention, Region.BLANKS, Region.LAST_BLANK)
    # The first row's token is no digit: it equals none of the list, and none is larger.
    given = np.array([task.blank, *answer.tokens[:-1]])
    larger = [min([d for d in answer.digits if d > token], default=-1) for token in given]
    own = blanks.start + np.arange(n)
    places = {
        Target.PREVIOUS: first_row(attention) - 1 + np.arange(n),
        Target.OWN_BLANK: np.where(own < blanks.stop, own, -1),
    }
    in_list = {
        Target.EQUAL: given,
        Target.LARGER: larger,
        Target.EMITTED: [output.expected for output in answer.outputs],
    }
    masks = {target: keys == place[:, None] for target, place in places.items()}
    for target, wanted in in_list.items():
        masks[target] = np.zeros((n, len(keys)), dtype=bool)
        masks[target][:, : len(digits)] = digits == np.array(wanted)[:, None]
    return {target.value: masks[target] for target in Target}


# -- rows of tables -----------------------------------------------------------------------------


def matrix_rows(
    weights: Float[np.ndarray, "row key"], queries: list[str], keys: list[str], **first: Any
) -> Iterator[dict[str, Any]]:
    """A row of the table for each row of the matrix: ``first``, the query, then every key."""
    for query, row in zip(queries, weights.tolist(), strict=True):
        yield {**first, "query": query, **dict(zip(keys, row, strict=True))}


def map_rows(cells: HeadMap) -> Iterator[dict[str, Any]]:
    """A row of the table for each row of the map."""
    return matrix_rows(cells.weights, cells.queries, cells.keys)


def overview_rows(attention: Attention) -> list[Mapping[str, Any]]:
    """Every head's emitting rows."""
    rows, keys = attention.pattern[:, :, first_row(attention) :], list(attention.labels)
    return [
        row
        for layer, head in heads_of(attention)
        for row in matrix_rows(
            rows[layer, head], attention.row_labels, keys, layer=layer, head=head
        )
    ]


def _in_words(row: Mapping[str, Any]) -> str:
    parts = [f"{k} {v:.2f}" for k, v in row.items() if k != "head" and v is not None]
    return f"head {row['head']}: {'; '.join(parts)}"
