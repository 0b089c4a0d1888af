"""Reads the residual stream of one list at one position."""

from __future__ import annotations

from analyses.one_list.lens.result import read_lens
from analyses.one_list.margin import answer_list
from analyses.one_list.position import PositionSettings
from analyses.one_list.position.figure import lens_position
from analyses.one_list.subject import ListSubject, Shown, figure, rows, summary, to_json
from interp.support.progress import Progress

__all__ = ["compute", "figure", "rows", "summary", "to_json"]  # see analyses.experiment


def compute(
    subject: ListSubject, settings: PositionSettings, seed: int, progress: Progress
) -> Shown:
    """Every depth and token at one position.

    Raises:
        UserError: if there is no such position.
    """
    found = read_lens(answer_list(subject, seed))
    position = found.position(settings.pos) if settings.pos else found.regions["outputs"].start
    chances, logits = found.probabilities[:, position], found.logits[:, position]
    table = [
        {
            "position": found.labels[position],
            "depth": depth,
            "token": name,
            "probability": float(chances[number, token]),
            "logit": float(logits[number, token]),
        }
        for number, depth in enumerate(found.depths)
        for token, name in enumerate(found.task.token_names)
    ]
    words = [f"At {found.labels[position]}, which holds {found.given[position]}:"]
    for depth, best in zip(found.depths, chances.topk(2).indices.tolist(), strict=True):
        row = chances[found.depths.index(depth)]
        first, second = (
            f"{found.task.token_name(token)} {100 * row[token]:.1f} %" for token in best
        )
        words.append(f"  {depth}: {first}, then {second}")
    return Shown(lens_position(found, position), table, words)
