"""What all command lines share: parsing, one-line errors, and exit codes.

0 done; 1 the run failed by itself (a loss that became NaN); 2 bad input or a place that cannot be
written; 130 interrupted. Results go to stdout, everything else to stderr.
"""

from __future__ import annotations

import contextlib
import io
import os
import re
import sys
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from interp.support.errors import UserError

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
    try:
        args = parse(args_type, prog, argv, default)
        command(args)
    except UserError as error:
        fail(prog, str(error), 2)
    except BrokenPipeError:  # the reader of stdout (head, less) has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except OSError as error:
        place = f"{error.filename}: " if error.filename else ""
        fail(prog, f"{place}{error.strerror or error}", 2)
    except KeyboardInterrupt:
        fail(prog, "interrupted", 130)


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
