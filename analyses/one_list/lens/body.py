"""Reads the residual stream of one list at every depth and position."""

from __future__ import annotations

from typing import Any

from analyses.one_list.lens import LensSettings
from analyses.one_list.lens.figure import lens_map
from analyses.one_list.lens.result import ListLens, read_lens
from analyses.one_list.margin import answer_list
from analyses.one_list.subject import ListSubject, Shown, figure, rows, summary, to_json
from interp.support.errors import UserError
from interp.support.progress import Progress

__all__ = ["compute", "figure", "rows", "summary", "to_json"]  # see analyses.experiment


def compute(subject: ListSubject, settings: LensSettings, seed: int, progress: Progress) -> Shown:
    """Every depth at some of the positions.

    Raises:
        UserError: if the model has none of them.
    """
    found = read_lens(answer_list(subject, seed))
    regions = list(found.regions) if settings.show == "all" else [settings.show]
    if missing := [region for region in regions if region not in found.regions]:
        raise UserError(
            f"this model has no {missing[0]} to show; there is {', '.join(found.regions)}, all"
        )
    positions = [p for region in regions for p in found.regions[region]]
    table = [row for position in positions for row in _lens_rows(found, position)]
    return Shown(lens_map(found, regions), table, _lens_words(found))


def _lens_rows(found: ListLens, position: int) -> list[dict[str, Any]]:
    best = found.probabilities[:, position].topk(2)
    return [
        {
            "position": found.labels[position],
            "token": found.given[position],
            "depth": depth,
            "top": found.task.token_name(tokens[0]),
            "probability": chances[0],
            "second": found.task.token_name(tokens[1]),
            "second_probability": chances[1],
        }
        for depth, tokens, chances in zip(
            found.depths, best.indices.tolist(), best.values.tolist(), strict=True
        )
    ]


def _lens_words(found: ListLens) -> list[str]:
    rows = found.regions["outputs"]
    top = found.logits[:, rows.start : rows.stop].argmax(-1) == found.right
    right = found.task.right_word
    lines = [f"Outputs at which the {right} is the most probable token, of this one list:"]
    counts = [int(row.sum()) for row in top]
    lines += [
        f"  {depth}: {n} of {len(rows)}" for depth, n in zip(found.depths, counts, strict=True)
    ]
    return lines
