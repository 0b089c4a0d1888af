"""Progress that people see, on stderr: a bar on a terminal, elsewhere a line now and then.

with progress_bar() as progress:
    compute(model, config, seed, progress)
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from interp.support.cli import note
from interp.support.progress import Progress

EVERY_S = 10.0
"""Between two lines: short work has none, and a log of an hour's work is a few hundred lines."""


class _Bar(Progress):
    """A bar of the stage that is under way."""

    def __init__(self) -> None:
        self._bar: Any = None

    def begin(self, total: int, words: str) -> None:
        from tqdm import tqdm

        self.close()
        self._bar = tqdm(total=total, desc=words, leave=False, file=sys.stderr)

    def step(self, done: int = 1) -> None:
        self._bar.update(done)

    def close(self) -> None:
        if self._bar is not None:
            self._bar.close()


class Lines(Progress):
    """A line with the stage and its share, at most every ``EVERY_S``."""

    def __init__(self) -> None:
        self._said = self._began = time.monotonic()
        self._total, self._done, self._words = 1, 0, ""

    def begin(self, total: int, words: str) -> None:
        self._total, self._done, self._words = max(1, total), 0, words
        self._say()

    def step(self, done: int = 1) -> None:
        self._done += done
        self._say()

    def _say(self) -> None:
        now = time.monotonic()
        if now - self._said >= EVERY_S:
            self._said = now
            share = 100 * min(1.0, self._done / self._total)
            note(f"{self._words}: {share:.0f} % ({now - self._began:.0f} s)")


@contextmanager
def progress_bar() -> Iterator[Progress]:
    """A bar on stderr where that is a terminal, else lines."""
    if not sys.stderr.isatty():
        yield Lines()
        return
    bar = _Bar()
    try:
        yield bar
    finally:
        bar.close()
