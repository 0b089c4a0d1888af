"""The course of a run: its steps, what is measured on the way, checkpoints, and how it stops."""

from __future__ import annotations

import signal
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from types import FrameType

from tqdm import tqdm

from interp.answers.decode import score
from interp.checkpoints import METRICS
from interp.support.cli import fail, note
from training.crashes import CrashKeeper
from training.curves import read_curves
from training.loop import StepMetrics, Trainer, TrainingDiverged
from training.metrics import MetricsLog, read_metrics
from training.recipes import TrainConfig
from training.runs import held, new_run_folder, read_run, resume_run, start_run, write_checkpoint
from training.train import PROG

STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM)  # Ctrl-C and a polite kill


def begin(config: TrainConfig, out: Path) -> None:
    """Train a new run, in a numbered folder under ``out``."""
    config.sort_task().try_rule()
    trainer = Trainer(config)
    run = new_run_folder(out, config)
    with held(run):
        start_run(run, trainer.config, trainer)
        note(
            f"{run}: {trainer.device}, {trainer.precision}, {trainer.threads} threads, "
            f"{trainer.kernel_words}"
        )
        _train_and_say(trainer, run)


def resume(run: Path, threads: int = 0) -> None:
    """Go on with a run from its last checkpoint, on as many threads as before or on ``threads``."""
    read_run(run)  # there is a run, before a lock is put into it
    with held(run):
        trainer = resume_run(run, threads)
        note(f"resuming {run} at step {trainer.step} of {trainer.config.steps}")
        _train_and_say(trainer, run)


def _train_and_say(trainer: Trainer, run: Path) -> None:
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
    log, progress = MetricsLog(run, trainer.step), Progress(trainer.config, trainer.step)
    past = read_curves(read_metrics(run / METRICS)).batch
    crashes = CrashKeeper(run, trainer.config.keep_crashes, past.values)
    try:
        with interrupts(signals) as interrupted:
            while trainer.step < trainer.config.steps:
                train_step(trainer, run, log, progress, crashes, interrupted)
        return measure_held_out(trainer, log, progress)
    finally:
        log.close()
        progress.close()


def train_step(
    trainer: Trainer,
    run: Path,
    log: MetricsLog,
    progress: Progress,
    crashes: CrashKeeper,
    interrupted: list[int],
) -> None:
    """One update, with the measurements before it and the checkpoint after it that are due."""
    config, step = trainer.config, trainer.step
    if step and step % config.eval_every == 0:
        measure_held_out(trainer, log, progress)
    if measured := step % config.log_every == 0:
        crashes.hold(trainer)
    metrics = trainer.update(measured)
    if metrics:
        crashes.look(metrics.accuracy)
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
    averaged, thoughts = values.pop("average_accuracy"), values.pop("thought_accuracy")
    values |= {} if averaged is None else {"average/accuracy": averaged}
    return values if thoughts is None else {**values, "thoughts/accuracy": thoughts}


def measure_held_out(trainer: Trainer, log: MetricsLog, progress: Progress) -> float:
    """Exact match and digit accuracy on the fixed test set, logged; returns the exact match."""
    held_out = trainer.model.task.held_out(trainer.config.eval_lists).to(trainer.device)
    answers = score(trainer.model, held_out)
    averaged = {}
    if trainer.average:
        exact = score(trainer.average.model, held_out).exact
        averaged["average/exact_match"] = float(exact.float().mean())
    values = {
        "eval/exact_match": float(answers.exact.float().mean()),
        "eval/digit_accuracy": float(answers.right.sum() / answers.scored.sum()),
        **averaged,
    }
    log.write(trainer.step, values, progress.timing(trainer.step))
    progress.show(trainer.step, values)
    return values["eval/exact_match"]


class Progress:
    """A bar on a terminal, a line now and then elsewhere; on stderr."""

    def __init__(self, config: TrainConfig, start: int) -> None:
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


_SHOWN = {
    "loss": "loss",
    "accuracy": "accuracy",
    "thoughts/accuracy": "thoughts",
    "eval/exact_match": "held-out",
}


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
