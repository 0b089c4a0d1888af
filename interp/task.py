"""A task: answer a list, by a rule, with meaningless BLANK tokens before the answer.

The rule of the published experiment, and the default, is to sort digits. With a maximum length of
4 and 5 blanks, the list 3,1,1 is the 14 tokens

    position   0    1 2 3   4    5  6  7  8  9    10 11 12  13
    token      PAD  3 1 1   SEP  _  _  _  _  _    1  1  3   PAD
    region     pad  digits  sep  blanks      last outputs   pad

Digits are right-aligned before SEP. Position p predicts the token at p + 1: SEP and the blanks
but the last must predict BLANK, and the *first output row* (the last blank, or SEP where there
are no blanks) emits the first token of the answer. The last one is never needed as an input. Where
a rule's answers to lists of one length differ in length, SEP ends them: of ``unique`` the answer
above is 1 3 SEP. The published experiment is ``SortTask()``: 48 digits, 49 blanks, 146 positions.

Shape glossary, here and everywhere: ``batch`` lists, ``pos`` positions of the full sequence,
``row`` a run of positions that emit something, ``head query key`` of an attention pattern.

:mod:`interp.layout` is the one place that knows the vocabulary and the layout, :mod:`interp.rules`
the one that knows right answers. All three import torch only when a tensor is asked for, so command
lines can read them at no cost.
"""

from __future__ import annotations

import operator
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from jaxtyping import Bool, Int

from interp import lists
from interp.layout import Layout, Region
from interp.lists import DIGITS
from interp.rule_trial import try_answers
from interp.rules import SORT, rule_named
from interp.support.errors import UserError
from interp.support.fields import checked
from interp.support.lazy import lazy_import
from interp.support.seeds import stream
from interp.support.strict_json import short

if TYPE_CHECKING:
    import torch
else:
    torch = lazy_import("torch")

__all__ = [
    "BLANK",
    "NO_LISTS",
    "N_DIGITS",
    "PAD",
    "SEP",
    "Region",  # of interp.layout: whoever has a task may want to name its regions
    "SortBatch",
    "SortTask",
    "Task",
    "spaced",
    "typed",
]

N_DIGITS = DIGITS.n
_PUBLISHED = Layout()
SEP, BLANK, PAD = _PUBLISHED.sep, _PUBLISHED.blank, _PUBLISHED.pad
"""Tokens of a task on ten digits, as the published one; of any task ``task.sep`` and so on."""
_TRIED = 64  # lists, of a rule that is looked at before anything is built on it
_PI = (3, 1, 4, 1, 5, 9, 2, 6, 5, 3)
NO_LISTS = "there are no lists: give at least one"


def _check_count(n_lists: int) -> None:
    """Raises UserError for what is no number of lists."""
    try:
        number = operator.index(n_lists)  # NumPy's whole numbers are some, too
    except TypeError:
        number = None
    if number is None or isinstance(n_lists, bool):
        raise UserError(f"{short(n_lists)} is no number of lists")
    if number < 1:
        raise UserError(NO_LISTS)


def typed(values: Sequence[int]) -> str:
    """``3,1,4``: a list as :meth:`SortTask.parse` takes it."""
    return ",".join(map(str, values))


def spaced(values: Sequence[int]) -> str:
    """``3 1 4``: a list for people to read."""
    return " ".join(map(str, values))


@dataclass(frozen=True)
class SortBatch:
    """Encoded lists. ``tokens`` is the full sequence with its answer, ``lengths`` counts digits."""

    tokens: Int[torch.Tensor, "batch pos"]
    lengths: Int[torch.Tensor, " batch"]

    def __len__(self) -> int:
        return len(self.lengths)

    @property
    def longest(self) -> int:
        """Digits of the longest list. An empty batch has none: ``UserError``."""
        if not len(self):
            raise UserError(NO_LISTS)
        return int(self.lengths.max())

    def __getitem__(self, index: slice | Int[torch.Tensor, " some"]) -> SortBatch:
        return SortBatch(self.tokens[index], self.lengths[index])

    def to(self, device: torch.device | str) -> SortBatch:
        return SortBatch(self.tokens.to(device), self.lengths.to(device))


