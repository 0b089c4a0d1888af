"""What all command lines share: parsing, one-line errors, and exit codes.

0 done; 1 the run failed by itself (a loss that became NaN); 2 bad input or a place that cannot be
written; 75 all of it is being done by others; 130 interrupted. Results go to stdout, everything
else to stderr.
"""

from __future__ import annotations

import contextlib
import io
import math
import os
import re
import sys
from collections.abc import Callable, Sequence
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any, TypeVar

from interp.support import files
from interp.support.errors import UserError
from interp.support.strict_json import cut

Args = TypeVar("Args")
_FRAME = "╭╮╰╯│─+| "  # tyro draws with the first or, where a stream is plain, with the last


def run_command(
    args_type: Any,  # a dataclass, or a union of subcommands
    command: Callable[[Args], None],
    prog: str,
    argv: Sequence[str] | None = None,
    default: Args | None = None,
) -> None:
    """Parse ``argv`` into ``args_type``, call ``command``, and end with the right status."""
    wait_briefly()
    try:
        args = parse(args_type, prog, argv, default)
        check_numbers(args)
        _check_places(args)
        command(args)
    except UserError as error:
        fail(prog, str(error), 2)
    except BrokenPipeError:  # the reader of stdout (head, less) has seen enough
        _stop_saying()
    except OSError as error:
        place = f"{error.filename}: " if error.filename else ""
        fail(prog, f"{place}{error.strerror or error}", 2)
    except KeyboardInterrupt:
        fail(prog, "interrupted", 130)


def wait_briefly() -> None:
    """Let threads of this process that wait for each other soon sleep; before PyTorch is imported.

    GNU's OpenMP lets them spin for milliseconds. Where another process has a core, too, they then
    spend most of their time on waiting for one that is not running: such commands took five to ten
    times as long beside a training. Some 20 microseconds cost nothing measurable on idle cores.
    """
    if "OMP_WAIT_POLICY" not in os.environ:
        os.environ.setdefault("GOMP_SPINCOUNT", "1000")


def parse(args_type: Any, prog: str, argv: Sequence[str] | None, default: Args | None) -> Args:
    """``args_type`` from the command line; a mistake is a ``UserError`` of one line."""
    import tyro

    options: dict[str, Any] = {} if default is None else {"default": default}
    errors = io.StringIO()
    try:
        with contextlib.redirect_stderr(errors):
            return tyro.cli(
                args_type,
                prog=prog,
                args=argv,
                config=(tyro.conf.OmitArgPrefixes, tyro.conf.FlagCreatePairsOff),
                **options,
            )
    except SystemExit as stop:
        if not stop.code:
            raise
        raise UserError(_first_paragraph(errors.getvalue())) from None


_PLACES = ("out", "to", "folder")  # flags that name a folder to write into


def _check_places(args: Any) -> None:
    """Before the work, not after it: whether its results can be written where they are to go."""
    if getattr(args, "resume", None):  # a run is continued where it is
        return
    for field in fields(args):
        value = getattr(args, field.name)
        if is_dataclass(value):
            _check_places(value)
        elif field.name in _PLACES and isinstance(value, Path):
            files.check_place(value)


def check_numbers(args: Any) -> None:
    """Whether all numbers among the flags are ones that a later step can hold, and all names.

    Raises:
        UserError: naming the flag that is beyond 64 bits, infinite, no number, or no name.
    """
    for field in fields(args):
        value = getattr(args, field.name)
        if is_dataclass(value):
            check_numbers(value)
        for one in value if isinstance(value, tuple) else (value,):
            if isinstance(one, int) and not -(1 << 63) <= one < 1 << 63:
                raise UserError(f"{_flag(field.name)} takes more than 64 bits: {cut(str(one))}")
            if isinstance(one, float) and not math.isfinite(one):
                raise UserError(f"{_flag(field.name)} must be a finite number, not {one}")
            if isinstance(one, str | Path) and "\0" in str(one):
                raise UserError(f"{_flag(field.name)} holds a zero byte")


def _flag(name: str) -> str:
    return "--" + name.replace("_", "-")


def fail(prog: str, message: str, status: int) -> None:
    """One line on stderr, then the exit status."""
    print(f"{prog}: {' '.join(message.split())}", file=sys.stderr)
    raise SystemExit(status)


def _first_paragraph(framed: str) -> str:
    """The message inside the box that tyro draws, without the box and the hints below it."""
    lines: list[str] = []
    for line in framed.splitlines():
        text = line.strip(_FRAME)
        if text.strip("-"):
            lines.append(text)
        elif len(lines) > 1:  # a rule below the title and the message
            break
    message = " ".join(lines[1:])
    # An error raised by a config says itself what it is about.
    return re.sub(r"^Error parsing \w+: ", "", message)


def note(message: str) -> None:
    """Progress, for people: stderr, so that stdout stays the result alone."""
    print(message, file=sys.stderr, flush=True)


def say(result: str) -> None:
    """The result, on stdout. A reader that has seen enough (head, less) ends no work."""
    try:
        print(result, flush=True)
    except BrokenPipeError:
        _stop_saying()


def _stop_saying() -> None:
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
