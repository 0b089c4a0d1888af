"""Train a transformer to sort, or to another task.

    python training/train.py                                # the default recipe, full length
    python training/train.py --max-len 10 --steps 600       # a small one, in a few minutes
    python training/train.py --recipe original --no-blanks  # the published experiment
    python training/train.py --task reverse --max-len 10    # another task; or --task FILE.py
    python training/train.py --resume runs/0001-stable-blanks-s0

A run goes to a numbered folder under --out. Ctrl-C writes a checkpoint and says how to go on; a
resumed run reaches the same weights, bit for bit, as one that was never stopped.
"""

from __future__ import annotations

import signal
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING

if not __package__:  # run as a script: import from the repository, not from this folder
    sys.path[0] = str(Path(__file__).resolve().parent.parent)

from interp.rules import read_rule
from interp.support.cli import fail, note, run_command
from interp.support.errors import UserError
from training.recipes import RECIPES, STABLE, TrainConfig

if TYPE_CHECKING:
    from training.loop import StepMetrics, Trainer
    from training.metrics import MetricsLog

PROG = "python training/train.py"
STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM)  # Ctrl-C and a polite kill


@dataclass(frozen=True)
class TrainArgs:
    """Train a sort transformer, or continue a run."""

    config: TrainConfig = STABLE
    out: Path = Path("runs")  # where numbered run folders go
    resume: Path | None = None  # a run folder to continue, with its own settings


def main(argv: Sequence[str] | None = None) -> None:
    argv = sys.argv[1:] if argv is None else list(argv)
    default = TrainArgs(config=RECIPES.get(_value_of("recipe", argv), STABLE))
    try:
        argv = _with_own_task(argv)
    except UserError as error:
        fail(PROG, str(error), 2)
    run_command(TrainArgs, train_command, PROG, argv, default)


def _value_of(name: str, argv: Sequence[str]) -> str:
    """What a flag is given, which has to be known before the others; empty without it.

    The recipe's fields are the defaults of all other flags; a task of one's own is run to be known.
    """
    for flag, value in zip(argv, [*argv[1:], ""], strict=True):
        if flag == f"--{name}":
            return value
        if flag.startswith(f"--{name}="):
            return flag.split("=", 1)[1]
    return ""


def _with_own_task(argv: Sequence[str]) -> list[str]:
    """The same flags with the name of a task in place of the file that holds it."""
    file = _value_of("task", argv)
    if not file.endswith(".py"):
        return list(argv)
    name = read_rule(Path(file)).name
    resumed = _value_of("resume", argv)  # with the task that it was begun with
    if resumed:
        return [word for word in argv if word not in ("--task", file, f"--task={file}")]
    named = {file: name, f"--task={file}": f"--task={name}"}
    return [named.get(word, word) for word in argv]


def train_command(args: TrainArgs) -> None:
    if args.resume and (args.config != STABLE or args.out != TrainArgs.out):
        raise UserError(
            "--resume continues a run with its own settings, where it is; drop the other flags"
        )
    from training.runs import held, new_run_folder, read_run

    if args.resume:
        read_run(args.resume)  # there is a run, before a lock is put into it
        with held(args.resume):
            _resume(args.resume)
    else:
        trainer = _new_trainer(args.config)
        run = new_run_folder(args.out, args.config)
        with held(run):
            _begin(run, trainer)


def _new_trainer(config: TrainConfig) -> Trainer:
    from training.loop import Trainer

    return Trainer(config)


def _resume(run: Path) -> None:
    from training.runs import resume_run

    trainer = resume_run(run)
    note(f"resuming {run} at step {trainer.step} of {trainer.config.steps}")
    _train_and_say(trainer, run)


def _begin(run: Path, trainer: Trainer) -> None:
    from training.runs import start_run

    start_run(run, trainer.config, trainer)
    note(
        f"{run}: {trainer.device}, {trainer.precision}, {trainer.threads} threads, "
        f"{trainer.kernel_words}"
    )
    _train_and_say(trainer, run)


def _train_and_say(trainer: Trainer, run: Path) -> None:
    from training.loop import TrainingDiverged

    try:
        exact = train(trainer, run)
    except Stopped as stop:
        fail(PROG, f"stopped at step {stop.step}; go on with: {PROG} --resume {run}", 130)
    except TrainingDiverged as error:
        fail(PROG, f"{error}; try a lower --lr. The run is in {run}", 1)
    else:
        lists, done = trainer.config.eval_lists, trainer.model.task.rule.verb[1]
        print(f"{run}: {100 * exact:.2f} % of {lists} held-out lists {done} exactly")


class Stopped(Exception):
    """A run was asked to stop, and has written a checkpoint."""

    def __init__(self, step: int) -> None:
        super().__init__(f"stopped at step {step}")
        self.step = step


