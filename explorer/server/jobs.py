"""Long computations in the background: they go on when their visitor leaves the page.

    job = jobs().start(("probe_blanks", opened.hash, ...), "Probing", compute)
    job.state, job.words     # "Probing: fitting, 34 %, about 20 s to go in this part"
    jobs().cancel(job.key)

One runs at a time, the others wait in turn: two would share the processor, and both come later.
What comes out is put into the store of results (:mod:`explorer.server.store`), for all visitors.
"""

from __future__ import annotations

import atexit
import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

import streamlit as st

from explorer.server.store import Store
from interp.support.errors import UserError
from interp.support.progress import Progress

_LOG = logging.getLogger(__name__)
_SURE = 0.03  # of a part: from here on what is done tells how long the rest will take


class State(StrEnum):
    """Where a job is."""

    WAITING = "waiting"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"


class _Cancelled(Exception):
    """Raised within a computation, at its next step."""


@dataclass(eq=False)
class Job(Progress):
    """One computation, which tells this how far it is."""

    key: Hashable
    title: str
    compute: Callable[[Progress], Any]
    store: Store
    state: State = State.WAITING
    error: str = ""
    pause: float = 0.0
    """Seconds before it begins, in which the page that asked for it is drawn."""
    seconds: float = 0.0
    """How long it took, once it is done."""
    _stop: threading.Event = field(default_factory=threading.Event)
    _part: str = ""
    _total: int = 1
    _done: int = 0
    _since: float = 0.0  # the part began
    _at: float = 0.0  # its last step was done

    @property
    def ended(self) -> bool:
        return self.state not in (State.WAITING, State.RUNNING)

    @property
    def share(self) -> float:
        """Of the part that it is at."""
        return min(1.0, self._done / self._total)

    @property
    def words(self) -> str:
        """How far it is, with the time that the rest of this part will take on this machine."""
        if self.state is State.WAITING:
            return f"{self.title}: waits until another computation has ended"
        part = f": {self._part}" if self._part else ""
        if self.share < _SURE:
            return f"{self.title}{part} …"
        left = (self._at - self._since) * (1 / self.share - 1) - (time.monotonic() - self._at)
        return f"{self.title}{part}, {100 * self.share:.0f} %, about {max(left, 0):.0f} s to go"

    def begin(self, total: int, words: str) -> None:
        self._part, self._total, self._done = words, max(1, total), 0
        self._since = time.monotonic()
        self._check()

    def step(self, done: int = 1) -> None:
        self._done, self._at = self._done + done, time.monotonic()
        self._check()

    def _check(self) -> None:
        if self._stop.is_set():
            raise _Cancelled

    def run(self) -> None:
        """All of it, in the thread that works."""
        self.state = State.RUNNING
        self._stop.wait(self.pause)
        began = time.monotonic()
        try:
            self._check()
            result = self.compute(self)
            self.seconds = time.monotonic() - began
            self.store.get(self.key, lambda: result)
            self.state = State.DONE
        except _Cancelled:
            self.state = State.CANCELLED
        except UserError as error:  # the model is not one that it can say anything about
            self.error, self.state = str(error), State.FAILED
        except Exception as error:  # the page goes on; the terminal has it all
            _LOG.exception("%s failed", self.title)
            self.error, self.state = f"it failed: {type(error).__name__}", State.FAILED

    def cancel(self) -> None:
        """End it at its next step."""
        self._stop.set()


@dataclass(eq=False)
class Jobs:
    """The server's jobs, by key."""

    _jobs: dict[Hashable, Job] = field(default_factory=dict)
    _queue: deque[Job] = field(default_factory=deque)
    _lock: threading.Condition = field(default_factory=threading.Condition)
    _thread: threading.Thread | None = None

    def start(
        self,
        key: Hashable,
        title: str,
        compute: Callable[[Progress], Any],
        store: Store,
        pause: float = 0.0,
    ) -> Job:
        """The job of that key: the one that is under way, or a new one in its turn, which begins
        after so many seconds."""
        with self._lock:
            job = self._jobs.get(key)
            if job is not None and not job.ended:
                return job
            job = self._jobs[key] = Job(key, title, compute, store, pause=pause)
            self._queue.append(job)
            if self._thread is None:
                self._thread = threading.Thread(target=self._work, daemon=True)
                self._thread.start()
        return job

    def get(self, key: Hashable) -> Job | None:
        """The last job of that key; None if there was none."""
        with self._lock:
            return self._jobs.get(key)

    def under_way(self) -> list[Job]:
        """Those that wait or run, in turn."""
        with self._lock:
            return [job for job in self._jobs.values() if not job.ended]

    def cancel(self, key: Hashable) -> None:
        """End the job of that key, if there is one."""
        job = self.get(key)
        if job is not None:
            job.cancel()

    def wait(self, seconds: float = 60.0) -> None:
        """Until nothing is under way, for at most so long."""
        with self._lock:
            self._lock.wait_for(lambda: all(j.ended for j in self._jobs.values()), seconds)

    def end(self, seconds: float = 10.0) -> None:
        """Cancel everything, and wait for the step that is under way.

        A process that ends while a thread is within PyTorch is aborted.
        """
        with self._lock:
            self._queue.clear()
            thread, running = self._thread, list(self._jobs.values())
        for job in running:
            job.cancel()
        if thread is not None:
            thread.join(seconds)

    def _work(self) -> None:
        while True:
            with self._lock:
                if not self._queue:
                    self._thread = None  # the next start makes another
                    return
                job = self._queue.popleft()
            job.run()
            with self._lock:
                if job.state is not State.FAILED:  # what went wrong is to be said
                    del self._jobs[job.key]
                self._lock.notify_all()


@st.cache_resource(show_spinner=False)
def jobs() -> Jobs:
    """The server's own."""
    found = Jobs()
    atexit.register(found.end)
    return found
