"""Who makes a run: a lock file beside it, so that several processes and machines share a study.

    seed-0003.lock      {"host": "lab7", "pid": 4242, "started": "8831207"}

Whoever creates the file makes the run. A lock of a process that is dead was left by a crash, and is
taken over by any process of its machine. Whether a process of another machine lives cannot be seen
from here: its lock stands until it is deleted by hand.
"""

from __future__ import annotations

import json
import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

_WRITING_S = 60.0  # an empty lock is being written; after so long, its writer has died


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
        text = lock.read_text()
    except FileNotFoundError:
        return None
    owner = _parse(text)
    if owner is None:
        return None if _age(lock) > _WRITING_S else "a process that is starting"
    if _is_dead(owner):
        return None
    return f"process {owner['pid']} on {owner['host']}"


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
            me = os.getpid()
            json.dump({"host": socket.gethostname(), "pid": me, "started": _started(me)}, file)
        return True
    return False


def _clear_stale(lock: Path) -> bool:
    """Remove the lock of a dead process; False if it is held, or another was quicker."""
    try:
        text = lock.read_text()
        if holder(lock) is not None:
            return False
        # Renaming picks one of several that found it stale; a lock taken meanwhile is put back.
        aside = lock.with_name(f".{lock.name}.{os.getpid()}")
        os.rename(lock, aside)
    except FileNotFoundError:
        return True  # it was released: try for it
    if aside.read_text() != text:
        os.rename(aside, lock)
        return False
    aside.unlink()
    return True


def _parse(text: str) -> dict[str, Any] | None:
    try:
        owner = json.loads(text)
    except ValueError:
        return None
    known = isinstance(owner, dict) and isinstance(owner.get("pid"), int) and "host" in owner
    return owner if known else None


def _age(path: Path) -> float:
    try:
        return time.time() - path.stat().st_mtime
    except FileNotFoundError:
        return 0.0


def _is_dead(owner: dict[str, Any]) -> bool:
    if owner["host"] != socket.gethostname():
        return False
    if not alive(owner["pid"]):
        return True
    # Numbers of processes are given out again, soon after a machine has started.
    now = _started(owner["pid"])
    return None not in (now, owner.get("started")) and now != owner["started"]


def alive(pid: int) -> bool:
    """Whether a process of this machine runs; one that has ended and lingers does not."""
    if os.name == "nt":  # there, os.kill would end it
        return _alive_on_windows(pid)
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # somebody else's
        return True
    fields = _proc_stat(pid)
    return not fields or fields[0] not in "ZX"


def _started(pid: int) -> str | None:
    """When the process began, in ticks since the machine did; None where that is not told."""
    fields = _proc_stat(pid)
    return fields[19] if fields else None


def _proc_stat(pid: int) -> list[str]:
    """Linux: the fields from the state on; the name before it may hold spaces. Else empty."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return []


def _alive_on_windows(pid: int) -> bool:
    import ctypes

    kernel = getattr(ctypes, "windll").kernel32  # noqa: B009 (unknown to type checkers elsewhere)
    handle = kernel.OpenProcess(0x00100000, False, pid)  # SYNCHRONIZE
    if not handle:
        return False
    running = kernel.WaitForSingleObject(handle, 0) == 0x102  # WAIT_TIMEOUT
    kernel.CloseHandle(handle)
    return bool(running)
