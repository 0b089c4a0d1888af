"""What a face declares of its experiment beside its settings: whom it is for, and who offers it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from interp.rules import SORT
from interp.sorters.truth import Truth
from interp.task import SortTask


@dataclass(frozen=True)
class Question:
    """One question of the scoreboard: where the answer is found, and what the right one is."""

    key: str
    """In the verdicts of the experiment."""
    words: str
    true: Callable[[Truth], Any] | None = None
    """The right answer about a sorter; without, the body's ``expected(truth)[key]``."""
    said: Callable[[Any], Any] | None = None
    """Turns the verdict into an answer to the question."""
    plain: str = ""
    """The question in plain words."""
    why_wrong: str = ""
    """Of one that the method cannot answer, and is asked on purpose: why it is wrong."""


@dataclass(frozen=True)
class OnPage:
    """How the explorer offers an experiment that takes its time."""

    page: str
    """By its path: ``blanks``."""
    shows: str
    """What the figure shows, as a sentence without its first words and with its full stop."""
    question: str = ""
    """Above it (default: the experiment's title)."""
    takes: str = ""
    """How long, about, on two cores, with the shipped model: ``80 s``."""
    quick: Mapping[str, Any] | None = None
    """Settings that differ when it is to be quick; None: there is one size only."""
    quick_takes: str = ""
    """How long that takes."""


class Needs(StrEnum):
    """What an experiment asks of a model's task."""

    NOTHING = "any task"
    """It is about any list and its answer."""
    ALIKE = "a task whose answers to lists of one length are of one length"
    """Rows that answer are taken together, whatever the list."""
    SEVERAL = "a task whose answers have several symbols"
    """One output is held against another."""
    SORTING = "the task to sort digits"
    """It knows what a sorter may compute."""
    ANY_LENGTH = "the task to sort digits, of lists of any length"
    """It makes short lists itself."""

    def met_by(self, task: SortTask) -> bool:
        """Whether a task has it."""
        if self in (Needs.SORTING, Needs.ANY_LENGTH):
            return task.rule == SORT and (self is Needs.SORTING or task.min_len == 1)
        if self is Needs.SEVERAL:
            return task.rule.most(2) > 1
        return self is Needs.NOTHING or not task.rule.ends
