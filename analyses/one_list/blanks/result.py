"""What ``analyses.one_list.blanks.body`` finds: answers side by side, and rates over a sample."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from analyses.one_list.answer.body import Told
    from interp.stats import Estimate

AS_IT_IS, BLANKS, CONTROL = "as it is", "blanks", "control"
CONDITIONS = (AS_IT_IS, BLANKS, CONTROL)


@dataclass(frozen=True)
class Beside:
    """Greedy answers to one list: as it is, with the blanks treated, with the control treated."""

    as_it_is: Told
    blanks: Told
    control: Told
    n_control: int
    """Positions of the control; fewer than the blanks where the list has no more."""

    @property
    def runs(self) -> tuple[tuple[str, Told], ...]:
        return tuple(zip(CONDITIONS, (self.as_it_is, self.blanks, self.control), strict=True))


@dataclass(frozen=True)
class Exchange:
    """List A answered with blanks of list B."""

    a: tuple[int, ...]
    b: tuple[int, ...]
    other: Told
    """B's own answer."""
    runs: Beside
    """Answers to A."""
    self_change: float
    """The largest change of any logit when A's blanks come from A's own run."""

    def follows(self, said: Told) -> tuple[str, ...]:
        """Output by output: ``A`` or ``B`` if it is that list's sorted digit, ``both`` if it is
        the digit of both, else ``neither``."""
        return tuple(
            _whose(output.token, ours, theirs)
            for output, ours, theirs in zip(
                said.answer.outputs, sorted(self.a), sorted(self.b), strict=True
            )
        )

    @property
    def differing(self) -> list[int]:
        """Outputs in which the two right answers differ."""
        pairs = enumerate(zip(sorted(self.a), sorted(self.b), strict=True))
        return [i for i, (ours, theirs) in pairs if ours != theirs]

    def tally(self, said: Told) -> str:
        """``of 9 outputs in which the answers differ 9 follow A, 0 B and 0 neither``"""
        whose = [self.follows(said)[i] for i in self.differing]
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
class Sample:
    """How many of many random lists, and of their digits, come out right under each condition."""

    exact: tuple[Estimate, ...]
    """Lists without a mistake, for each of ``CONDITIONS``."""
    digits: tuple[Estimate, ...]
    """Outputs that are right, each given the right ones before it."""
    control_positions: float
    """Of a list, on average: short lists have fewer positions than the blanks that are treated."""
