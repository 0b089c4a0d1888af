"""What ``analyses.one_list.blanks`` finds: answers side by side, and rates over a sample."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import zip_longest

from analyses.one_list.answers import Decoded
from interp.stats import Estimate
from interp.task import SortTask

AS_IT_IS, BLANKS, CONTROL = "as it is", "blanks", "control"
CONDITIONS = (AS_IT_IS, BLANKS, CONTROL)


@dataclass(frozen=True)
class ControlledAnswers:
    """Greedy answers to one list: as it is, with the blanks treated, with the control treated."""

    as_it_is: Decoded
    blanks: Decoded
    control: Decoded
    n_control: int
    """Positions of the control; fewer than the blanks where the list has no more."""

    @property
    def runs(self) -> tuple[tuple[str, Decoded], ...]:
        return tuple(zip(CONDITIONS, (self.as_it_is, self.blanks, self.control), strict=True))


@dataclass(frozen=True)
class Exchange:
    """List A answered with blanks of list B."""

    task: SortTask
    a: tuple[int, ...]
    b: tuple[int, ...]
    other: Decoded
    """B's own answer."""
    runs: ControlledAnswers
    """Answers to A."""
    self_change: float
    """The largest change of any logit when A's blanks come from A's own run."""

    @property
    def right_a(self) -> tuple[int, ...]:
        """The right answer to A."""
        return self.task.answer(self.a)

    @property
    def right_b(self) -> tuple[int, ...]:
        return self.task.answer(self.b)

    def follows(self, run: Decoded) -> tuple[str, ...]:
        """Output by output: ``A`` or ``B`` if it is that list's right token, ``both`` if it is
        that of both, else ``neither``."""
        sides = zip_longest(run.answer.tokens, self.right_a, self.right_b, fillvalue=self.task.pad)
        every = [_whose(token, ours, theirs) for token, ours, theirs in sides]
        return tuple(every[: len(run.answer.outputs)])

    @property
    def differing(self) -> list[int]:
        """Outputs in which the two right answers differ, of those that both have."""
        pairs = enumerate(zip(self.right_a, self.right_b, strict=False))
        return [i for i, (ours, theirs) in pairs if ours != theirs]

    def tally(self, run: Decoded) -> str:
        """``of 9 outputs in which the answers differ 9 follow A, 0 B and 0 neither``"""
        follows = self.follows(run)
        whose = [follows[i] if i < len(follows) else "neither" for i in self.differing]
        a, b, neither = (whose.count(name) for name in ("A", "B", "neither"))
        noun = "output" if len(whose) == 1 else "outputs"
        return (
            f"of {len(whose)} {noun} in which the sorted lists differ {a} follow A, {b} B and "
            f"{neither} neither"
        )


def _whose(token: int, ours: int, theirs: int) -> str:
    if ours == theirs:
        return "both" if token == ours else "neither"
    return {ours: "A", theirs: "B"}.get(token, "neither")


@dataclass(frozen=True)
class SampleRates:
    """How many of many random lists, and of their digits, come out right under each condition."""

    exact: tuple[Estimate, ...]
    """Lists without a mistake, for each of ``CONDITIONS``."""
    digits: tuple[Estimate, ...]
    """Outputs that are right, each given the right ones before it."""
    control_positions: float
    """Of a list, on average: short lists have fewer positions than the blanks that are treated."""
