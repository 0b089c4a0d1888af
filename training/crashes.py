"""The states around a run's first crashes, kept while it goes on.

    crashes/step-000410    weights and optimiser: from here the stretch can be made again
    crashes/step-000420    weights
    ...
    crashes/step-000460    the first look at which accuracy had fallen
    ...
    crashes/step-000510

That a run crashes is known when it has, so the states of its last looks (one every ``log_every``
steps) wait in memory, and the looks after the crash are added as they come. A run that is resumed
within them keeps what is still to come; what was waiting in the memory of a killed process is lost.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from pathlib import Path

from training.curves import CrashWatch
from training.loop import Trainer
from training.replay import Snapshot
from training.runs import CRASHES, write_state

LOOKS = 5
"""Looks before a crash, and after it, whose states are kept: 50 steps of the published recipe."""


class CrashKeeper:
    """Watches the accuracy of one run, and writes the states around its first crashes."""

    def __init__(self, run: Path, most: int, past: Iterable[float]) -> None:
        """
        Args:
            most: crashes that are kept.
            past: accuracies of the looks that the run has had so far.
        """
        self._run, self._left, self._after = run, most, 0
        self._watch, self._last = CrashWatch(), deque[Snapshot](maxlen=LOOKS + 1)
        for accuracy in past:
            self._due(accuracy)

    def waits(self) -> bool:
        """Whether there can be anything to keep yet."""
        return self._left > 0 or self._after > 0

    def hold(self, trainer: Trainer) -> None:
        """The state that the next look is at: before the update that measures it."""
        if self.waits() and trainer.step:
            self._last.append(Snapshot.of(trainer))

    def look(self, accuracy: float) -> None:
        """The accuracy of the state that was held last: 0 to 1, of the training batch."""
        if not self.waits():
            return
        due = self._due(accuracy)
        states = list(self._last)[-due:] if due else []
        for state in states:
            self._write(state, optimizer=due > 1 and state is states[0])
        if not self.waits():
            self._last.clear()

    def _due(self, accuracy: float) -> int:
        """How many of the states held last are to be kept, now that this is the accuracy."""
        if self._watch.falls(accuracy) and self._left:
            self._left, self._after = self._left - 1, LOOKS
            return LOOKS + 1
        if self._after:
            self._after -= 1
            return 1
        return 0

    def _write(self, state: Snapshot, optimizer: bool) -> None:
        folder = self._run / CRASHES
        if not (folder / f"step-{state.step:06d}").exists():  # kept for the crash before
            write_state(folder, state.trainer(), optimizer)
