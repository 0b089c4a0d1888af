"""Run folders: numbered, self-describing, and safe to lose power in.

runs/0003-stable-blanks-s0/
  config.json          the recipe with its overrides, threads, device and precision
  manifest.json        arguments, versions, git commit, machine; one entry more per resume
  metrics.jsonl        a line per measurement
  events.out.tfevents  the same for TensorBoard
  checkpoints/step-000500/
    model.safetensors  weights
    config.json        what they are
    state.pt           the optimiser; only the newest checkpoint keeps it
"""

from __future__ import annotations

import io
import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from interp.checkpoints import (
    FORMAT,
    METRICS,
    checkpoint_step,
    read_weights,
    run_checkpoints,
    write_model,
)
from interp.support import files
from interp.support.errors import UserError
from interp.support.manifest import manifest
from training.recipes import TrainConfig

if TYPE_CHECKING:  # reading a run's curves needs no model to be imported
    from training.loop import Trainer

RUN_CONFIG, MANIFEST, STATE = "config.json", "manifest.json", "state.pt"


@dataclass(frozen=True)
class RunConfig:
    """What ``config.json`` of a run folder holds."""

    training: TrainConfig
    threads: int
    device: str
    precision: str


def create_run(out: Path, config: TrainConfig, trainer: Trainer) -> Path:
    """A new numbered folder under ``out``, with its config and manifest."""
    out.mkdir(parents=True, exist_ok=True)
    number = 1 + max((int(m[1]) for p in out.iterdir() if (m := _NUMBER.match(p.name))), default=0)
    while True:
        folder = out / f"{number:04d}-{config.label()}"
        try:
            folder.mkdir()
            break
        except FileExistsError:  # somebody else's run started at the same moment
            number += 1
    start_run(folder, config, trainer)
    return folder


def start_run(folder: Path, config: TrainConfig, trainer: Trainer) -> None:
    """Make ``folder``, which may exist but holds no run yet, the folder of a run."""
    # The config comes last: a folder that has one can be resumed, whenever this was killed.
    files.write_json(folder / MANIFEST, {**manifest(), "resumed": []})
    files.write_json(
        folder / RUN_CONFIG,
        {
            "format": FORMAT,
            "training": config.to_dict(),
            "threads": trainer.threads,
            "device": str(trainer.device),
            "precision": trainer.precision,
        },
    )


_NUMBER = re.compile(r"(\d+)-")


def read_run(folder: Path) -> RunConfig:
    """The config of a run, or a ``UserError`` that says why this is no run."""
    path = folder / RUN_CONFIG
    if not path.is_file():
        what = "holds no " + RUN_CONFIG if folder.is_dir() else "does not exist"
        raise UserError(f"{folder} is not a run folder: it {what}")
    data = files.read_json(path)
    if not isinstance(data, dict) or not isinstance(data.get("training"), dict):
        raise UserError(f"{folder} is not a run folder: its {RUN_CONFIG} describes no training")
    if data.get("format", 0) > FORMAT:
        raise UserError(f"{path} was written by a newer version: upgrade sortscope to resume it")
    try:
        return RunConfig(
            TrainConfig.from_dict(data["training"]),
            data["threads"],
            data["device"],
            data["precision"],
        )
    except (UserError, KeyError, TypeError) as error:
        raise UserError(f"{path} cannot be read: {error}") from None


def write_checkpoint(run: Path, trainer: Trainer) -> Path:
    """Weights, config and optimiser of the step that ``trainer`` has reached."""
    earlier = run_checkpoints(run)
    folder = run / "checkpoints" / f"step-{trainer.step:06d}"
    with files.new_folder(folder) as staging:
        write_model(staging, trainer.model, training=trainer.config.to_dict(), step=trainer.step)
        buffer = io.BytesIO()
        torch.save(trainer.state(), buffer)
        files.write_bytes(staging / STATE, buffer.getvalue())
    for old in earlier:
        if old != folder:
            (old / STATE).unlink(missing_ok=True)
    return folder


def restore_newest(run: Path, trainer: Trainer) -> None:
    """Bring ``trainer`` to the newest checkpoint that can be resumed (or leave it at step 0)."""
    for folder in reversed(run_checkpoints(run)):
        path = folder / STATE
        if not path.is_file():
            continue
        try:
            state = torch.load(path, map_location=trainer.device, weights_only=True)
            trainer.restore(read_weights(folder), state)
        except UserError:
            raise
        except Exception as error:
            raise UserError(f"{path} cannot be read: {str(error).splitlines()[0]}") from None
        if trainer.step != checkpoint_step(folder):
            raise UserError(f"{path} is of step {trainer.step}, not of its folder's")
        return


def resume_run(run: Path) -> Trainer:
    """The trainer of ``run`` at its newest checkpoint, on its own device, precision and threads:
    others would give other bits.

    Raises:
        UserError: if this is no run, or this machine lacks its device.
    """
    from training.loop import Trainer

    recorded = read_run(run)
    its_own = {
        "threads": recorded.threads,
        "device": recorded.device.split(":")[0],
        "precision": recorded.precision,
    }
    trainer = Trainer(TrainConfig.from_dict({**recorded.training.to_dict(), **its_own}))
    trainer.config = recorded.training
    restore_newest(run, trainer)
    record_resume(run, trainer.step)
    return trainer


def record_resume(run: Path, step: int) -> None:
    """Add this process to the run's manifest."""
    record = files.read_json(run / MANIFEST)
    record["resumed"].append({"step": step, **manifest()})
    files.write_json(run / MANIFEST, record)


class MetricsLog:
    """Measurements, as lines of JSON and as TensorBoard events. Steps at or after ``start`` that an
    earlier process wrote are dropped: they will be made again."""

    def __init__(self, run: Path, start: int) -> None:
        from torch.utils.tensorboard import SummaryWriter

        path = run / METRICS
        kept = [row for row in read_metrics(path) if row["step"] < start]
        files.write_text(path, "".join(json.dumps(row) + "\n" for row in kept))
        self._file = path.open("a")
        self._events = SummaryWriter(str(run), purge_step=start)

    def write(self, step: int, values: dict[str, float], extra: dict[str, float]) -> None:
        """``values`` go to both places, ``extra`` to the file only."""
        self._file.write(json.dumps({"step": step, **values, **extra}) + "\n")
        self._file.flush()
        for tag, value in values.items():
            self._events.add_scalar(tag, value, step)
        self._events.flush()

    def close(self) -> None:
        self._file.close()
        self._events.close()


def read_metrics(path: Path) -> list[dict[str, Any]]:
    """The rows of a ``metrics.jsonl``; a last line cut off by a crash is left out."""
    if not path.exists():
        return []
    return list(_whole_rows(path.read_text().splitlines()))


def _whole_rows(lines: Iterable[str]) -> Iterable[dict[str, Any]]:
    for line in lines:
        try:
            row = json.loads(line)
        except ValueError:
            return
        yield row