def train(trainer: Trainer, run: Path, signals: Sequence[int] = STOP_SIGNALS) -> float:
    """Run to the last step; measure, log and checkpoint on the way.

    Returns:
        Exact match on the held-out set after the last step.

    Raises:
        Stopped: on one of ``signals``, after the step in hand.
        TrainingDiverged: if the loss is no number any more.
    """
    from training.metrics import MetricsLog

    log, progress = MetricsLog(run, trainer.step), Progress(trainer.config, trainer.step)
    try:
        with interrupts(signals) as interrupted:
            while trainer.step < trainer.config.steps:
                train_step(trainer, run, log, progress, interrupted)
        return measure_held_out(trainer, log, progress)
    finally:
        log.close()
        progress.close()


def train_step(
    trainer: Trainer, run: Path, log: MetricsLog, progress: Progress, interrupted: list[int]
) -> None:
    """One update, with the measurements before it and the checkpoint after it that are due."""
    from training.runs import write_checkpoint

    config, step = trainer.config, trainer.step
    if step and step % config.eval_every == 0:
        measure_held_out(trainer, log, progress)
    metrics = trainer.update(measure=step % config.log_every == 0)
    if metrics:
        values = logged(metrics)
        log.write(step, values, {"lr": config.lr_at(step), **progress.timing(step)})
        progress.show(step, values)
    last = trainer.step == config.steps
    if interrupted or last or trainer.step % config.checkpoint_every == 0:
        trainer.check_weights()
        log.sync()
        write_checkpoint(run, trainer)
    if interrupted:
        raise Stopped(trainer.step)


def logged(metrics: StepMetrics) -> dict[str, float]:
    """The names under which the measurements of a training batch are kept."""
    values = asdict(metrics)
    averaged = values.pop("average_accuracy")
    return values if averaged is None else {**values, "average/accuracy": averaged}


def measure_held_out(trainer: Trainer, log: MetricsLog, progress: Progress) -> float:
    """Exact match and digit accuracy on the fixed test set, logged; returns the exact match."""
    from interp.answers.decode import score

    held_out = trainer.model.task.held_out(trainer.config.eval_lists).to(trainer.device)
    scores = score(trainer.model, held_out)
    averaged = {}
    if trainer.average:
        exact = score(trainer.average.model, held_out).exact
        averaged["average/exact_match"] = float(exact.float().mean())
    values = {
        "eval/exact_match": float(scores.exact.float().mean()),
        "eval/digit_accuracy": float(scores.right.sum() / scores.scored.sum()),
        **averaged,
    }
    log.write(trainer.step, values, progress.timing(trainer.step))
    progress.show(trainer.step, values)
    return values["eval/exact_match"]


class Progress:
    """A bar on a terminal, a line now and then elsewhere; on stderr."""

    def __init__(self, config: TrainConfig, start: int) -> None:
        from tqdm import tqdm

        self._config, self._start, self._began = config, start, time.monotonic()
        self._bar = tqdm(
            total=config.steps,
            initial=start,
            unit="step",
            disable=not sys.stderr.isatty(),
            dynamic_ncols=True,
        )
        self._seen: dict[str, float] = {}

    def timing(self, step: int) -> dict[str, float]:
        """Lists per second so far, of this process."""
        seconds = time.monotonic() - self._began
        done = (step - self._start) * self._config.batch_size
        return {"seconds": round(seconds, 2), "lists_per_s": round(done / max(seconds, 1e-9), 1)}

    def show(self, step: int, values: dict[str, float]) -> None:
        self._seen.update(values)
        speed = self.timing(step)["lists_per_s"]
        shown = {
            name: f"{self._seen[key]:.4f}" for key, name in _SHOWN.items() if key in self._seen
        }
        if not self._bar.disable:
            self._bar.update(step - self._bar.n)
            self._bar.set_postfix({**shown, "lists/s": f"{speed:.0f}"})
        elif "eval/exact_match" in values or (
            step % (10 * self._config.log_every) == 0 and step % self._config.eval_every
        ):
            left = (self._config.steps - step) * self._config.batch_size / max(speed, 1e-9)
            words = " ".join(f"{name} {value}" for name, value in shown.items())
            ending = f"{speed:.0f} lists/s, {left / 60:.1f} min left" if speed else ""
            note(f"step {step:5d}  {words}  {ending}")

    def close(self) -> None:
        if not self._bar.disable:
            self._bar.update(self._config.steps - self._bar.n)
        self._bar.close()


_SHOWN = {"loss": "loss", "accuracy": "accuracy", "eval/exact_match": "held-out"}


@contextmanager
def interrupts(signals: Sequence[int]) -> Iterator[list[int]]:
    """A list that becomes true when one of ``signals`` asks to stop after this step.

    A second one stops at once.
    """
    asked: list[int] = []

    def ask(number: int, frame: FrameType | None) -> None:
        if asked:
            raise KeyboardInterrupt
        asked.append(number)

    try:
        before = {s: signal.signal(s, ask) for s in signals}
    except ValueError:  # not in the main thread: leave signals to whoever is
        before = {}
    try:
        yield asked
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


if __name__ == "__main__":
    main()
