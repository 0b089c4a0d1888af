"""Lists as people give them: typed, in a file, as tuples, arrays or tensors.

    parse("3 1 4", DIGITS, 48)                  # (3, 1, 4); also "3,1,4" and "314"
    checked(np.array([3, 1, 4]), DIGITS, 48)    # (3, 1, 4)
    given("lists.txt", DIGITS, 48)              # [(3, 1, 4), (2, 2)]: a list on each line

A list holds whole numbers below a bound, each of which is its own token. Free of torch: command
lines read their arguments with it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from interp.support import files
from interp.support.errors import UserError
from interp.support.fields import check_types
from interp.support.strict_json import parse_json

T = TypeVar("T")
_MOST_BYTES = 10_000_000  # of a file of lists
_TYPED = re.compile(r"[\s\d,;\[\]()+.-]*")  # what a typed list, or a slip in one, is made of


@dataclass(frozen=True)
class Symbols:
    """What a list may hold: the whole numbers from 0 to ``n`` - 1."""

    n: int
    word: str = "number"
    """What one is called."""

    def __post_init__(self) -> None:
        check_types(self)

    @property
    def example(self) -> str:
        """A list, as it is typed."""
        return ",".join(str(number % self.n) for number in (3, 1, 4, 1, 5))

    @property
    def run_together(self) -> bool:
        """Whether a list of them can be written as one word, like ``314``."""
        return self.n <= 10

    def reads(self, piece: str) -> bool:
        """Whether a piece of text is one of them, written as it is, without a leading 0."""
        return piece in map(str, range(self.n))

    def __str__(self) -> str:
        return f"{self.word} from 0 to {self.n - 1}"


DIGITS = Symbols(10, "digit")


def parse(text: str, symbols: Symbols, max_len: int, min_len: int = 1) -> tuple[int, ...]:
    """A list typed by a person: ``3,1,4``, ``3 1 4`` or, where all are single digits, ``314``.

    Raises:
        UserError: naming the piece that is no symbol, or the length that does not fit.
    """
    return checked(symbols_in(text, symbols), symbols, max_len, min_len)


def symbols_in(text: str, symbols: Symbols = DIGITS) -> tuple[int, ...]:
    """The symbols that are typed, however many.

    Raises:
        UserError: naming the piece that is none.
    """
    pieces = [p for p in re.split(r"[\s,;]+", text.strip().strip("[]()")) if p]
    if len(pieces) == 1 and pieces[0].isascii() and pieces[0].isdigit() and symbols.run_together:
        pieces = list(pieces[0])
    for piece in pieces:
        if not symbols.reads(piece):
            raise UserError(
                f"{piece[:20]!r} is not a {symbols}; a list looks like {symbols.example}"
            )
    return tuple(int(p) for p in pieces)


def checked(values: Any, symbols: Symbols, max_len: int, min_len: int = 1) -> tuple[int, ...]:
    """``values`` as a tuple of ints, if they are a list that can be given to a model.

    Args:
        values: a sequence, an array or a tensor of one axis, of whole numbers.

    Raises:
        UserError: naming what is no symbol, or the length that does not fit.
    """
    if hasattr(values, "tolist"):  # of NumPy or PyTorch
        values = values.tolist()
    unordered = isinstance(values, str | bytes | Set | Mapping)  # or text, which is parsed
    if unordered or not isinstance(values, Iterable):
        raise UserError(f"{_shown(values)} is not a list of {symbols.word}s like [3, 1, 4]")
    found = [value.tolist() if hasattr(value, "tolist") else value for value in values]
    takes = f"{max_len}" if min_len == max_len else f"{min_len} to {max_len}"
    if not found:
        raise UserError(f"the list is empty; give {takes} {symbols.word}s, like {symbols.example}")
    if not min_len <= len(found) <= max_len:
        raise UserError(f"the list has {len(found)} {symbols.word}s; this model takes {takes}")
    for value in found:
        if type(value) is not int or not 0 <= value < symbols.n:
            raise UserError(f"{_shown(value)} is not a {symbols}")
    return tuple(found)


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 40 else text[:40] + "…"


def given(text: str, symbols: Symbols, max_len: int, min_len: int = 1) -> list[tuple[int, ...]]:
    """The lists that were given on a command line: one that was typed, or a file of them.

    Not for what visitors of a page type: it opens files.

    Raises:
        UserError: naming the piece, and of a file the line, that is no list.
    """
    if _TYPED.fullmatch(text) and not ("/" in text or Path(text).is_file()):
        return [parse(text, symbols, max_len, min_len)]
    if not Path(text).exists():
        raise UserError(
            f"{text[:80]!r} is neither a list like {symbols.example} nor a file of lists, one on a "
            "line"
        )
    return read(Path(text), symbols, max_len, min_len)


def given_one(text: str, symbols: Symbols, max_len: int, min_len: int = 1) -> tuple[int, ...]:
    """As :func:`given`, where there must be one list only."""
    return _only(given(text, symbols, max_len, min_len), text)


def _only(lists: Sequence[T], text: str) -> T:
    if len(lists) != 1:
        raise UserError(f"{text} holds {len(lists):,} lists; this is about one: give one")
    return lists[0]


def from_file(text: str) -> str:
    """A list as it was typed, or the one line of a file that was named; nothing else is looked at.

    Not for what visitors of a page type: it opens files.

    Raises:
        UserError: if there is no such file, or not one line in it.
    """
    if not text or not ("/" in text or Path(text).is_file()):
        return text
    if not Path(text).exists():
        raise UserError(f"{text[:80]!r} is neither a list nor a file that holds one")
    return _only([line for _, line in _lines(file_text(Path(text)))], text)


def read(path: Path, symbols: Symbols, max_len: int, min_len: int = 1) -> list[tuple[int, ...]]:
    """The lists in a file: see :func:`read_text`.

    Raises:
        UserError: naming the line that is no list.
    """
    return read_text(file_text(path), str(path), symbols, max_len, min_len)


def file_text(path: Path) -> str:
    """What stands in a file of lists."""
    return files.read_text(path, _MOST_BYTES)


def read_text(
    text: str, source: str, symbols: Symbols, max_len: int, min_len: int = 1
) -> list[tuple[int, ...]]:
    """Lists: one on each line, empty lines being passed over; or JSON, as ``[[3, 1], [2]]``.

    Args:
        source: what messages begin with, for people.

    Raises:
        UserError: naming the line, or of JSON the list, that is none.
    """
    if len(text) > _MOST_BYTES:
        raise UserError(f"{source} is too large for a file of lists")
    kind, pieces = _pieces(text, source)
    found = []
    for number, piece in pieces:
        try:
            values = symbols_in(piece, symbols) if isinstance(piece, str) else piece
            found.append(checked(values, symbols, max_len, min_len))
        except UserError as error:
            raise UserError(f"{source}, {kind} {number}: {error}") from None
    if not found:
        raise UserError(
            f"{source} holds no list; there is one on each line, like {symbols.example}"
        )
    return found


def _pieces(text: str, source: str) -> tuple[str, list[tuple[int, Any]]]:
    """What stands for a list, numbered from 1: lines, or the entries of JSON."""
    if not re.match(r"\s*\[\s*\[", text):
        return "line", _lines(text)
    try:
        return "list", list(enumerate(parse_json(text), 1))
    except ValueError as error:
        raise UserError(f"{source} is no JSON: {error}") from None


def _lines(text: str) -> list[tuple[int, str]]:
    """The lines that hold anything, numbered from 1."""
    return [(number, line) for number, line in enumerate(text.splitlines(), 1) if line.strip()]
