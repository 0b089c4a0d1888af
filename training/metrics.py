"""The measurements of a run, ``metrics.jsonl``: a line of JSON each, and the same for TensorBoard.

    {"step": 20, "loss": 1.9, "accuracy": 0.0, "digit_accuracy": 0.2, "lr": 0.0008, ...}
    {"step": 100, "eval/exact_match": 0.01, "eval/digit_accuracy": 0.4, ...}

A crash may cut off the last line, and nothing else. Any other line that is no measurement is
damage: whoever reads the file is told, and nobody goes on as if the rest were not there.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from interp.checkpoints import METRICS
from interp.support import files
from interp.support.errors import UserError
from interp.support.fields import fits
from interp.support.strict_json import cut, parse_json
from training.recipes import TrainConfig

Row = dict[str, Any]
"""``step``, and numbers by their names."""

SHARES = (
    *("accuracy", "digit_accuracy", "average/accuracy", "thoughts/accuracy"),
    *("eval/exact_match", "eval/digit_accuracy", "average/exact_match"),
)


def read_metrics(path: Path) -> list[Row]:
    """The rows of a ``metrics.jsonl``; a last line cut off by a crash is left out.

    Raises:
        UserError: naming the line that is no measurement.
    """
    if not os.path.lexists(path):
        return []
    *lines, rest = files.read_text(path).split("\n")
    rows: list[Row] = []
    for number, line in enumerate(lines, 1):
        try:
            rows.append(parse_row(line, rows[-1]["step"] if rows else 0))
        except ValueError as error:
            raise UserError(f"{path}, line {number} is no measurement: {cut(str(error))}") from None
    try:
        return [*rows, parse_row(rest)] if rest else rows
    except ValueError:
        return rows


def parse_row(line: str, since: int = 0) -> Row:
    """One line.

    Raises:
        ValueError: if it is none, or is of a step before ``since``.
    """
    row = parse_json(line)
    if not isinstance(row, dict):
        raise ValueError("it is no object")
    step = row.get("step")
    if type(step) is not int or step < since:
        raise ValueError(f"its step cannot be {step!r}"[:60])
    for name, value in row.items():
        if not fits(value, float) or (name in SHARES and not 0 <= value <= 1):
            raise ValueError(f"{name} cannot be {value!r}"[:60])
    return row


def check_reaches(path: Path, rows: list[Row], config: TrainConfig, step: int) -> None:
    """Whether rows and the newest checkpoint belong together, so that going on loses none.

    Args:
        step: of the newest checkpoint; 0 where there is none.

    Raises:
        UserError: if there must have been later checkpoints, or more rows.
    """
    last = rows[-1]["step"] if rows else -1
    next_one = (step // config.checkpoint_every + 1) * config.checkpoint_every
    if last >= next_one:
        raise UserError(
            f"{path} goes on to step {last}, but the newest checkpoint is of step {step}: a later "
            "one is lost, and going on would throw away what was measured"
        )
    needed = (step - 1) // config.log_every * config.log_every
    if step and last < needed:
        raise UserError(
            f"{path} ends at step {last}, but the newest checkpoint is of step {step}: "
            "measurements are lost, and going on would leave a hole"
        )


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
        self._file.write(json.dumps({"step": step, **values, **extra}, allow_nan=False) + "\n")
        self._file.flush()
        for tag, value in values.items():
            self._events.add_scalar(tag, value, step)
        self._events.flush()

    def sync(self) -> None:
        """Onto the disk: no checkpoint may outlive what was measured before it."""
        os.fsync(self._file.fileno())

    def close(self) -> None:
        self._file.close()
        self._events.close()
