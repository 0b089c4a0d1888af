"""How far a study is: one table on a terminal, a line now and then elsewhere; on stderr.

    arm        seed  state     step   exact   lists/s   left
    blanks     0     running   3400   0.912       171   1:28
    no-blanks  0     finished  6000   0.374       262

Everything is read from the run folders, so runs made elsewhere are shown too.
"""

from __future__ import annotations

import sys
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from interp.checkpoints import METRICS
from interp.support import files
from interp.support.cli import note
from training.curves import BATCH_KEY, HELD_OUT_KEY
from training.metrics import parse_row
from training.recipes import TrainConfig
from training.studies.folders import Job
from training.studies.plans import Plan

State = Literal["running", "failed", "elsewhere", "waiting", "finished"]
"""``elsewhere``: a process that this study did not start makes it. ``failed``: it was tried as
often as allowed. ``finished``: it has its summary, be it of a run that diverged."""

_ORDER: dict[State, int] = {"running": 0, "failed": 1, "elsewhere": 2, "waiting": 3, "finished": 4}
_TAIL = 8192  # bytes: the last dozen lines of a metrics.jsonl, an evaluation among them
_PLAIN_EVERY_S = 60.0
_REDRAWN_EVERY_S = 1.0


@dataclass(frozen=True)
class Row:
    """A run as it stands. None where nothing was measured yet."""

    job: Job
    state: State
    step: int
    steps: int
    exact: float | None
    """On the held-out lists; before their first measurement, on the training batch."""
    lists_per_s: float | None
    seconds_left: float | None

    def cells(self) -> list[str]:
        return [
            self.job.arm,
            str(self.job.seed),
            self.state,
            f"{self.step} / {self.steps}",
            "" if self.exact is None else f"{100 * self.exact:.1f} %",
            "" if self.lists_per_s is None else f"{self.lists_per_s:.0f}",
            "" if self.seconds_left is None else clock(self.seconds_left),
        ]


HEADINGS = ("arm", "seed", "state", "step", "exact", "lists/s", "left")


def row(job: Job, state: State, config: TrainConfig) -> Row:
    """What a run's metrics say of it now."""
    lines = tail(job.folder / METRICS)
    step = lines[-1]["step"] if lines else 0
    rates = [line["lists_per_s"] for line in lines if line.get("lists_per_s")]
    exact = [line[HELD_OUT_KEY] for line in lines if HELD_OUT_KEY in line]
    exact = exact or [line[BATCH_KEY] for line in lines if BATCH_KEY in line]
    active = state in ("running", "elsewhere") and rates
    left = (config.steps - step) * config.batch_size / rates[-1] if active else None
    return Row(
        job,
        state,
        step,
        config.steps,
        exact[-1] if exact else None,
        rates[-1] if active else None,
        left,
    )


def tail(path: Path) -> list[dict[str, Any]]:
    """The last whole rows of a metrics file, however long it is."""
    if not path.is_file():
        return []
    with files.open_regular(path) as (file, size):
        file.seek(max(0, size - _TAIL))
        lines = file.read(_TAIL).decode(errors="replace").split("\n")
    rows = []
    for line in lines[1 if size > _TAIL else 0 :]:
        try:
            rows.append(parse_row(line))
        except ValueError:  # being written, or damaged: whoever goes on with it will be told
            continue
    return rows


def clock(seconds: float) -> str:
    """``0:42``, ``12:05``, ``3:20:00``."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"


class Display:
    """Draws the states of a study as they change."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._live: Any = None
        self._drawn = 0.0
        self._said: dict[Job, State] = {}

    def __enter__(self) -> Display:
        if sys.stderr.isatty():
            try:
                from rich.console import Console
                from rich.live import Live
            except ImportError:  # lines do as well
                return self
            self._live = Live(console=Console(stderr=True), auto_refresh=False, transient=False)
            self._live.__enter__()
        return self

    def __exit__(self, *error: object) -> None:
        if self._live is not None:
            self._live.__exit__(None, None, None)

    def show(self, states: Mapping[Job, State], last: bool = False) -> None:
        """Draw the table, or say what has changed; not oftener than is legible."""
        every = _PLAIN_EVERY_S if self._live is None else _REDRAWN_EVERY_S
        due = last or time.monotonic() - self._drawn >= every
        if self._live is not None and due:
            self._live.update(self._table(states), refresh=True)
        elif self._live is None:
            self._say(states, due)
        if due:
            self._drawn = time.monotonic()

    def _rows(self, states: Mapping[Job, State]) -> list[Row]:
        ordered = sorted(states.items(), key=lambda item: _ORDER[item[1]])
        return [row(job, state, self._plan.arm(job.arm).config) for job, state in ordered]

    def _table(self, states: Mapping[Job, State]) -> Any:
        """As many rows as fit, those that are at work first."""
        from rich.table import Table

        fits = max(3, self._live.console.size.height - 6)
        chosen = dict(sorted(states.items(), key=lambda item: _ORDER[item[1]])[:fits])
        table = Table(caption=in_all(states), caption_justify="left")
        for number, heading in enumerate(HEADINGS):
            table.add_column(heading, justify="left" if number < 3 else "right")
        for each in self._rows(chosen):
            table.add_row(*each.cells())
        return table

    def _say(self, states: Mapping[Job, State], due: bool) -> None:
        changed = {job: state for job, state in states.items() if self._said.get(job) != state}
        self._said.update(changed)
        news = [job for job, state in changed.items() if state != "waiting"]
        working = [job for job, state in states.items() if state == "running"] if due else []
        for each in self._rows({job: states[job] for job in dict.fromkeys([*news, *working])}):
            note(" ".join(words for words in _words(each) if words))
        if due:
            note(in_all(states))


def _words(each: Row) -> Sequence[str]:
    arm, seed, state, step, exact, speed, left = each.cells()
    return (
        f"{arm}, seed {seed}: {state}, step {step}",
        exact and f"exact {exact}",
        speed and f"{speed} lists/s",
        left and f"{left} left",
    )


def in_all(states: Mapping[Job, State]) -> str:
    """``30 runs: 4 finished, 2 running, 24 waiting``."""
    counted = Counter(states.values())
    parts = ", ".join(f"{counted[s]} {s}" for s in reversed(_ORDER) if counted[s])
    return f"{len(states)} runs: {parts}"
