"""What ``analyses.crash`` finds of one drop."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from interp.stats import Estimate

OTHERS = "other lists"  # how repeats with other lists are called, each with its number
DIRECTIONS = ("denoising", "noising")
"""A group of weights from before into the drop, and from the drop into before."""


@dataclass(frozen=True)
class Moment:
    """The run after ``step`` updates."""

    step: int
    exact: float
    """Share of the held-out lists without a mistake."""
    averaged: float
    """The same of the average of the weights."""
    moved: float
    """Length of the last update."""
    gradient: float
    """Length of its gradient."""


@dataclass(frozen=True)
class Again:
    """The steps from the state before on, made again with one thing changed."""

    name: str
    words: str
    steps: tuple[int, ...]
    exact: tuple[float, ...]
    """On the same lists as the course."""

    @property
    def lowest(self) -> float:
        return min(self.exact)


@dataclass(frozen=True)
class CrashResult:
    """One drop, taken apart."""

    course: tuple[Moment, ...]
    before: int
    during: int
    after: int | None
    """Steps; None where the window holds no better state after the drop."""
    exact: Mapping[str, Estimate]
    """In the three states, with intervals."""
    mistakes: Mapping[str, Estimate]
    """Of the outputs in the drop, the share that goes wrong in each way."""
    mistakes_before: Mapping[str, Estimate]
    groups: Mapping[str, tuple[Estimate, Estimate]]
    """Exact match with one group of weights exchanged, in ``DIRECTIONS``."""
    again: tuple[Again, ...]
    drop: float
    """A fall by more than this counts as one."""

    @property
    def fall(self) -> float:
        return self.exact["before"].value - self.exact["during"].value

    @property
    def lowest_averaged(self) -> float:
        """Of the average of the weights, from the state before on."""
        return min(m.averaged for m in self.course if m.step >= self.before)

    @property
    def others(self) -> list[Again]:
        """The repeats with other lists and dropout masks."""
        return [one for one in self.again if one.name.startswith(OTHERS)]

    @property
    def changed(self) -> list[Again]:
        """All the others, in which one thing is changed, or none."""
        return [one for one in self.again if not one.name.startswith(OTHERS)]

    @property
    def others_that_fall(self) -> int:
        return sum(map(self.falls, self.others))

    def falls(self, one: Again) -> bool:
        """Whether the steps that were made again fall as the plan counts falls."""
        return one.exact[0] - one.lowest > self.drop
