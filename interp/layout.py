"""Where everything stands in a sequence, and by which token.

With a maximum length of 4 and 5 blanks, the list 3,1,1 and its answer are the 14 tokens

    position   0    1 2 3   4    5  6  7  8  9    10 11 12  13
    token      PAD  3 1 1   SEP  _  _  _  _  _    1  1  3   PAD
    region     pad  digits  sep  blanks      last outputs   pad

This file is the one place that knows the vocabulary and the layout. What a task does with lists is
in :mod:`interp.task`, whose docstring explains the sequence and has the glossary of shapes.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property
from typing import TYPE_CHECKING

from jaxtyping import Int

from interp.lists import Symbols
from interp.rule import Rule
from interp.rules import SORT
from interp.support.errors import UserError
from interp.support.fields import check_types
from interp.support.lazy import lazy_import
from interp.support.limits import MOST_POSITIONS

if TYPE_CHECKING:
    import torch
else:
    torch = lazy_import("torch")


class Region(StrEnum):
    """Named runs of positions. ``LAST_BLANK`` is both a blank and the first output row."""

    PAD = "pad"
    """Left padding, and everything after the answer."""
    DIGITS = "digits"
    """The list."""
    SEP = "sep"
    """The end of the list; with no blanks it is the first output row."""
    BLANKS = "blanks"
    """Every blank but the last: these positions only predict another BLANK."""
    LAST_BLANK = "last blank"
    """The blank that emits the first output, kept apart from the others."""
    OUTPUTS = "outputs"
    """Outputs given back as inputs, each emitting the next one."""

    @property
    def words(self) -> str:
        """For people: ``digits``, ``SEP``, ``last blank``."""
        return "SEP" if self is Region.SEP else self.value


@dataclass(frozen=True)
class Layout:
    """Maximum length, number of blanks, position offset and rule; everything else follows."""

    max_len: int = 48  # the experiment's longest list
    n_blanks: int = 49  # the experiment gives max_len + 1
    pos_offset: int = 0  # added to the positions after SEP, as if that many blanks were there
    rule: Rule = SORT  # what is asked; as published
    min_len: int = 1  # the shortest list; as long as the longest where all are of one length

    def __post_init__(self) -> None:
        check_types(self)
        if self.max_len < 1:
            raise UserError(f"the maximum length must be at least 1, not {self.max_len}")
        if not 1 <= self.min_len <= self.max_len:
            raise UserError(
                f"the minimum length must be from 1 to {self.max_len}, not {self.min_len}"
            )
        if self.n_blanks < 0:
            raise UserError(f"the number of blanks must be at least 0, not {self.n_blanks}")
        if self.pos_offset < 0:
            raise UserError(f"the position offset must be at least 0, not {self.pos_offset}")
        if (most := max(self.n_ctx, self.pos_offset)) > MOST_POSITIONS:
            raise UserError(
                f"lists of {self.max_len:,} {self.symbols.word}s with {self.n_blanks:,} blanks and "
                f"an offset of {self.pos_offset:,} take {most:,} positions; the most are "
                f"{MOST_POSITIONS:,}"
            )

    @property
    def symbols(self) -> Symbols:
        """What a list may hold, as people write it."""
        return self.rule.symbols

    @property
    def alphabet(self) -> range:
        """What a list may hold, in ascending order; each is its own token."""
        return range(self.symbols.n)

    @property
    def n_symbols(self) -> int:
        """How many different symbols a list may hold."""
        return self.symbols.n

    def n_outputs(self, length: int | None = None) -> int:
        """The most tokens of an answer to a list of ``length`` (default: the longest)."""
        length = self.max_len if length is None else length
        return self.rule.most(length) + self.rule.ends

    # -- vocabulary -----------------------------------------------------------------------------

    @property
    def sep(self) -> int:
        """The token that ends the list."""
        return self.n_symbols

    @property
    def blank(self) -> int:
        """The token that means nothing; the model may compute there."""
        return self.n_symbols + 1

    @property
    def pad(self) -> int:
        """Left padding (never attended to) and whatever follows the answer; never predicted.

        Above every other token, so that it sorts to the right.
        """
        return self.n_symbols + 2

    @property
    def d_vocab(self) -> int:
        """Tokens that can be read."""
        return self.pad + 1

    @property
    def d_vocab_out(self) -> int:
        """Tokens that can be predicted: all but PAD."""
        return self.pad

    def token_name(self, token: int) -> str:
        """For people: ``7``, ``SEP``, ``BLANK``."""
        return "BLANK" if token == self.blank else self.token_label(token)

    @property
    def token_names(self) -> list[str]:
        """Of all tokens that can be predicted."""
        return [self.token_name(token) for token in range(self.d_vocab_out)]

    @property
    def token_labels(self) -> list[str]:
        """Of all tokens that can be predicted."""
        return [self.token_label(token) for token in range(self.d_vocab_out)]

    def token_label(self, token: int) -> str:
        """As :meth:`token_name`, where there is little room: ``7``, ``SEP``, ``_``."""
        return {self.sep: "SEP", self.blank: "_", self.pad: "PAD"}.get(token, str(token))

    # -- layout ---------------------------------------------------------------------------------

    @property
    def sep_pos(self) -> int:
        """Position of SEP, and the number of input slots."""
        return self.max_len

    @property
    def first_output_row(self) -> int:
        """The position that emits the first output: the last blank, or SEP without blanks."""
        return self.max_len + self.n_blanks

    @property
    def n_ctx(self) -> int:
        """Positions of the full sequence: digits, SEP, blanks, answer."""
        return self.max_len + 1 + self.n_blanks + self.n_outputs()

    @property
    def n_target_rows(self) -> int:
        """Rows from SEP to the end; the published loss is a mean over all of them."""
        return self.n_ctx - self.sep_pos

    def region(self, region: Region, length: int | None = None) -> range:
        """Positions of a region, for lists of ``length`` digits (default: the longest).

        ``Region.PAD`` gives the left padding only, the part that precedes the list.
        """
        length = self._checked_length(length)
        blanks = range(self.sep_pos + 1, self.first_output_row + 1)
        return {
            Region.PAD: range(self.max_len - length),
            Region.DIGITS: range(self.max_len - length, self.max_len),
            Region.SEP: range(self.sep_pos, self.sep_pos + 1),
            Region.BLANKS: blanks[:-1],
            Region.LAST_BLANK: blanks[-1:],
            Region.OUTPUTS: self.output_rows(length)[1:],
        }[region]

    def output_rows(self, length: int | None = None) -> range:
        """The positions that emit the answer's tokens 0, 1, ... for lists of ``length`` digits."""
        n_outputs = self.n_outputs(self._checked_length(length))
        return range(self.first_output_row, self.first_output_row + n_outputs)

    def region_of(self, position: int, length: int | None = None) -> Region:
        """The region that a position belongs to (``PAD`` for both paddings)."""
        for region in Region:
            if region is not Region.PAD and position in self.region(region, length):
                return region
        return Region.PAD

    def labels(self, length: int | None = None) -> list[str]:
        """A human label for every position: ``in 7``, ``SEP``, ``blank 3``, ``out 12``, ``pad``.

        All count from 0: ``in i`` is the i-th digit of the list, ``out i`` holds the
        answer's token i.
        """
        length = self._checked_length(length)
        start, n_outputs = self.max_len - length, self.n_outputs(length)
        return (
            ["pad"] * start
            + [f"in {i}" for i in range(length)]
            + ["SEP"]
            + [f"blank {i}" for i in range(self.n_blanks)]
            + [f"out {i}" for i in range(n_outputs)]
            + ["pad"] * (self.n_outputs() - n_outputs)
        )

    def position_ids(self, device: torch.device | str = "cpu") -> Int[torch.Tensor, " pos"]:
        """The position that each place is told it has: its own, plus ``pos_offset`` after SEP."""
        positions = torch.arange(self.n_ctx, device=device)
        return positions + self.pos_offset * (positions > self.sep_pos)

    def _checked_length(self, length: int | None) -> int:
        length = self.max_len if length is None else length
        if not 0 < length <= self.max_len:
            raise UserError(f"a list has {self.lengths_words} here, not {length}")
        return length

    @property
    def lengths(self) -> range:
        """The lengths that a list may have."""
        return range(self.min_len, self.max_len + 1)

    @property
    def lengths_words(self) -> str:
        """For people: ``1 to 48 digits``."""
        least = "" if self.min_len == self.max_len else f"{self.min_len} to "
        return f"{least}{self.max_len} {self.symbols.word}s"

    def of_length(self, length: int) -> str:
        """For people: ``9 digits``."""
        return f"{length} {self.symbols.word}s"

    @property
    def right_word(self) -> str:
        """For people, what stands in an answer: ``sorted digit``; of other tasks ``right bit``."""
        kind = "sorted" if self.rule == SORT else "right"
        return f"{kind} {self.symbols.word}"

    def right_at(self, place: str) -> str:
        """For people, one place of an answer: ``sorted[j]``; of other tasks ``answer[j]``."""
        return f"{'sorted' if self.rule == SORT else 'answer'}[{place}]"

    def nearest_length(self, length: int) -> int:
        """That length, or where lists are longer or shorter, the nearest that they have."""
        return max(self.min_len, min(length, self.max_len))

    @cached_property
    def prompt_len(self) -> int:
        """Tokens before the answer: what a decoder is given."""
        return self.first_output_row + 1
