"""Run folders: numbered, self-describing, and safe to lose power in.

runs/0003-stable-blanks-s0/
  config.json          the recipe with its overrides, threads, device, precision, kernels
  manifest.json        arguments, versions, git commit, machine; one entry more per resume
  metrics.jsonl        a line per measurement
  events.out.tfevents  the same for TensorBoard
  run.lock             while a process trains it
  checkpoints/step-000500/
    model.safetensors  weights
    config.json        what they are
    state.pt           the optimiser; only the newest checkpoint keeps it
    average/           a model of its own: the averaged weights, where a run keeps them
  crashes/step-000410/ the same around its first crashes: see training.crashes

Whatever cannot be resumed (damaged, or shipped without an optimiser) stays exactly as it is: all
that a resume rests on is read and checked before anything is written.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import torch

from interp.checkpoints import (
    FORMAT,
    METRICS,
    WEIGHTS,
    check_format,
    checkpoint_step,
    read_stored,
    run_checkpoints,
    step_folders,
    write_model,
)
from interp.support import files
from interp.support.errors import UserError
from interp.support.fields import checked
from interp.support.limits import MOST_CONFIG_BYTES
from interp.support.manifest import manifest
from interp.support.tensors import first_line, read_torch
from training.claims import LOCK, claimed, holder
from training.metrics import Row, check_reaches, read_metrics
from training.recipes import TrainConfig, first_difference

if TYPE_CHECKING:  # reading a run's curves needs no model to be imported
    from training.loop import Trainer

RUN_CONFIG, MANIFEST, STATE = "config.json", "manifest.json", "state.pt"
AVERAGE, CRASHES = "average", "crashes"
_STATE_OVERHEAD = 1 << 22  # bytes of a state.pt beside the optimiser's numbers


@dataclass(frozen=True)
class RunConfig:
    """What ``config.json`` of a run folder holds."""

    training: TrainConfig
    threads: int
    device: str
    precision: Literal["float32", "bfloat16"]
    kernel: Literal["plain", "native"] = "plain"

    def __post_init__(self) -> None:
        if self.precision not in ("float32", "bfloat16"):
            raise UserError(f"precision must be float32 or bfloat16, not {self.precision!r}")
        if self.kernel not in ("plain", "native"):
            raise UserError(f"kernel must be plain or native, not {self.kernel!r}")
        # Threads and device are held against what a recipe may ask for.
        self.as_computed()

    def as_computed(self) -> TrainConfig:
        """The recipe, on the threads and device and with the arithmetic that the run has had."""
        return TrainConfig.from_dict(
            {
                **self.training.to_dict(),
                "threads": self.threads,
                "device": self.device.split(":")[0],
                "precision": self.precision,
                "kernel": self.kernel,
            }
        )


class RunHeldError(UserError):
    """Another process trains the run."""


@contextmanager
def held(run: Path) -> Iterator[None]:
    """The run is this process's alone within the block.

    Raises:
        RunHeldError: if another process trains it.
    """
    lock = run.resolve() / LOCK
    with claimed(lock) as mine:
        if not mine:
            raise RunHeldError(
                f"{run} is being trained by {holder(lock) or 'another process'}; if that has ended "
                f"on another machine, delete {lock}"
            )
        yield


# -- a new run ----------------------------------------------------------------------------------


def create_run(out: Path, config: TrainConfig, trainer: Trainer) -> Path:
    """A new numbered folder under ``out``, with its config and manifest."""
    folder = new_run_folder(out, config)
    start_run(folder, config, trainer)
    return folder


def new_run_folder(out: Path, config: TrainConfig) -> Path:
    """An empty folder with the next number."""
    out.mkdir(parents=True, exist_ok=True)
    number = 1 + max((int(m[1]) for p in out.iterdir() if (m := _NUMBER.match(p.name))), default=0)
    while True:
        folder = out / f"{number:04d}-{config.label()}"
        try:
            folder.mkdir()
            return folder
        except FileExistsError:  # somebody else's run started at the same moment
            number += 1


_NUMBER = re.compile(r"([0-9]{1,9})-")


def start_run(folder: Path, config: TrainConfig, trainer: Trainer) -> None:
    """Make ``folder``, which may exist but holds no run yet, the folder of a run."""
    # The config comes last: a folder that has one can be resumed, whenever this was killed.
    files.write_json(folder / MANIFEST, {**manifest(), "resumed": []})
    _write_config(folder, config, trainer)


def _write_config(folder: Path, config: TrainConfig, trainer: Trainer) -> None:
    files.write_json(
        folder / RUN_CONFIG,
        {
            "format": FORMAT,
            "training": config.to_dict(),
            "threads": trainer.threads,
            "device": str(trainer.device),
            "precision": trainer.precision,
            "kernel": trainer.kernel,
        },
    )


def write_checkpoint(run: Path, trainer: Trainer) -> Path:
    """Weights, config and optimiser of the step that ``trainer`` has reached."""
    earlier = run_checkpoints(run)
    folder = write_state(run / "checkpoints", trainer)
    for old in earlier:
        if old != folder:
            (old / STATE).unlink(missing_ok=True)
    return folder


def write_state(into: Path, trainer: Trainer, optimizer: bool = True) -> Path:
    """The step that ``trainer`` has reached, as a folder ``step-000500`` in ``into``.

    Args:
        optimizer: whether its state is kept, too: what going on from there needs.
    """
    folder = into / f"step-{trainer.step:06d}"
    with files.new_folder(folder) as staging:
        about = {"training": trainer.config.to_dict(), "step": trainer.step}
        write_model(staging, trainer.model, **about)
        if trainer.average:
            write_model(staging / AVERAGE, trainer.average.model, **about, averaged=True)
        if optimizer:
            buffer = io.BytesIO()
            torch.save(trainer.state(), buffer)
            files.write_bytes(staging / STATE, buffer.getvalue())
    return folder


def crash_states(run: Path) -> list[Path]:
    """The states kept around a run's first crashes, oldest first."""
    return step_folders(run / CRASHES)


