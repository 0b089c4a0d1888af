"""A study on disk: one run folder for each arm and seed, and the plan they follow.

    studies/original/
      plan.toml               a copy: a study never changes its plan
      blanks/
        seed-0000/            a run folder, as training/train.py makes it (and may have made it)
          summary.json        its measures, once it has ended
        seed-0000.lock        while a process makes it
        seed-0000.log         what that process said

A run that was trained by hand is taken over when it lies where the study would put it and was
trained as its arm says.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from interp.support import files
from interp.support.errors import UserError
from interp.support.limits import MOST_CONFIG_BYTES
from training.claims import LOCK, holder
from training.recipes import TrainConfig, first_difference
from training.studies.plans import Arm, Plan, load_plan
from training.studies.summary_schema import SUMMARY_FORMAT, check_summary

PLAN, SUMMARY = "plan.toml", "summary.json"
_SEED = re.compile(r"seed-(\d+)")


@dataclass(frozen=True)
class Job:
    """One run of a study."""

    study: Path
    arm: str
    seed: int

    @property
    def folder(self) -> Path:
        return self.study / self.arm / f"seed-{self.seed:04d}"

    @property
    def lock(self) -> Path:
        return self.folder.with_suffix(".lock")

    @property
    def log(self) -> Path:
        return self.folder.with_suffix(".log")

    @property
    def words(self) -> str:
        return f"{self.arm}, seed {self.seed}"

    def summary(self) -> dict[str, Any] | None:
        """What the run came to; None before its end."""
        path = self.folder / SUMMARY
        return (
            check_summary(files.read_json(path, MOST_CONFIG_BYTES), path)
            if path.is_file()
            else None
        )

    def holder(self) -> str | None:
        """Which process makes the run now, in words."""
        return holder(self.lock) or holder(self.folder / LOCK)


def open_study(out: Path, plan: Plan) -> Path:
    """The study's folder, new or one that follows the same plan.

    Raises:
        UserError: if the plan has changed since the study began.
    """
    study = out / plan.name
    copy = study / PLAN
    if not copy.exists():
        files.write_text(copy, plan.text)
        return study
    changed = load_plan(copy).difference(plan)
    if changed:
        raise UserError(
            f"{study} follows another plan: {changed}; finish it with its own ({copy}), "
            "or give the new plan another name or --out"
        )
    return study


def study_plan(study: Path) -> Plan:
    """The plan that a study follows."""
    copy = study / PLAN
    if not copy.is_file():
        what = f"it holds no {PLAN}" if study.is_dir() else "it does not exist"
        raise UserError(f"{study} is not the folder of a study: {what}")
    return load_plan(copy)


def jobs_of(study: Path, arms: Sequence[Arm], seeds: Sequence[int]) -> list[Job]:
    """Seed by seed: a study that is stopped has as many runs of every arm, give or take one."""
    return [Job(study, arm.name, seed) for seed in seeds for arm in arms]


def jobs_on_disk(study: Path, plan: Plan) -> Iterator[Job]:
    """Every run that has begun, arm by arm."""
    for arm in plan.arms:
        for folder in sorted((study / arm.name).glob("seed-*")):
            match = _SEED.fullmatch(folder.name)
            if match and folder.is_dir():
                yield Job(study, arm.name, int(match[1]))


def is_done(job: Job, plan: Plan) -> bool:
    """Whether the run has ended, and its summary measures what the plan says."""
    summary = job.summary()
    return (
        summary is not None
        and summary.get("format") == SUMMARY_FORMAT
        and summary.get("thresholds") == vars(plan.measures)
    )


def check_fits(job: Job, trained: TrainConfig, plan: Plan) -> None:
    """Refuse a run folder whose training is not what the plan says of its arm and seed.

    How a machine computed it (threads, device, precision, micro-batches) may differ.
    """
    wanted = plan.arm(job.arm).seeded(job.seed)
    changed = first_difference("its training", trained.learned(), wanted.learned())
    if changed:
        raise UserError(
            f"{job.folder} is not a run of arm {job.arm} with seed {job.seed}: {changed}"
        )
