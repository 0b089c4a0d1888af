"""The result of ``analyses.replication``: a study's runs, and the comparisons its plan names."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Literal

from analyses.replication.ladder import Rung
from interp.stats import Estimate
from training.studies.comparison import ArmOutcome, Comparison
from training.studies.results import RunResult, StudyResults

LEVEL = 0.05  # p values below it, after Holm's correction, are called a difference
THRESHOLDS = tuple(round(0.5 + 0.01 * i, 2) for i in range(50))  # 0.50 to 0.99

Verdict = Literal["too few runs", "no difference shown", "fewer", "more"]
"""Of convergent runs in an arm, against another. ``too few runs``: so few that no outcome at all
could have shown a difference."""


@dataclass(frozen=True)
class Contrast:
    """A comparison that the plan names, between two arms that have ended runs."""

    arm: str
    against: str
    comparison: Comparison
    fisher_holm: float
    """Fisher's p, corrected for the number of comparisons."""
    least_p: float
    """The smallest corrected p that so many runs could have given."""
    more: bool
    """Whether ``arm`` has the larger share."""

    @property
    def verdict(self) -> Verdict:
        if self.least_p > LEVEL:
            return "too few runs"
        if self.fisher_holm > LEVEL:
            return "no difference shown"
        return "more" if self.more else "fewer"


@dataclass(frozen=True)
class ReplicationResult:
    """A study's runs and what was compared."""

    study: StudyResults
    contrasts: tuple[Contrast, ...]
    seed: int
    rungs: tuple[Rung, ...] = ()
    """Studies of other sizes and this one, if they are compared."""

    @cached_property
    def outcomes(self) -> dict[str, ArmOutcome]:
        """By arm, of those that have ended runs."""
        found = {arm.name: self.study.outcome(arm.name) for arm in self.study.plan.arms}
        return {name: outcome for name, outcome in found.items() if outcome.n}

    def content(self) -> list[tuple[RunResult, Estimate]]:
        """Ended runs whose blanks were put to the test, with their follow-rate.

        That is the share of outputs that become those of another list when the blanks' keys and
        values are that list's: the blanks' content is used.
        """
        return [
            (run, Estimate(**run.summary["blanks"]["follow_rate"]))
            for run in self.study.runs
            if run.summary and (run.summary.get("blanks") or {}).get("follow_rate")
        ]
