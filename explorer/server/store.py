"""Results that take long, kept for all visitors and shown while they come.

    result = computed(("ablate_blanks", opened.hash, seed), lambda progress: compute(..., progress))

Nothing is computed twice: a visitor who asks for what is under way waits for it. Memory is bounded
by the number of results that are kept; the least recently used goes first.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from typing import Any, TypeVar

import streamlit as st

from interp.support.progress import Progress

T = TypeVar("T")
_MOST_RESULTS = 64  # each some tens of kilobytes, at most a few megabytes
_MOST_OF_LISTS = 200  # of one list each, worked out in seconds: at most some 100 kilobytes


@dataclass
class _Turn:
    """Who computes one result: whoever holds the lock, while others wait for it."""

    lock: threading.Lock = field(default_factory=threading.Lock)
    askers: int = 0


@dataclass
class Store:
    """A bounded memory of results, by key."""

    most: int = _MOST_RESULTS
    _results: OrderedDict[Hashable, Any] = field(default_factory=OrderedDict)
    _under_way: dict[Hashable, _Turn] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def get(self, key: Hashable, compute: Callable[[], T]) -> T:
        """The result of that key, computed by the first who asks; if that fails, by the next."""
        with self._lock:
            if key in self._results:
                self._results.move_to_end(key)
                return self._results[key]
            turn = self._under_way.setdefault(key, _Turn())
            turn.askers += 1
        try:
            with turn.lock:
                return self._computed(key, compute)
        finally:  # also when a visitor leaves and Streamlit ends the run
            with self._lock:
                turn.askers -= 1
                if not turn.askers:
                    del self._under_way[key]

    def _computed(self, key: Hashable, compute: Callable[[], T]) -> T:
        """In one's turn: what another has computed meanwhile, or one's own result."""
        with self._lock:
            if key in self._results:
                return self._results[key]
        result = compute()
        with self._lock:
            self._results[key] = result
            while len(self._results) > self.most:
                self._results.popitem(last=False)
        return result

    def has(self, key: Hashable) -> bool:
        """Whether the result is there already."""
        with self._lock:
            return key in self._results


@st.cache_resource(show_spinner=False)
def store() -> Store:
    """The server's one store."""
    return Store()


@st.cache_resource(show_spinner=False)
def list_store() -> Store:
    """Where results of single lists are kept: many come and go, and push out no long one."""
    return Store(_MOST_OF_LISTS)


def computed(
    key: Hashable, compute: Callable[[Progress], T], words: str, where: Store | None = None
) -> T:
    """The result of that key; while it is computed, a bar shows how far it is.

    Args:
        key: everything that the result depends on: an analysis, a model's hash, a list, ...
        words: what is being done, for people.
        where: where it is kept (default: the server's one store).
    """
    where = store() if where is None else where
    if where.has(key):
        return where.get(key, lambda: compute(Progress()))
    bar = st.empty()
    bar.progress(0.0, text=f"{words} …")
    try:
        return where.get(key, lambda: compute(PageProgress(bar, words)))
    finally:
        bar.empty()


class PageProgress(Progress):
    """A bar on the page, moved at most every hundredth of the way."""

    def __init__(self, bar: Any, words: str) -> None:
        self._bar, self._words = bar, words
        self._total, self._done, self._shown = 1, 0, 0.0

    def begin(self, total: int, words: str) -> None:
        self._total, self._done, self._shown = max(1, total), 0, 0.0
        self._bar.progress(0.0, text=f"{self._words}: {words} …")

    def step(self, done: int = 1) -> None:
        self._done += done
        share = min(1.0, self._done / self._total)
        if share - self._shown >= 0.01 - 1e-9:  # rounding must not skip the last hundredth
            self._shown = share
            self._bar.progress(share, text=f"{self._words} … {100 * share:.0f} %")
