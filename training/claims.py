"""Who makes a run: a lock file, so that several processes and machines share a study.

    seed-0003.lock      {"host": "lab7", "pid": 4242, "started": "8831207"}

Whoever creates the file makes the run. A lock of a process that is dead was left by a crash, and is
taken over by any process of its machine. Whether a process of another machine lives cannot be seen
from here: its lock stands until it is deleted by hand.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from interp.support import files
from interp.support.errors import UserError
from interp.support.processes import is_dead, this_process

LOCK = "run.lock"  # in a run's folder, while a process trains it
_WRITING_S = 60.0  # an empty lock is being written; after so long, its writer has died
_MOST_BYTES = 4096  # of a lock


@contextmanager
def claimed(lock: Path) -> Iterator[bool]:
    """Whether this process holds ``lock`` within the block; if so, it is released after it."""
    mine = _take(lock)
    try:
        yield mine
    finally:
        if mine:
            lock.unlink(missing_ok=True)


def holder(lock: Path) -> str | None:
    """Who holds ``lock``, in words; None if nobody does, or somebody who is dead."""
    try:
        text = _read(lock)
    except FileNotFoundError:
        return None
    owner = _parse(text)
    if owner is None:
        return None if _age(lock) > _WRITING_S else "a process that is starting"
    if is_dead(owner):
        return None
    return f"process {owner['pid']} on {owner['host']}"


def _read(lock: Path) -> str:
    """The text of a lock, whatever lies there in its place.

    Raises:
        FileNotFoundError: if nothing does.
    """
    try:
        return files.read_bytes(lock, _MOST_BYTES).decode(errors="replace")
    except UserError:
        if not os.path.lexists(lock):
            raise FileNotFoundError(lock) from None
        raise


def _take(lock: Path) -> bool:
    lock.parent.mkdir(parents=True, exist_ok=True)
    for _ in range(2):  # the second time after a stale lock was cleared away
        try:
            handle = os.open(lock, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666)
        except FileExistsError:
            if not _clear_stale(lock):
                return False
            continue
        with os.fdopen(handle, "w") as file:
            json.dump(this_process(), file)
        return True
    return False


def _clear_stale(lock: Path) -> bool:
    """Remove the lock of a dead process; False if it is held, or another was quicker."""
    try:
        text = _read(lock)
        if holder(lock) is not None:
            return False
        # Renaming picks one of several that found it stale; a lock taken meanwhile is put back.
        aside = lock.with_name(f".{lock.name}.{os.getpid()}")
        os.rename(lock, aside)
    except FileNotFoundError:
        return True  # it was released: try for it
    if _read(aside) != text:
        os.rename(aside, lock)
        return False
    aside.unlink()
    return True


def _parse(text: str) -> dict[str, Any] | None:
    try:
        owner = files.parse_json(text)
    except ValueError:
        return None
    known = isinstance(owner, dict) and type(owner.get("pid")) is int and "host" in owner
    return owner if known else None


def _age(path: Path) -> float:
    try:
        return time.time() - path.stat().st_mtime
    except FileNotFoundError:
        return 0.0
