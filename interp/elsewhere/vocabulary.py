"""Which token of ours each token of another vocabulary is.

    read_vocabulary("SEP,_,PAD,0-9", task)      # (10, 11, 12, 0, 1, ..., 9)

Written as their tokens in their order: numbers, ranges of them (``0-9``), ``SEP``, ``BLANK`` (or
``_``), ``PAD``, and ``-`` for one that a list and its answer never hold, such as the start of a
sequence. Free of torch.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from interp.support.errors import UserError
from interp.task import Task

Vocabulary = tuple[int | None, ...]
"""Our token of each of theirs; None where it has none."""
_RANGE = re.compile(r"(\d+)-(\d+)")
_MOST = 1 << 16  # tokens; a range may ask for any number of them


def read_vocabulary(text: str, task: Task) -> Vocabulary:
    """Their tokens, in their order.

    Raises:
        UserError: naming the piece that is no token, comes twice, or is missing.
    """
    found = tuple(token for piece in text.split(",") for token in _tokens(piece.strip(), task))
    return _checked(found, task, f"the vocabulary {text[:60]!r}")


def usual_vocabulary(n_tokens: int, task: Task) -> Vocabulary:
    """Their tokens where nothing is said: the numbers, then SEP, BLANK and PAD, as far as they go.

    Raises:
        UserError: if that cannot be it.
    """
    if not task.n_symbols < n_tokens <= task.d_vocab:
        raise UserError(
            f"its vocabulary has {n_tokens} tokens, and {task.rule} has {task.d_vocab} ("
            f"{task.n_symbols} {task.symbols.word}s, SEP, BLANK, PAD): say which they are, "
            "--vocabulary 0-9,SEP,... or Rule(..., vocabulary=...) in the task's file"
        )
    return _checked(tuple(range(n_tokens)), task, f"a vocabulary of {n_tokens} tokens")


def _tokens(piece: str, task: Task) -> Iterator[int | None]:
    named = {"SEP": task.sep, "BLANK": task.blank, "_": task.blank, "PAD": task.pad, "-": None}
    if piece in named:
        yield named[piece]
    elif match := _RANGE.fullmatch(piece):
        first, last = int(match[1]), int(match[2])
        if last < first or last >= task.n_symbols:
            raise UserError(f"{piece} in a vocabulary is no range of a {task.symbols}")
        yield from range(first, last + 1)
    elif task.symbols.reads(piece):
        yield int(piece)
    else:
        raise UserError(
            f"{piece[:20]!r} in a vocabulary is no {task.symbols}, and not SEP, BLANK, PAD or -"
        )


def _checked(found: Vocabulary, task: Task, what: str) -> Vocabulary:
    known = [token for token in found if token is not None]
    if len(found) > _MOST:
        raise UserError(f"{what} has {len(found):,} tokens; the most are {_MOST:,}")
    if twice := [token for token in known if known.count(token) > 1]:
        raise UserError(f"{what} has {task.token_name(twice[0])} twice")
    needed = [*task.alphabet, task.sep, *([task.blank] if task.n_blanks else [])]
    if missing := [token for token in needed if token not in known]:
        raise UserError(f"{what} has no {task.token_name(missing[0])}, which the task needs")
    return found
