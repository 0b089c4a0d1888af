"""Which process wrote something, and whether it still lives.

this_process()      # {"host": "lab7", "pid": 4242, "started": "8831207"}
is_dead(owner)      # True only of a process of this machine that has certainly ended
"""

from __future__ import annotations

import os
import socket
from pathlib import Path
from typing import Any


def this_process() -> dict[str, Any]:
    """Host, number and start of the process that asks."""
    me = os.getpid()
    return {"host": socket.gethostname(), "pid": me, "started": started(me)}


def is_dead(owner: dict[str, Any]) -> bool:
    """Whether the process has ended, as far as can be seen from this machine: never of another's.

    Args:
        owner: as :func:`this_process` made it.
    """
    if owner["host"] != socket.gethostname():
        return False
    if not alive(owner["pid"]):
        return True
    # Numbers of processes are given out again, soon after a machine has started.
    now = started(owner["pid"])
    return None not in (now, owner.get("started")) and now != owner["started"]


def alive(pid: int) -> bool:
    """Whether a process of this machine runs; one that has ended and lingers does not."""
    if not 0 < pid < 1 << 31:  # to the system, others are groups of processes or nothing
        return False
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


def started(pid: int) -> str | None:
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
