"""The same three arms at several sizes: does a difference grow with the size of the experiment?"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import torch

from analyses.replication.published import MAX_LEN, PUBLISHED
from interp.stats import Estimate, bootstrap_mean
from training.recipes import TrainConfig
from training.studies.comparison import ArmOutcome, Comparison, compare
from training.studies.results import RunResult, StudyResults

ARMS = tuple(PUBLISHED)
_FEW = 5  # runs an arm: with fewer, no share of them says anything about an arm


@dataclass(frozen=True)
class Rung:
    """A study's ended runs of the published arms."""

    study: str
    config: TrainConfig
    """What the arms have in common: lengths, steps, lists a step."""
    runs: dict[str, tuple[RunResult, ...]]
    """By arm; arms without an ended run are left out."""
    outcomes: dict[str, ArmOutcome]
    seed: int

    @property
    def digits(self) -> int:
        """Lists have 1 to so many."""
        return self.config.max_len

    @property
    def words(self) -> str:
        config = self.config
        return (
            f"{self.study}: lists of 1 to {config.max_len} digits, {config.steps:,} steps of "
            f"{config.batch_size}"
        )

    @property
    def size(self) -> int:
        """Digits that go through the model in a run, padding included."""
        return self.config.max_len * self.config.steps * self.config.batch_size

    def crashes(self, arm: str) -> Estimate:
        """How often a run of an arm falls after it has got there: the mean, with a bootstrap."""
        counts = [run.summary["batch"]["crashes"] for run in self.runs[arm] if run.summary]
        return bootstrap_mean(torch.tensor(counts, dtype=torch.float64), self.seed)

    def peaks(self, arm: str) -> list[float]:
        """The best batch of every run."""
        return [run.summary["batch"]["peak"] for run in self.runs[arm] if run.summary]

    @property
    def contrast(self) -> Comparison | None:
        """Blanks against none, where both have ended runs."""
        if not {"blanks", "no-blanks"} <= self.outcomes.keys():
            return None
        return compare(self.outcomes["blanks"], self.outcomes["no-blanks"], self.seed)

    @property
    def fewest(self) -> int:
        """Ended runs of the arm that has fewest."""
        return min(outcome.n for outcome in self.outcomes.values())


def ladder(studies: Iterable[StudyResults], seed: int) -> tuple[Rung, ...]:
    """The studies that have the published arms, from small to large; none if there is but one.

    Args:
        seed: of bootstraps.
    """
    found = [rung for study in studies if (rung := _rung(study, seed)) is not None]
    return tuple(sorted(found, key=lambda rung: rung.size)) if len(found) > 1 else ()


def _rung(study: StudyResults, seed: int) -> Rung | None:
    names = [arm.name for arm in study.plan.arms]
    if not set(ARMS) <= set(names):
        return None
    runs = {arm: tuple(study.ended(arm)) for arm in ARMS if study.ended(arm)}
    outcomes = {arm: study.outcome(arm) for arm in runs}
    config = study.plan.arm("blanks").config
    return Rung(study.plan.name, config, runs, outcomes, seed) if runs else None


# -- words and JSON -----------------------------------------------------------------------------


def ladder_words(rungs: tuple[Rung, ...]) -> list[str]:
    """A line for each rung and for what was published, then what the rungs suggest."""
    if not rungs:
        return []
    lines = ["The ladder, from small to large (convergent runs; crashes of a run, mean):"]
    for rung in rungs:
        arms = [
            f"{arm} {outcome.convergent()} of {outcome.n}, {rung.crashes(arm).value:.1f} crashes"
            for arm, outcome in rung.outcomes.items()
        ]
        lines.append(f"  {rung.words}: {'; '.join(arms)}.")
    theirs = [f"{arm} {one.convergent} of {one.runs}" for arm, one in PUBLISHED.items()]
    lines.append(f"  published, lists of 1 to {MAX_LEN} digits: {'; '.join(theirs)}.")
    return [*lines, _extrapolated(rungs)]


def _extrapolated(rungs: tuple[Rung, ...]) -> str:
    telling = [rung for rung in rungs if rung.fewest >= _FEW and rung.contrast is not None]
    if not telling:
        return (
            f"  No rung has {_FEW} ended runs of each arm: nothing can be extrapolated from them."
        )
    largest, parts = telling[-1], []
    for rung in telling:
        found = rung.contrast
        assert found is not None
        shown = f"Fisher p = {found.fisher_p:.2g}"
        if found.difference is not None:
            points = found.difference.percent().replace(" %", " points")
            shown += f", accuracy with blanks differs by {points}"
        parts.append(f"up to {rung.digits} digits {shown}")
    return (
        f"  Blanks against none on rungs of {_FEW} runs an arm and more: {'; '.join(parts)}. What "
        f"this suggests for {MAX_LEN} digits is extrapolated from {largest.digits} and less, and "
        "no measurement."
    )


def ladder_json(rungs: tuple[Rung, ...]) -> list[dict[str, Any]]:
    """By rung and arm: runs, convergent ones, medians, crashes, peaks."""
    return [
        {
            "study": rung.study,
            "max_len": rung.config.max_len,
            "steps": rung.config.steps,
            "batch_size": rung.config.batch_size,
            "arms": {
                arm: {
                    "runs": outcome.n,
                    "convergent": outcome.convergent(),
                    "share": outcome.share().to_dict(),
                    "medians": list(outcome.medians),
                    "crashes": rung.crashes(arm).to_dict(),
                    "peaks": rung.peaks(arm),
                }
                for arm, outcome in rung.outcomes.items()
            },
        }
        for rung in rungs
    ]
