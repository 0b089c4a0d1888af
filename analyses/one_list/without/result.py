"""What ``analyses.one_list.without`` finds: answers to one list, with one thing taken away."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import zip_longest

from interp.task import SortTask


@dataclass(frozen=True)
class AblatedAnswer:
    """One answer."""

    name: str
    """What was done: ``blanks masked``."""
    tokens: tuple[int, ...]
    """The most probable token of every output, given the right ones before it."""


@dataclass(frozen=True)
class AblatedAnswers:
    """Answers to one list."""

    task: SortTask
    digits: tuple[int, ...]
    other: tuple[int, ...]
    """List B."""
    lines: tuple[AblatedAnswer, ...]

    @property
    def right_answer(self) -> tuple[int, ...]:
        return self.task.answer(self.digits)

    @property
    def other_answer(self) -> tuple[int, ...]:
        """List B's."""
        return self.task.answer(self.other)

    def padded(self, answer: tuple[int, ...]) -> list[int]:
        """An answer as long as the longest line; PAD where it says nothing."""
        longest = max(len(line.tokens) for line in self.lines)
        return [*answer, *[self.task.pad] * longest][:longest]

    def line(self, name: str) -> AblatedAnswer:
        """The line of that name."""
        return next(line for line in self.lines if line.name == name)

    def kinds(self, line: AblatedAnswer) -> list[int]:
        """Of every output: 0 right, 1 that of list B, 2 neither."""
        sides = zip_longest(line.tokens, self.right_answer, self.other_answer)
        every = [0 if token == right else 1 if token == b else 2 for token, right, b in sides]
        return every[: len(line.tokens)]

    def right(self, name: str) -> int:
        """How many outputs are right."""
        return self.kinds(self.line(name)).count(0)

    def follows(self, name: str) -> int:
        """How many outputs are list B's and not this list's."""
        return self.kinds(self.line(name)).count(1)

    @property
    def telling(self) -> int:
        """Outputs in which the two answers differ."""
        return sum(a != b for a, b in zip_longest(self.right_answer, self.other_answer))
