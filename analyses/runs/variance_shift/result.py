"""What ``analyses.runs.variance_shift`` finds: of every checkpoint, what brings back how much."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from interp.layout import Region
from interp.stats import Estimate

AS_IT_IS, WITH_DROPOUT, EVERY_NORM = (
    "as it is",
    "with dropout, as trained",
    "every LayerNorm expects dropout",
)


@dataclass(frozen=True)
class Shift:
    """One checkpoint."""

    step: int
    hash: str
    exact: Mapping[str, Estimate]
    """Lists without a mistake: ``AS_IT_IS``, ``WITH_DROPOUT``, ``EVERY_NORM``, and each norm and
    each reader by its words."""
    shorter: Mapping[Region, float]
    """Of the norm after the first MLP: the mean factor by which the stream becomes shorter."""


@dataclass(frozen=True)
class ShiftResult:
    """All checkpoints of a run."""

    run: str
    p: float
    """Of its dropout."""
    shifts: tuple[Shift, ...]
    norms: tuple[str, ...]
    """The names of single norms."""
    readers: tuple[str, ...]
    """Of what reads the norm after the first MLP."""

    @property
    def last(self) -> Shift:
        return self.shifts[-1]

    @property
    def gained(self) -> int:
        """Checkpoints whose interval of ``EVERY_NORM`` is above that of ``AS_IT_IS``."""
        return sum(s.exact[EVERY_NORM].low > s.exact[AS_IT_IS].high for s in self.shifts)

    @property
    def lost(self) -> int:
        """Those at which it is below."""
        return sum(s.exact[EVERY_NORM].high < s.exact[AS_IT_IS].low for s in self.shifts)
