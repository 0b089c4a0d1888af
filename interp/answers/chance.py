"""What is right by chance: of a single bit half of all answers, of a long list next to none."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from interp.task import Task


def chance(task: Task, lists: Sequence[tuple[int, ...]]) -> float:
    """The share of pairs of lists of one length that have the same answer: what a list would be
    answered right with the answer of another."""
    answers = Counter((len(values), task.answer(values)) for values in lists)
    lengths = Counter(map(len, lists))
    same = sum(n * (n - 1) / (lengths[length] - 1) for (length, _), n in answers.items() if n > 1)
    return same / max(1, sum(n for n in lengths.values() if n > 1))
