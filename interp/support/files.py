"""Files that are either whole or absent, and that are read as what they may be: anybody's.

What is written is complete or not there, whatever happens meanwhile. What is read may have been
damaged, or made to do harm: only regular files are read, of a bounded size, and only JSON whose
numbers and depth every later step can hold.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import stat
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from interp.support.errors import UserError
from interp.support.processes import is_dead, this_process
from interp.support.strict_json import cut, parse_json, short

MOST_BYTES = 1 << 28
"""Of a file of JSON or text: the largest result of an analysis takes a tenth of it."""
_REASON = 160  # characters of what a message quotes
_NAMED, _HOST = 150, 60  # characters that a temporary name repeats: 255 is the most


# -- writing ------------------------------------------------------------------------------------


def write_text(path: Path, text: str) -> None:
    """Write ``path`` atomically, making its folder."""
    write_bytes(path, text.encode())


def write_bytes(path: Path, data: bytes) -> None:
    """Write ``path`` atomically, making its folder."""
    path.parent.mkdir(parents=True, exist_ok=True)
    sweep(path.parent)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=_temporary(path.name))
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(name, 0o666 & ~_umask())  # mkstemp's 0600 would hide it from other users
        os.replace(name, path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def write_json(path: Path, value: Any) -> None:
    write_text(path, json.dumps(value, indent=2, allow_nan=False) + "\n")


@contextmanager
def new_folder(path: Path) -> Iterator[Path]:
    """A folder that appears under its name only when the block has ended well.

    One of that name is replaced. It is moved aside until the new one stands, so that its files
    outlive a kill at any moment.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    sweep(path.parent)
    staging = Path(tempfile.mkdtemp(dir=path.parent, prefix=_temporary(path.name)))
    try:
        staging.chmod(0o777 & ~_umask())
        yield staging
        if path.exists():
            _swap(staging, path)
        else:
            os.replace(staging, path)
    except BaseException:
        shutil.rmtree(staging, ignore_errors=True)
        raise


def _swap(staging: Path, path: Path) -> None:
    aside = Path(tempfile.mkdtemp(dir=path.parent, prefix=_temporary(path.name, _ASIDE)))
    try:
        os.replace(path, aside / path.name)
        try:
            os.replace(staging, path)
        except BaseException:
            os.replace(aside / path.name, path)
            raise
    except BaseException:
        aside.rmdir()
        raise
    shutil.rmtree(aside, ignore_errors=True)


def check_place(folder: Path) -> None:
    """Whether files can be written into ``folder``, which need not be there; nothing is left.

    Raises:
        UserError: naming the place and the reason.
    """
    there = next((p for p in (folder, *folder.parents) if os.path.lexists(p)), Path())
    if not there.is_dir():
        raise UserError(f"cannot write to {folder}: {there} is no folder")
    rest = folder.relative_to(there)
    try:
        with tempfile.TemporaryDirectory(dir=there, prefix=_temporary("place")) as name:
            (Path(name) / rest).mkdir(parents=True, exist_ok=True)
            (Path(name) / rest / "probe").write_bytes(b"probe")
    except (OSError, ValueError) as error:  # ValueError: a zero byte
        reason = error.strerror if isinstance(error, OSError) else error
        raise UserError(f"cannot write to {folder}: {reason}") from None


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


# -- what killed writes left --------------------------------------------------------------------

_NEW, _ASIDE = "new", "old"
_LEFT_S = 7 * 24 * 3600.0  # what another machine has not touched for so long, nobody is writing
_TEMPORARY = re.compile(r"\..+\.(new|old)-(\d+)-(\d+|n)-([A-Za-z0-9_-]*)\.[A-Za-z0-9_]+")


def _temporary(name: str, kind: str = _NEW) -> str:
    """The beginning of a temporary name, which says whose it is: ``.a.json.new-4242-8831-lab7.``"""
    me = this_process()
    return f".{name[:_NAMED]}.{kind}-{me['pid']}-{me['started'] or 'n'}-{_as_name(me['host'])}."


