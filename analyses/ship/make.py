"""What ``analyses.ship`` computes: results, with the settings of their commands."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from analyses.crash import SHIPPED, SHIPPED_RUN
from analyses.experiment import Experiment, catalogue
from analyses.ship import ShipArgs, of_models
from analyses.ship.shipped import (
    FOLDER,
    SEED,
    course_subject,
    path_of,
    run_subject,
    shipped,
    source_of,
    write,
)
from interp.checkpoints import load_bare, shipped_models, shipped_runs
from interp.support.cli import note
from interp.support.errors import UserError
from training.studies.results import load_with_others
from training.study import StudyArgs, study_command

STUDIES = Path(__file__).resolve().parents[2] / "docs" / "studies"


@dataclass(frozen=True)
class Job:
    """One result to be made."""

    experiment: Experiment
    subject: str
    """A hash of weights, ``study NAME``, ``run NAME``, or ``run PLAN ARM SEED``."""
    words: str
    """The same for people."""
    command: str
    open: Callable[[], Any]


def ship_command(args: ShipArgs) -> None:
    for job in jobs(args):
        there = shipped(job.experiment, job.subject)
        if args.again or there is None or not there.is_current:
            make(job)
    _sweep()


def jobs(args: ShipArgs) -> Iterator[Job]:
    """What is to be there, models in turn."""
    for name in args.models or sorted(shipped_models()):
        loaded = load_bare(name)
        for one in of_models():
            if _wanted(one, args) and (loaded.model.task.n_blanks or not one.needs_blanks):
                command = one.command(model=name, seed=SEED)
                yield Job(one, loaded.hash, name, command, lambda model=loaded.model: model)  # type: ignore[misc]
    replication = catalogue.experiment("replication")
    for study in sorted(STUDIES.iterdir()) if _wanted(replication, args) else ():
        command = replication.command(study=f"docs/studies/{study.name}", seed=SEED)
        yield Job(
            replication,
            f"study {study.name}",
            study.name,
            command,
            lambda at=study: load_with_others(at),  # type: ignore[misc]
        )
    for name in ("runs.checkpoint_sweep", "runs.variance_shift"):
        course = catalogue.experiment(name)
        for run, folder in shipped_runs().items() if _wanted(course, args) else ():
            command = course.command(run=run, seed=SEED)
            yield Job(course, course_subject(run), run, command, lambda at=folder: at)  # type: ignore[misc]
    if _wanted(crash := catalogue.experiment("crash"), args):
        command = crash.command(run=SHIPPED_RUN, seed=SEED)
        yield Job(crash, run_subject(*SHIPPED), "a run", command, _run_again)


def _run_again() -> Path:
    """The folder of the run whose drop is shipped, made from its plan if it is not there."""
    plan, arm, seed = SHIPPED
    run = Path(SHIPPED_RUN)
    study_command(StudyArgs(plan, 1, first_seed=seed, arms=(arm,), workers=1, out=run.parents[2]))
    return run


def _wanted(one: Experiment, args: ShipArgs) -> bool:
    return not args.only or one.name in args.only


def make(job: Job) -> None:
    """Compute one result and write it; one that says nothing of this model is left out."""
    began, one = time.monotonic(), job.experiment
    try:
        outcome = one.outcome(one.compute(job.open(), None, SEED))
    except UserError as error:
        note(f"{one.name} of {job.words}: {error}")
        return
    seconds = round(time.monotonic() - began, 1)
    record = {
        "experiment": one.name,
        "subject": job.subject,
        "settings": asdict(one.settings),
        "seed": SEED,
        "source": source_of(one.name),
        "command": job.command,
        "seconds": seconds,
        "words": outcome.words,
        "json": outcome.json,
        "rows": outcome.rows,
        "figure": json.loads(outcome.figure.to_json()),
    }
    path = path_of(one.name, job.subject)
    write(path, record)
    note(f"{one.name} of {job.words}: {seconds:.0f} s, {path.stat().st_size / 1024:.0f} KB")


def _sweep() -> None:
    """Remove results of weights and studies that are no longer shipped."""
    known = {job.subject.replace(" ", "-") for job in jobs(ShipArgs())}
    for path in FOLDER.glob("*/*.json.gz"):
        if path.name.removesuffix(".json.gz") not in known:
            path.unlink()