@dataclass(frozen=True)
class Task(Layout):
    """A layout and what is done with lists in it: answers, encoding, sampling, what is scored."""

    # -- what is asked --------------------------------------------------------------------------

    def answer(self, values: Sequence[int]) -> tuple[int, ...]:
        """The right answer to a list, in tokens: with the SEP that ends it, if one does."""
        return (*self.rule.checked_answer(values), *((self.sep,) if self.rule.ends else ()))

    def answers(self, slots: Int[torch.Tensor, "batch slot"]) -> Int[torch.Tensor, "batch output"]:
        """As :meth:`answer`, of right-aligned lists; ``pad`` before these and after answers."""
        found = self.rule.answers(slots, self.pad)
        if not self.rule.ends:
            return found
        found = torch.nn.functional.pad(found, (0, 1), value=self.pad)
        ends = (found != self.pad).sum(1, keepdim=True)
        return found.scatter(1, ends, self.sep)

    @property
    def example(self) -> tuple[int, ...]:
        """A list to begin with, where none is chosen: of pi's first digits, as many as fit."""
        digits = _PI * -(-self.min_len // len(_PI))
        return tuple(digit % self.n_symbols for digit in digits)[: self.max_len]

    # -- lists to tokens ------------------------------------------------------------------------

    def parse(self, text: str) -> tuple[int, ...]:
        """A list typed by a person: ``3,1,4``, ``3 1 4`` or ``314``; else ``UserError``."""
        return lists.parse(text, self.symbols, self.max_len, self.min_len)

    def given(self, text: str) -> list[tuple[int, ...]]:
        """Lists given on a command line: one that is typed, or a file of them; else ``UserError``.

        Not for what visitors of a page type: it opens files.
        """
        return lists.given(text, self.symbols, self.max_len, self.min_len)

    def given_one(self, text: str) -> tuple[int, ...]:
        """As :meth:`given`, where there must be one list only."""
        return lists.given_one(text, self.symbols, self.max_len, self.min_len)

    def checked_list(self, values: Any) -> tuple[int, ...]:
        """``values`` as a tuple, if they are a list that this task takes; else ``UserError``."""
        return lists.checked(values, self.symbols, self.max_len, self.min_len)

    def encode(self, many: Any) -> SortBatch:
        """Given lists, of any lengths, with their answers.

        Args:
            many: lists, each a sequence of whole numbers, or an array or tensor of one axis; rows
                of an array or tensor are lists, too.

        Raises:
            UserError: if there is none, or one is empty, too long, or holds what is no digit.
        """
        if isinstance(many, str | bytes) or not isinstance(many, Iterable):
            raise UserError(f"{type(many).__name__} is no batch of lists like [[3, 1, 4], [2, 2]]")
        checked = [self.checked_list(values) for values in many]
        digits = torch.zeros(len(checked), self.max_len, dtype=torch.long)
        for row, values in zip(digits, checked, strict=True):
            row[self.max_len - len(values) :] = torch.tensor(values)
        return self._assemble(digits, torch.tensor([len(v) for v in checked], dtype=torch.long))

    def decode_list(self, tokens: Int[torch.Tensor, " pos"]) -> tuple[int, ...]:
        """The list that a sequence of tokens is about."""
        slots = tokens[: self.max_len]
        return tuple(slots[slots != self.pad].tolist())

    def sample(
        self,
        n_lists: int,
        generator: torch.Generator | None = None,
        lengths: Int[torch.Tensor, " batch"] | None = None,
        device: torch.device | str = "cpu",
    ) -> SortBatch:
        """Random lists: length uniform in min_len..max_len (or as given), digits as the rule
        draws them: uniform and independent, if it says nothing else.

        ``generator`` must live on ``device``.

        Raises:
            UserError: for fewer than one list, or lengths that do not fit.
        """
        _check_count(n_lists)
        if lengths is not None:
            self._check_lengths(lengths, n_lists)
        else:
            lengths = torch.randint(
                self.min_len, self.max_len + 1, (n_lists,), generator=generator, device=device
            )
        lengths = lengths.to(device)
        if self.rule.draw is not None:
            return self._assemble(self.rule.drawn(lengths, self.max_len, generator), lengths)
        digits = torch.randint(
            0, self.n_symbols, (n_lists, self.max_len), generator=generator, device=device
        )
        return self._assemble(digits, lengths)

    def _check_lengths(self, lengths: torch.Tensor, n_lists: int) -> None:
        whole = not (lengths.is_floating_point() or lengths.dtype is torch.bool)
        if not whole or lengths.shape != (n_lists,):
            raise UserError(f"lengths are {n_lists} whole numbers, one for each list")
        if not 1 <= int(lengths.min()) <= int(lengths.max()) <= self.max_len:
            raise UserError(f"lengths of lists are 1 to {self.max_len} here")

    def held_out(self, n_lists: int, seed: int = 0, distinct: int | None = None) -> SortBatch:
        """The fixed test set: lengths 1, 2, ..., max_len, 1, 2, ... in turn, made from the seed.

        Stratified by length, so every one of ``lengths`` has as many lists, give or take one. Its
        random stream is not that of any training seed. Short lists are still bound to occur in
        training too (there are only 10 of length 1).

        Args:
            distinct: draw every list from this many symbols, chosen anew for each (None: from all
                of them). Such lists are unlike those of training: one digit 40 times never occurs
                there.
        """
        n = self.n_symbols
        distinct = n if distinct is None else distinct
        if not 1 <= distinct <= n:
            raise UserError(f"distinct {self.symbols.word}s must be 1 to {n}, not {distinct}")
        _check_count(n_lists)
        generator = stream("held-out", seed)
        lengths = torch.arange(n_lists) % len(self.lengths) + self.min_len
        if distinct == n:
            return self.sample(n_lists, generator, lengths)
        chosen = torch.rand(n_lists, n, generator=generator).argsort(1)
        drawn = torch.randint(0, distinct, (n_lists, self.max_len), generator=generator)
        return self._assemble(chosen.gather(1, drawn), lengths)

    def _assemble(
        self, digits: Int[torch.Tensor, "batch slot"], lengths: Int[torch.Tensor, " batch"]
    ) -> SortBatch:
        """Right-aligned digits (slots before the list hold anything) to full sequences."""
        n_lists, device = len(digits), digits.device
        if not n_lists:
            raise UserError(NO_LISTS)
        slots = torch.arange(self.max_len, device=device)
        listed = slots >= self.max_len - lengths[:, None]
        digits = torch.where(listed, digits, self.pad)
        sep = torch.full((n_lists, 1), self.sep, device=device)
        blanks = torch.full((n_lists, self.n_blanks), self.blank, device=device)
        return SortBatch(torch.cat([digits, sep, blanks, self.answers(digits)], dim=1), lengths)

    def try_rule(self) -> None:
        """Whether the rule's lists follow from the generator that draws them, and whether its
        ``batch`` says of them what its ``answer`` says.

        Raises:
            UserError: saying what is wrong, and for which list.
        """
        one, two = (
            self.sample(_TRIED, torch.Generator().manual_seed(0)).tokens[:, : self.max_len]
            for _ in range(2)
        )
        if not torch.equal(one, two):
            raise UserError(
                f"the rule {self.rule} draws other lists from the same generator: draw must take "
                "all its chance from it"
            )
        for lesson in range(len(self.rule.thoughts)):
            self.thoughts(one, lesson)
        lists = [self.decode_list(slots) for slots in one]
        plain, many = try_answers(self.rule, lists), self.rule.answers(one, self.pad).tolist()
        for values, answer, row in zip(lists, plain, many, strict=True):
            if row != [*answer, *[self.pad] * (len(row) - len(answer))]:
                raise UserError(
                    f"the rule {self.rule} answers {short(list(values))} with "
                    f"{short(list(answer))}, and its batch with {short(row)}"
                )

    def thoughts(
        self, slots: Int[torch.Tensor, "batch slot"], lesson: int
    ) -> Int[torch.Tensor, "batch thought"]:
        """What the rule says that the first blanks could hold, of right-aligned lists.

        Args:
            lesson: the number of the function in ``Rule.thoughts``.

        Raises:
            UserError: if it says something of another number of blanks for some list.
        """
        lists = [[value for value in row if value != self.pad] for row in slots.tolist()]
        found = [self.rule.checked_thought(lesson, values) for values in lists]
        if {len(thought) for thought in found} != {self.rule.n_thoughts}:
            raise UserError(f"the rule {self.rule} has more thoughts of some lists than of others")
        return torch.tensor(found, device=slots.device)

    # -- what is scored -------------------------------------------------------------------------

    def targets(self, tokens: Int[torch.Tensor, "batch pos"]) -> Int[torch.Tensor, "batch pos"]:
        """What each position should predict: the token after it (PAD where there is none)."""
        return torch.nn.functional.pad(tokens[:, 1:], (0, 1), value=self.pad)

    def scored(self, tokens: Int[torch.Tensor, "batch pos"]) -> Bool[torch.Tensor, "batch pos"]:
        """Positions in the loss: from SEP on, those with something to predict, blanks included."""
        positions = torch.arange(self.n_ctx, device=tokens.device)
        return (positions >= self.sep_pos) & (self.targets(tokens) != self.pad)

    def scored_digits(
        self, tokens: Int[torch.Tensor, "batch pos"]
    ) -> Bool[torch.Tensor, "batch pos"]:
        """Positions that emit the answer; a list is exact when all of these are right."""
        positions = torch.arange(self.n_ctx, device=tokens.device)
        return (positions >= self.first_output_row) & (self.targets(tokens) != self.pad)

    # -- as JSON --------------------------------------------------------------------------------

    def to_dict(self) -> dict[str, Any]:
        """As JSON holds it. To sort is left out, and so are lists of any length: hashes of models
        are taken over this, and must stay those of the time before there were others."""
        found = {name: getattr(self, name) for name in ("max_len", "n_blanks", "pos_offset")}
        if self.rule != SORT:
            found["rule"] = self.rule.name
        return found if self.min_len == 1 else {**found, "min_len": self.min_len}

    @classmethod
    def from_dict(cls, data: Any) -> Task:
        """The inverse of ``to_dict``; unknown keys are errors, missing ones take the default."""
        if isinstance(data, Mapping) and "rule" in data:
            data = {**data, "rule": rule_named(str(data["rule"]))}
        return cls(**checked(cls, data, "task"))


SortTask = Task
"""``SortTask()`` is the published one: to sort is what a task asks that says nothing else."""