# -- going on -----------------------------------------------------------------------------------


def read_run(folder: Path) -> RunConfig:
    """The config of a run, or a ``UserError`` that says why this is no run."""
    path = folder / RUN_CONFIG
    if not path.is_file():
        what = "holds no " + RUN_CONFIG if folder.is_dir() else "does not exist"
        raise UserError(f"{folder} is not a run folder: it {what}")
    data = files.read_json(path, MOST_CONFIG_BYTES)
    if not isinstance(data, dict) or not isinstance(data.get("training"), dict):
        raise UserError(f"{folder} is not a run folder: its {RUN_CONFIG} describes no training")
    if type(data.get("format")) is int and data["format"] > FORMAT:
        raise UserError(f"{path} was written by a newer version: upgrade sortscope to resume it")
    check_format(path, data)
    own = {key: value for key, value in data.items() if key != "format"}
    try:
        own["training"] = TrainConfig.from_dict(data["training"])
        own.setdefault("kernel", "plain")  # older runs knew no other
        for name in RunConfig.__dataclass_fields__:
            if name not in own:
                raise UserError(f"{name!r} is missing")
        return RunConfig(**checked(RunConfig, own, "run's"))
    except UserError as error:
        raise UserError(f"{path} cannot be read: {error}") from None


def read_manifest(run: Path) -> dict[str, Any]:
    """The manifest of a run, with its list of resumes.

    Raises:
        UserError: naming the file and what is wrong with it.
    """
    record = files.read_object(run / MANIFEST)
    resumed = record.get("resumed")
    if not isinstance(resumed, list) or not all(isinstance(one, dict) for one in resumed):
        raise UserError(f"{run / MANIFEST} is not the manifest of a run: it lists no resumes")
    for key, kind in (("machine", dict), ("versions", dict), ("git_commit", str | None)):
        if key not in record or not isinstance(record[key], kind):
            raise UserError(f"{run / MANIFEST} is not the manifest of a run: no {key}")
    return record


def resume_run(run: Path, threads: int = 0) -> Trainer:
    """The trainer of ``run`` at its newest checkpoint, on its own device, precision and kernels:
    others would give other bits.

    Args:
        threads: to go on with, which change no bit (0: as many as it has had).

    Raises:
        UserError: if this is no run, if this machine lacks its device or its kernels, or if
            something of it is lost or damaged; then no file has been touched.
    """
    from training.loop import Trainer

    recorded = read_run(run)
    if changed := threads not in (0, recorded.threads):
        recorded = replace(recorded, threads=threads)
    about = read_manifest(run)
    rows = read_metrics(run / METRICS)
    newest = newest_checkpoint(run, recorded.training, rows)
    trainer = Trainer(recorded.as_computed())
    trainer.config = recorded.training
    if newest is not None:
        restore(newest, trainer, recorded.training)
    for folder in (run, run / "checkpoints", run / CRASHES):
        files.sweep(folder)
    about["resumed"].append({"step": trainer.step, **manifest()})
    files.write_json(run / MANIFEST, about)
    if changed:
        _write_config(run, recorded.training, trainer)
    return trainer


def newest_checkpoint(run: Path, config: TrainConfig, rows: list[Row]) -> Path | None:
    """The checkpoint to go on from; None for a run that was stopped before its first.

    Raises:
        UserError: if there should be a newer one, or the newest one cannot be resumed.
    """
    for folder in (run / "checkpoints").glob("step-*"):
        if not (folder / WEIGHTS).is_file():
            raise UserError(f"{folder} holds no {WEIGHTS}: the run cannot go on from it")
    found = run_checkpoints(run)
    if found and not (found[-1] / STATE).is_file():
        raise UserError(
            f"{run} cannot be resumed: its newest checkpoint, {found[-1].name}, holds no {STATE}, "
            "the state of the optimiser (shipped runs never do); its weights open all the same"
        )
    step = checkpoint_step(found[-1]) if found else 0
    if step > config.steps:
        raise UserError(f"{found[-1]} is of a step after the last one, {config.steps}")
    check_reaches(run / METRICS, rows, config, step)
    return found[-1] if found else None


def restore(folder: Path, trainer: Trainer, recorded: TrainConfig) -> None:
    """Bring ``trainer`` to a checkpoint of its own run.

    Args:
        recorded: what the run's config says.

    Raises:
        UserError: naming the file and the reason.
    """
    stored, path = read_stored(folder), folder / STATE
    if "training" in stored.info:
        trained = TrainConfig.from_dict(stored.info["training"]).to_dict()
        if changed := first_difference("training", recorded.to_dict(), trained):
            raise UserError(f"{folder} is not of this run: by the run's {RUN_CONFIG}, {changed}")
    if stored.config != trainer.model.config:
        raise UserError(f"{folder} is not of this run: its architecture is another")
    numbers = sum(tensor.numel() for tensor in stored.weights.values())
    state = read_torch(path, 3 * 4 * numbers + _STATE_OVERHEAD)  # two moments, an average
    try:
        trainer.restore(stored.weights, state)
    except UserError as error:
        raise UserError(f"{path} cannot be read: {error}") from None
    except Exception as error:
        raise UserError(f"{path} cannot be read: {first_line(error)}") from None
    if trainer.step != checkpoint_step(folder):
        raise UserError(f"{path} is of step {trainer.step}, not of its folder's")
