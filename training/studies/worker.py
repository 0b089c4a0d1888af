"""One run of a study, in a process of its own: what an engine starts.

    python -m training.studies.worker runs/studies/quick blanks 3

It claims the run, begins it or goes on from its last checkpoint, and ends with its summary. A
polite kill (SIGTERM) writes a checkpoint first. The exit status says what happened: see ``Status``.
"""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import IntEnum
from pathlib import Path
from typing import TYPE_CHECKING

from tyro.conf import Positional

from interp.support.cli import note, run_command
from interp.support.device import Device
from interp.support.errors import UserError
from training.claims import claimed
from training.recipes import TrainConfig
from training.studies.folders import Job, check_fits, is_done, study_plan
from training.studies.plans import Plan

if TYPE_CHECKING:
    from training.loop import Trainer
    from training.runs import RunConfig

PROG = "python -m training.studies.worker"
_PARENT_CHECKED_S = 1.0


class Status(IntEnum):
    """Exit statuses of a worker; any other is a crash."""

    ENDED = 0
    """The run has its summary."""
    REFUSED = 2
    """It cannot be made: the last line on stderr says why. Trying again will not help."""
    HELD = 75
    """Another process makes it."""
    STOPPED = 130
    """Asked to stop; a checkpoint is written."""


@dataclass(frozen=True)
class WorkerArgs:
    """Make one run of a study."""

    study: Positional[Path]  # the study's folder
    arm: Positional[str]  # which arm of its plan
    seed: Positional[int]  # which seed
    threads: int = 1  # processor threads
    device: Device = "auto"  # where to compute
    micro_batch: int = 0  # lists run together (0: the plan's)
    parent: int = 0  # stop when this process is no longer the parent (0: never)


def main(argv: Sequence[str] | None = None) -> None:
    run_command(WorkerArgs, worker_command, PROG, argv)


def worker_command(args: WorkerArgs) -> None:
    # A terminal sends Ctrl-C to all its processes; the study tells its workers when to stop.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if args.parent:
        threading.Thread(target=_stop_with_parent, args=[args.parent], daemon=True).start()
    raise SystemExit(make_run(args))


def _stop_with_parent(parent: int) -> None:
    """A study that was killed must leave no workers behind."""
    while os.getppid() == parent:
        time.sleep(_PARENT_CHECKED_S)
    os.kill(os.getpid(), signal.SIGTERM)


def make_run(args: WorkerArgs) -> Status:
    """Claim the run and bring it to its end, or as far as it gets."""
    job, plan = Job(args.study, args.arm, args.seed), study_plan(args.study)
    plan.arm(args.arm)  # there is one of that name
    with claimed(job.lock) as mine:
        if not mine:
            return Status.HELD
        if is_done(job, plan):
            return Status.ENDED
        return _train(job, plan, args)


def _train(job: Job, plan: Plan, args: WorkerArgs) -> Status:
    from training.course import Stopped, train
    from training.loop import TrainingDiverged
    from training.runs import RunHeldError, held
    from training.studies.summaries import has_ended, write_summary

    diverged_at = None
    if (summary := job.summary()) is not None:
        diverged_at = summary.get("diverged_at")
    if summary is None or not has_ended(job):
        try:
            with held(job.folder):
                train(_open(job, plan, args), job.folder, signals=[signal.SIGTERM])
        except RunHeldError as error:  # somebody resumes it by hand
            note(str(error))
            return Status.HELD
        except Stopped as stop:
            note(str(stop))
            return Status.STOPPED
        except TrainingDiverged as error:
            note(str(error))
            diverged_at = error.step
    write_summary(job, plan, diverged_at)
    return Status.ENDED


def _open(job: Job, plan: Plan, args: WorkerArgs) -> Trainer:
    """A new run, or the one that is there, at its newest checkpoint."""
    from training.loop import Trainer
    from training.runs import RUN_CONFIG, read_run, resume_run, start_run

    if (job.folder / RUN_CONFIG).is_file():
        run = read_run(job.folder)
        check_fits(job, run.training, plan)
        _check_bits(job, run, args)
        trainer = resume_run(job.folder, args.threads)
        note(f"{job.folder}: going on at step {trainer.step} of {trainer.config.steps}")
        return trainer
    trainer = Trainer(_on_this_machine(plan.arm(job.arm).seeded(job.seed), args))
    start_run(job.folder, trainer.config, trainer)
    note(
        f"{job.folder}: {trainer.device}, {trainer.precision}, {trainer.threads} threads, "
        f"{trainer.kernel_words}"
    )
    return trainer


def _check_bits(job: Job, run: RunConfig, args: WorkerArgs) -> None:
    """Refuse what a run cannot go on with and reach the weights of one never stopped."""
    device, micro_batch = run.device.split(":")[0], run.training.micro_batch
    for flag, asked, own in (
        ("--device", args.device, device),
        ("--micro-batch", args.micro_batch, micro_batch),
    ):
        if asked not in ("auto", 0, own):
            raise UserError(
                f"{job.words} was begun with {flag} {own}: {flag} {asked} would give other bits"
            )


def _on_this_machine(config: TrainConfig, args: WorkerArgs) -> TrainConfig:
    config = replace(config, threads=args.threads, device=args.device)
    return replace(config, micro_batch=args.micro_batch) if args.micro_batch else config


if __name__ == "__main__":
    main()
