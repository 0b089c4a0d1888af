"""Many runs: every arm of a plan with every seed, resumable at any moment.

    python -m training.study --plan quick --seeds 2
    python -m training.study --plan original --seeds 10 --workers 2
    python -m training.study --plan original --seeds 10 --engine ray
    python -m training.study --plan original --seeds 10 --summarise
    python -m training.study --plan half --seeds 10 --known docs/studies/half
    python -m training.study export --study runs/studies/original --to docs/studies/original

Plans: quick, half, original, stable, why, or a TOML file of your own (see
training/studies/plans.py). The same command goes on with what is not done yet: runs that were
stopped or killed resume from their last checkpoint and reach the same weights bit for bit, on any
number of --threads. Any number of processes and machines that share the output folder may give it
at once; each run is made by one of them. What came out is shown by
python -m analyses.replication --study runs/studies/quick.
"""

from __future__ import annotations

import signal
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from interp.support import files
from interp.support.cli import fail, note, run_command
from interp.support.device import Device
from interp.support.errors import UserError
from training.studies.engines import Engine, EngineName, Machine, open_engine
from training.studies.folders import Job, check_fits, is_done, jobs_of, open_study, study_plan
from training.studies.plans import Arm, Plan, load_plan
from training.studies.progress import Display, State
from training.studies.worker import Status

PROG = "python -m training.study"
RETRIES = 2  # after the first try: an accident may repeat, a mistake always does
_POLLED_EVERY_S = 0.2


@dataclass(frozen=True)
class StudyArgs:
    """Train every arm of a plan with every seed, or go on with it."""

    plan: str = "quick"  # a shipped plan (quick, half, ...) or a TOML file
    seeds: int = 2  # runs of each arm
    first_seed: int = 0  # the first of these seeds
    arms: tuple[str, ...] = ()  # only these arms of the plan (default: all)
    engine: EngineName = "local"  # processes of this machine, or a Ray cluster
    workers: int = 0  # runs at once (0: as many as fit the cores, or share a GPU)
    threads: int = 1  # processor threads of each run
    device: Device = "auto"  # where runs compute
    micro_batch: int = 0  # lists run together (0: the plan's, which suits a CPU)
    out: Path = Path("runs/studies")  # the study's folder goes in here
    known: Path | None = None  # an export of this study: its ended runs are not made again
    summarise: bool = False  # train nothing; make the summaries of ended runs again

    def __post_init__(self) -> None:
        for name, least in (("seeds", 1), ("threads", 1), ("workers", 0), ("first_seed", 0)):
            if getattr(self, name) < least:
                flag = "--" + name.replace("_", "-")
                raise UserError(f"{flag} must be at least {least}, not {getattr(self, name)}")
        if self.micro_batch < 0:
            raise UserError(f"--micro-batch must be 0 or more, not {self.micro_batch}")


@dataclass(frozen=True)
class ExportArgs:
    """Write a study's results without its weights: small enough to keep with the code."""

    study: Path  # the study's folder
    to: Path  # where to write plan.toml and a file for each arm


def main(argv: Sequence[str] | None = None) -> None:
    argv = sys.argv[1:] if argv is None else list(argv)
    if argv[:1] == ["export"]:
        run_command(ExportArgs, export_command, f"{PROG} export", argv[1:])
    else:
        run_command(StudyArgs, study_command, PROG, argv)


def export_command(args: ExportArgs) -> None:
    from training.studies.results import export, load_results

    results = load_results(args.study)
    export(results, args.to)
    ended = sum(run.summary is not None for run in results.runs)
    print(f"{args.to}: {ended} ended runs of {len(results.runs)}, {len(results.plan.arms)} arms")


def study_command(args: StudyArgs) -> None:
    plan = load_plan(args.plan)
    arms = [plan.arm(name) for name in args.arms] or list(plan.arms)
    study = open_study(args.out, plan)
    jobs = jobs_of(study, arms, range(args.first_seed, args.first_seed + args.seeds))
    if args.summarise:
        summarise(study, jobs)
    else:
        machine = Machine(args.threads, args.device, args.micro_batch)
        carry_out(without(jobs, plan, args.known), plan, args, machine)
    report(study, arms, args.known)


def without(jobs: list[Job], plan: Plan, known: Path | None) -> list[Job]:
    """The jobs whose runs have not ended in ``known``, an export of the study."""
    if known is None:
        return jobs
    from training.studies.results import load_known

    ended = {(run.arm, run.seed) for run in load_known(known, plan).runs if run.summary is not None}
    if there := sum((job.arm, job.seed) in ended for job in jobs):
        note(f"{there} of {len(jobs)} runs have ended in {known}")
    return [job for job in jobs if (job.arm, job.seed) not in ended]


