"""The results of a study, read from its run folders or from their compact export.

    docs/studies/original/
      plan.toml
      blanks.jsonl        a line for each run: its summary and its curves, without weights

Both hold the same, so a figure of one is the figure of the other.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from interp.checkpoints import METRICS
from interp.support import files
from interp.support.errors import UserError
from interp.support.fields import fits
from interp.support.strict_json import cut, parse_json
from training.curves import Curve, Curves, read_curves
from training.metrics import read_metrics
from training.runs import RUN_CONFIG
from training.studies.comparison import ArmOutcome
from training.studies.folders import PLAN, jobs_on_disk, study_plan
from training.studies.plans import Plan
from training.studies.summary_schema import check_summary

_DIGITS = 4  # of an exported accuracy: finer than a list of the batch


@dataclass(frozen=True)
class RunResult:
    """One run. ``summary`` is None while it has not ended; the curves show how far it is."""

    arm: str
    seed: int
    curves: Curves
    summary: dict[str, Any] | None

    @property
    def median(self) -> float:
        """What convergence is decided on, of ended runs; 0 of one that diverged, at any step."""
        if self._ended["diverged_at"] is not None:
            return 0.0
        return float(self._ended["batch"]["median_window"] or 0.0)

    @property
    def convergent(self) -> bool:
        return self.summary is not None and bool(self.summary["convergent"])

    @property
    def final_exact(self) -> float:
        """Exact match of the last weights on fresh lists; a run that diverged sorts none."""
        final = self._ended["final"]
        return float(final["exact_match"]["value"]) if final else 0.0

    @property
    def step(self) -> int:
        return max([0, *self.curves.batch.steps[-1:], *self.curves.held_out.steps[-1:]])

    @property
    def _ended(self) -> dict[str, Any]:
        if self.summary is None:
            raise ValueError(f"{self.arm}, seed {self.seed} has not ended")
        return self.summary


@dataclass(frozen=True)
class StudyResults:
    """All runs of a study that have begun, arm by arm, seed by seed."""

    plan: Plan
    runs: tuple[RunResult, ...]
    beside: tuple[StudyResults, ...] = ()
    """Other studies in the same folder, if they were asked for."""

    def of(self, arm: str) -> list[RunResult]:
        return [run for run in self.runs if run.arm == arm]

    def ended(self, arm: str) -> list[RunResult]:
        return [run for run in self.of(arm) if run.summary is not None]

    def outcome(self, arm: str) -> ArmOutcome:
        """What the ended runs of an arm came to."""
        runs = self.ended(arm)
        return ArmOutcome(
            tuple(run.seed for run in runs),
            tuple(run.median for run in runs),
            self.plan.measures.convergent_at,
        )


def load_results(folder: Path) -> StudyResults:
    """The results in a study's folder, or in an export of it.

    Raises:
        UserError: if the folder is neither.
    """
    plan = study_plan(folder)
    exported = [folder / f"{arm.name}.jsonl" for arm in plan.arms]
    if any(path.is_file() for path in exported):
        runs = [run for path in exported if path.is_file() for run in _read_arm(path)]
    else:
        runs = [
            RunResult(
                job.arm,
                job.seed,
                read_curves(read_metrics(job.folder / METRICS)),
                job.summary(),
            )
            for job in jobs_on_disk(folder, plan)
            if (job.folder / RUN_CONFIG).is_file()
        ]
    return StudyResults(plan, tuple(runs))


def load_with_others(folder: Path) -> StudyResults:
    """The results in a study's folder, and beside them those of the studies in the same folder.

    Others that cannot be read are passed over: nobody asked for them by name.

    Raises:
        UserError: if the folder itself is neither a study's nor an export.
    """
    results, beside = load_results(folder), []
    for other in sorted(folder.resolve().parent.iterdir()):
        if (other / PLAN).is_file() and other != folder.resolve():
            with contextlib.suppress(UserError, OSError):
                beside.append(load_results(other))
    return replace(results, beside=tuple(beside))


def load_known(known: Path, plan: Plan) -> StudyResults:
    """The results in ``known``, a study or an export of one that follows ``plan``.

    Raises:
        UserError: if it follows another plan.
    """
    results = load_results(known)
    if changed := results.plan.difference(plan):
        raise UserError(f"{known} holds the results of another plan: {changed}")
    return results


def merged(results: StudyResults, known: Path) -> StudyResults:
    """``results`` and the runs that ``known``, a study or an export of one, has besides.

    Of a run that both have, the one in ``results`` is kept unless only the other has ended: a study
    may go on on another machine, with nothing but the export of what was done before.

    Raises:
        UserError: if ``known`` follows another plan.
    """
    other = load_known(known, results.plan)
    runs = {(run.arm, run.seed): run for run in other.runs}
    for run in results.runs:
        before = runs.get((run.arm, run.seed))
        if before is None or before.summary is None or run.summary is not None:
            runs[run.arm, run.seed] = run
    order = {arm.name: number for number, arm in enumerate(results.plan.arms)}
    kept = sorted(runs.values(), key=lambda run: (order[run.arm], run.seed))
    return StudyResults(results.plan, tuple(kept))


def export(results: StudyResults, to: Path) -> None:
    """Write the compact form of ``results`` into the folder ``to``, beside what is there."""
    if (to / PLAN).exists():
        results = merged(results, to)
    files.write_text(to / PLAN, results.plan.text)
    for arm in results.plan.arms:
        lines = [json.dumps(_packed(run), allow_nan=False) for run in results.of(arm.name)]
        if lines:
            files.write_text(to / f"{arm.name}.jsonl", "\n".join(lines) + "\n")


def _packed(run: RunResult) -> dict[str, Any]:
    averaged = run.curves.average
    return {
        "arm": run.arm,
        "seed": run.seed,
        "summary": run.summary,
        "batch": _pack_curve(run.curves.batch),
        "held_out": _pack_curve(run.curves.held_out),
        **({"average": _pack_curve(averaged)} if averaged.steps else {}),
    }


def _pack_curve(curve: Curve) -> dict[str, Any]:
    """Evenly spaced steps, as nearly all are, need no list."""
    values = [round(value, _DIGITS) for value in curve.values]
    steps = curve.steps
    if len(steps) > 1:
        even = range(steps[0], steps[-1] + 1, steps[1] - steps[0])
        if tuple(even) == steps:
            return {"first": even.start, "every": even.step, "values": values}
    return {"steps": list(steps), "values": values}


def _read_arm(path: Path) -> Iterable[RunResult]:
    lines = files.read_text(path).removesuffix("\n").split("\n")
    for number, line in enumerate(lines, 1):
        try:
            data = parse_json(line)
            _check_run(data, path.stem)
            kinds = [data[kind] for kind in ("batch", "held_out", "average") if kind in data]
            curves = Curves(*map(_unpack_curve, kinds))
            yield RunResult(data["arm"], data["seed"], curves, data["summary"])
        except (ValueError, KeyError, TypeError) as error:
            reason = cut(" ".join(str(error).split()), 160)
            raise UserError(f"{path}, line {number} is not an exported run: {reason}") from None


def _check_run(data: Any, arm: str) -> None:
    if not isinstance(data, dict) or data.get("arm") != arm or not fits(data.get("seed"), int):
        raise ValueError(f"it is of no seed of arm {arm}")
    if data["summary"] is not None:
        check_summary(data["summary"], "it")


def _unpack_curve(data: dict[str, Any]) -> Curve:
    values = tuple(data["values"])
    if "steps" in data:
        steps = tuple(data["steps"])
    else:
        first, every = data["first"], data["every"]
        if not fits(first, int) or not fits(every, int) or every < 1:
            raise ValueError("its steps are no numbers")
        steps = tuple(range(first, first + every * len(values), every))
    if len(steps) != len(values) or any(not fits(step, int) for step in steps):
        raise ValueError("it has other steps than values")
    if any(not fits(value, float) or not 0 <= value <= 1 for value in values):
        raise ValueError("a curve holds what is no share")
    return Curve(steps, values)