def _as_name(host: str) -> str:
    return re.sub(r"[^A-Za-z0-9_-]", "_", host)[:_HOST]


def sweep(folder: Path) -> None:
    """Remove what writes into ``folder`` that were killed have left there.

    A folder that was moved aside and whose new one never came is put back in its place.
    """
    try:
        names = [name for name in os.listdir(folder) if name.startswith(".")]
    except OSError:  # not there, or closed to us
        return
    for name in names:
        match = _TEMPORARY.fullmatch(name)
        if match and _is_left(folder / name, match):
            _clear(folder / name, aside=match[1] == _ASIDE)


def _is_left(path: Path, match: re.Match[str]) -> bool:
    here = this_process()["host"]
    if match[4] == _as_name(here):
        begun = None if match[3] == "n" else match[3]
        return is_dead({"host": here, "pid": int(match[2]), "started": begun})
    try:
        return time.time() - path.lstat().st_mtime > _LEFT_S
    except OSError:
        return False


def _clear(path: Path, aside: bool) -> None:
    with contextlib.suppress(OSError):  # another process was quicker, or it is not ours to remove
        for old in path.iterdir() if aside else ():
            if not os.path.lexists(path.parent / old.name):
                os.replace(old, path.parent / old.name)
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)


# -- reading ------------------------------------------------------------------------------------


def read_bytes(path: Path, most: int = MOST_BYTES) -> bytes:
    """A regular file of at most ``most`` bytes, as long as it was when it was opened.

    Never waits, as a pipe would make it; never reads what has no end, as a device has not.

    Raises:
        UserError: naming the file and the reason.
    """
    with open_regular(path) as (file, size):
        if size > most:
            raise UserError(f"{path} is too large: {size:,} bytes, and {most:,} are the most")
        try:
            return file.read(size)
        except OSError as error:
            raise UserError(f"cannot read {path}: {error.strerror or error}") from None


@contextmanager
def open_regular(path: Path) -> Iterator[tuple[Any, int]]:
    """A regular file, open for reading, and its size.

    Raises:
        UserError: if it cannot be read, or is something else.
    """
    flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
    try:
        _check_regular(path, os.stat(path).st_mode)  # before it is opened: some devices act on that
        file = os.fdopen(os.open(path, flags), "rb")
    except UserError:
        raise
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror or error}") from None
    except ValueError as error:  # a zero byte
        raise UserError(f"cannot read {str(path)!r}: {error}") from None
    with file:
        about = os.fstat(file.fileno())
        _check_regular(path, about.st_mode)  # it may have been exchanged meanwhile
        yield file, about.st_size


def _check_regular(path: Path, mode: int) -> None:
    if stat.S_ISDIR(mode):
        raise UserError(f"cannot read {path}: it is a folder, not a file")
    if not stat.S_ISREG(mode):
        raise UserError(f"cannot read {path}: it is no regular file, but a pipe or a device")


def read_text(path: Path, most: int = MOST_BYTES) -> str:
    """A file of UTF-8; a byte order mark, as Windows writes it, is no part of the text.

    Raises:
        UserError: naming the file and the reason.
    """
    try:
        return read_bytes(path, most).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise UserError(f"{path} is not text: {_reason(error)}") from None


def read_json(path: Path, most: int = MOST_BYTES) -> Any:
    """The JSON in ``path``, or a ``UserError`` that names the file and the reason."""
    try:
        return parse_json(read_bytes(path, most).decode())
    except UserError:
        raise
    except ValueError as error:
        raise UserError(f"{path} is not JSON: {_reason(error)}") from None


def read_object(path: Path, most: int = MOST_BYTES) -> dict[str, Any]:
    """The JSON object in ``path``; raises what :func:`read_json` raises."""
    value = read_json(path, most)
    if not isinstance(value, dict):
        raise UserError(f"{path} holds no JSON object, but {short(value)}")
    return value


def _reason(error: ValueError) -> str:
    return cut(" ".join(str(error).split()), _REASON)