def carry_out(jobs: list[Job], plan: Plan, args: StudyArgs, machine: Machine) -> None:
    """Make all runs that are not done, and leave with the right status if that cannot be."""
    if not jobs:
        return
    check_folders(jobs, plan)
    states = Study(jobs, plan)
    if states.left():
        engine = open_engine(args.engine, args.workers, machine)
        note(f"{jobs[0].study}: up to {engine.slots} runs at once, {args.engine}")
        stopped = states.carry_out(engine)
        if stopped:
            fail(PROG, "stopped; all runs have a checkpoint, and the same command goes on", 130)
    held = [job for job, state in states.states.items() if state == "elsewhere"]
    for job in held:
        note(f"{job.words} is left to {job.holder() or 'another process'} ({job.lock})")
    if held and not states.tries:
        fail(PROG, f"nothing done: others make all {len(held)} runs that are left", Status.HELD)
    if failed := [job for job, state in states.states.items() if state == "failed"]:
        job, words = failed[0], last_line(failed[0])
        fail(PROG, f"{len(failed)} runs failed; {job.words}: {words} (see {job.log})", 1)


def check_folders(jobs: Sequence[Job], plan: Plan) -> None:
    """Before anything is trained: every run folder that is there fits the plan."""
    for job in jobs:
        if (job.folder / "config.json").is_file():
            from training.runs import read_run

            check_fits(job, read_run(job.folder).training, plan)


@dataclass
class Study:
    """The runs of one command, and what has become of each."""

    jobs: list[Job]
    plan: Plan
    states: dict[Job, State] = field(default_factory=dict)
    tries: dict[Job, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.states = {job: self._found(job) for job in self.jobs}

    def _found(self, job: Job) -> State:
        if is_done(job, self.plan):
            return "finished"
        return "elsewhere" if job.holder() else "waiting"

    def left(self) -> list[Job]:
        return [job for job in self.jobs if self.states[job] == "waiting"]

    def carry_out(self, engine: Engine) -> bool:
        """Run until nothing is left to do here; True if asked to stop before that."""
        asked: list[int] = []
        try:
            with Display(self.plan) as display, _asked_to_stop(asked):
                while not asked and self._advance(engine):
                    display.show(self.states)
                    time.sleep(_POLLED_EVERY_S)
                display.show(self.states, last=True)
            engine.stop()
        except KeyboardInterrupt:  # asked twice
            engine.stop(wait=False)
            return True
        return bool(asked)

    def _advance(self, engine: Engine) -> bool:
        """Take in what has ended, start what fits; False when all is done that can be."""
        for job, status in engine.ended():
            self.states[job] = self._after(job, status)
        running = sum(state == "running" for state in self.states.values())
        if not running and not self.left():
            self._look_again()
        for job in self.left()[: max(0, engine.slots - running)]:
            self.tries[job] = self.tries.get(job, 0) + 1
            self.states[job] = "running"
            engine.start(job)
        return "running" in self.states.values()

    def _look_again(self) -> None:
        """Others may have finished their runs meanwhile, or have died in them."""
        for job, state in self.states.items():
            if state == "elsewhere":
                self.states[job] = self._found(job)

    def _after(self, job: Job, status: int) -> State:
        if status == Status.ENDED:
            return "finished"
        if status == Status.HELD:
            return "elsewhere"
        if status != Status.REFUSED and self.tries[job] <= RETRIES:
            note(f"{job.words}: its process ended with status {status}; trying again")
            return "waiting"
        return "failed"


class _asked_to_stop:
    """Collects Ctrl-C and polite kills within its block; a second one is a KeyboardInterrupt."""

    def __init__(self, asked: list[int]) -> None:
        self._asked = asked

    def __enter__(self) -> None:
        self._before = {
            number: signal.signal(number, self._ask) for number in (signal.SIGINT, signal.SIGTERM)
        }

    def _ask(self, number: int, frame: object) -> None:
        if self._asked:
            raise KeyboardInterrupt
        self._asked.append(number)
        note("stopping: every run writes a checkpoint (once more: stop at once)")

    def __exit__(self, *error: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)


def last_line(job: Job) -> str:
    """The last thing that a worker said."""
    try:
        lines = files.read_bytes(job.log).decode(errors="replace").split("\n")
    except UserError:
        return "it said nothing"
    return next((line.strip() for line in reversed(lines) if line.strip()), "it said nothing")


def summarise(study: Path, jobs: Sequence[Job]) -> None:
    """Make the summaries of ended runs again, from their metrics and last weights."""
    from training.claims import claimed
    from training.studies.summaries import has_ended, write_summary

    plan = study_plan(study)
    for job in jobs:
        if not job.folder.is_dir():
            continue
        with claimed(job.lock) as mine:
            if not mine or not has_ended(job):
                note(f"{job.words} has not ended: no summary")
                continue
            write_summary(job, plan, (job.summary() or {}).get("diverged_at"))
            note(f"{job.words}: summarised")


def report(study: Path, arms: Sequence[Arm], known: Path | None = None) -> None:
    """A line for each arm on stdout: what all its ended runs came to."""
    from training.studies.results import load_results, merged

    results = load_results(study)
    if known is not None:
        results = merged(results, known)
    for arm in arms:
        outcome = results.outcome(arm.name)
        words = f"{arm.name:24} {outcome.n:3} runs"
        if outcome.n:
            words += (
                f"   convergent {outcome.convergent()} of {outcome.n} = "
                f"{outcome.share().percent()}   median accuracy {outcome.mean().percent()}"
            )
        print(words)


if __name__ == "__main__":
    main()
