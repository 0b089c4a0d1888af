"""Lists of digits as people give them: typed, in a file, as tuples, arrays or tensors.

    parse("3 1 4", 48)                  # (3, 1, 4); also "3,1,4" and "314"
    checked(np.array([3, 1, 4]), 48)    # (3, 1, 4)
    given("lists.txt", 48)              # [(3, 1, 4), (2, 2)]: a list on each line

Free of torch: command lines read their arguments with it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from interp.support import files
from interp.support.errors import UserError
from interp.support.limits import MOST_POSITIONS

N_DIGITS = 10  # tokens 0..9 are the digits themselves
_MOST_BYTES = 10_000_000  # of a file of lists
_TYPED = re.compile(r"[\s\d,;\[\]()+.-]*")  # what a typed list, or a slip in one, is made of


def parse(text: str, max_len: int) -> tuple[int, ...]:
    """A list typed by a person: ``3,1,4``, ``3 1 4`` or ``314``.

    Raises:
        UserError: naming the piece that is not a digit, or the length that does not fit.
    """
    return checked(digits_in(text), max_len)


def digits_in(text: str) -> tuple[int, ...]:
    """The digits that are typed, however many.

    Raises:
        UserError: naming the piece that is not a digit.
    """
    pieces = [p for p in re.split(r"[\s,;]+", text.strip().strip("[]()")) if p]
    if len(pieces) == 1 and pieces[0].isascii() and pieces[0].isdigit():
        pieces = list(pieces[0])
    for piece in pieces:
        if not (len(piece) == 1 and piece in "0123456789"):
            raise UserError(
                f"{piece[:20]!r} is not a digit from 0 to 9; a list looks like 3,1,4,1,5"
            )
    return tuple(int(p) for p in pieces)


def checked(values: Any, max_len: int) -> tuple[int, ...]:
    """``values`` as a tuple of ints, if they are a list that can be sorted.

    Args:
        values: a sequence, an array or a tensor of one axis, of whole numbers.

    Raises:
        UserError: naming what is not a digit, or the length that does not fit.
    """
    if hasattr(values, "tolist"):  # of NumPy or PyTorch
        values = values.tolist()
    if isinstance(values, str | bytes) or not isinstance(values, Iterable):
        raise UserError(f"{_shown(values)} is not a list of digits like [3, 1, 4]")
    digits = [value.tolist() if hasattr(value, "tolist") else value for value in values]
    if not digits:
        raise UserError(f"the list is empty; give 1 to {max_len} digits, like 3,1,4,1,5")
    if len(digits) > max_len:
        raise UserError(f"the list has {len(digits)} digits; this model takes 1 to {max_len}")
    for value in digits:
        if type(value) is not int or not 0 <= value < N_DIGITS:
            raise UserError(f"{_shown(value)} is not a digit from 0 to 9")
    return tuple(digits)


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 40 else text[:40] + "…"


def given(text: str, max_len: int) -> list[tuple[int, ...]]:
    """The lists that were given on a command line: one that was typed, or a file of them.

    Not for what visitors of a page type: it opens files.

    Raises:
        UserError: naming the piece, and of a file the line, that is no list.
    """
    if _TYPED.fullmatch(text) and not ("/" in text or Path(text).is_file()):
        return [parse(text, max_len)]
    if not Path(text).exists():
        raise UserError(
            f"{text[:80]!r} is neither a list like 3,1,4,1,5 nor a file of lists, one on a line"
        )
    return read(Path(text), max_len)


def given_one(text: str, max_len: int) -> tuple[int, ...]:
    """As :func:`given`, where there must be one list only."""
    lists = given(text, max_len)
    if len(lists) > 1:
        raise UserError(f"{text} holds {len(lists):,} lists; this is about one: give one")
    return lists[0]


def from_file(text: str) -> str:
    """A list as it was typed, or the one in a file that was named; its length is not looked at.

    Not for what visitors of a page type: it opens files.

    Raises:
        UserError: if there is such a file, but no list in it, or more than one.
    """
    if not text or not ("/" in text or Path(text).is_file()):
        return text
    return ",".join(map(str, given_one(text, MOST_POSITIONS)))


def read(path: Path, max_len: int) -> list[tuple[int, ...]]:
    """The lists in a file, one on each line; empty lines are passed over.

    Raises:
        UserError: naming the line that is no list.
    """
    found = []
    for number, line in enumerate(files.read_text(path, _MOST_BYTES).splitlines(), 1):
        if line.strip():
            try:
                found.append(parse(line, max_len))
            except UserError as error:
                raise UserError(f"{path}, line {number}: {error}") from None
    if not found:
        raise UserError(f"{path} holds no list; there is one on each line, like 3,1,4,1,5")
    return found
