"""Lists of one's own in place of those that an experiment samples: ``--lists FILE``.

    own = read_given("file.txt", text, task)            # a page's upload; UserError names the line
    EXPERIMENT.compute(model, settings, lists=own)
    batch = own_or(task, lambda: task.held_out(settings.lists, seed))       # in a body

A face says with :class:`OwnLists` what the lists take the place of; without it an experiment makes
its own and refuses others. Donors, references and whatever else is random stay drawn by the seed.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from interp import lists as given_lists
from interp.lists import DIGITS
from interp.support.errors import UserError
from interp.task import SortBatch, Task

_DRAWN = r"(held-out lists)(?:, as many of every length up to \d+)?|random {symbol}s"
"""How experiments name the lists that they draw where they take given ones in their place."""


@dataclass(frozen=True)
class OwnLists:
    """What an experiment takes lists of one's own for."""

    counts: str = "lists"
    """The setting that says how many there are; it becomes the number of those given."""
    length: str = ""
    """The setting that says how long they are, where all must be of one length."""
    least: int = 1
    """Fewer say nothing."""
    rest: str = ""
    """What is drawn as ever beside them, as a sentence."""


@dataclass(frozen=True)
class Given:
    """Lists that somebody has given."""

    lists: tuple[tuple[int, ...], ...]
    source: str
    """The name of their file."""
    sha256: str
    """Of its text, of which a result says that it is about it."""
    symbol: str = DIGITS.word
    """What one entry of a list is called."""

    def __len__(self) -> int:
        return len(self.lists)

    @property
    def record(self) -> dict[str, Any]:
        """For the JSON of a result."""
        return {"file": self.source, "sha256": self.sha256, "n": len(self)}

    def told(self, text: str) -> str:
        """A text that is written of the lists which an experiment draws, of these."""
        drawn = _DRAWN.format(symbol=re.escape(self.symbol))
        return re.sub(drawn, lambda found: f"{'lists of ' * bool(found[1])}{self.source}", text)

    def settings(self, settings: Any, own: OwnLists) -> Any:
        """The settings of an experiment for these lists.

        Raises:
            UserError: if they are too few, or not of one length where they must be.
        """
        if len(self) < own.least:
            raise UserError(
                f"{self.source} holds {len(self)} lists; this analysis takes at least {own.least}"
            )
        changes = {own.counts: len(self)}
        if own.length:
            changes[own.length] = self._one_length()
        return replace(settings, **changes)

    def _one_length(self) -> int:
        first = len(self.lists[0])
        for number, values in enumerate(self.lists, 1):
            if len(values) != first:
                raise UserError(
                    f"{self.source}: this analysis compares like positions, so all lists must be "
                    f"of one length; list 1 has {first}, and list {number} has {len(values)}"
                )
        return first


def read_given(source: str, text: str, task: Task) -> Given:
    """Lists from the text of a file: one on each line, or JSON.

    Args:
        source: the file's name, for people.

    Raises:
        UserError: naming the line, or of JSON the list, that is none for this task.
    """
    found = given_lists.read_text(text, source, task.symbols, task.max_len, task.min_len)
    digest = hashlib.sha256(text.encode()).hexdigest()
    return Given(tuple(found), source, digest, task.symbols.word)


def read_given_file(path: Path, task: Task) -> Given:
    """As :func:`read_given`, of a file that a command line names."""
    return read_given(path.name, given_lists.file_text(path), task)


_NOW: ContextVar[Given | None] = ContextVar("lists of one's own", default=None)


@contextmanager
def using(lists: Given | None) -> Iterator[None]:
    """Inside the block :func:`own_or` gives these lists, in this thread."""
    token = _NOW.set(lists)
    try:
        yield
    finally:
        _NOW.reset(token)


def own_or(task: Task, draw: Callable[[], SortBatch], most: int | None = None) -> SortBatch:
    """The lists that were given; where none were, those that ``draw`` makes.

    Args:
        most: the first so many of those given, for what takes its time.
    """
    lists = _NOW.get()
    return draw() if lists is None else task.encode(lists.lists[:most])


def given_now() -> Given | None:
    """The lists that were given, if any."""
    return _NOW.get()
