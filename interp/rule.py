"""What a task asks for, as a declaration: the rest (layout, tokens, training, analyses) follows.

    def answer(values):                     # the right answer to a list, as plain Python
        return [sum(values) % 2]

    RULE = Rule("parity", Symbols(2, "bit"), answer, "the parity of the list", outputs=one)

A list holds whole numbers below ``symbols.n``, and so does an answer. How long an answer is follows
from the list's length (``outputs``), or depends on the list (``ends``); then the answer ends with
SEP, which the model has to say, too. Free of torch until a batch is asked for.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from jaxtyping import Int

from interp.lists import Symbols
from interp.support.errors import UserError
from interp.support.lazy import lazy_import
from interp.support.strict_json import short

if TYPE_CHECKING:
    import torch
else:
    torch = lazy_import("torch")

Order = Literal["ascending", "descending"]
"""What the symbols of every right answer keep to, by which mistakes are told apart."""
_NAME = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")


def as_many(length: int) -> int:
    """As many symbols as the list has."""
    return length


def one(length: int) -> int:
    """A single symbol, whatever the list."""
    del length
    return 1


@dataclass(frozen=True, repr=False)
class Rule:
    """What is asked of a list, and how lists are drawn."""

    name: str
    """By which a checkpoint names it: lower-case letters, digits and hyphens."""
    symbols: Symbols
    """What a list and an answer may hold."""
    answer: Callable[[Sequence[int]], Sequence[int]]
    """The right answer to a list of at least one symbol."""
    words: str
    """The answer in a few words: ``the list in ascending order``."""
    outputs: Callable[[int], int] = as_many
    """The most symbols of an answer to a list of that length; never fewer for a longer list."""
    ends: bool = False
    """Whether answers to lists of one length differ in length. Each then ends with SEP."""
    batch: Callable[[Any, int], Any] | None = None
    """``answer`` of many lists at once, for speed: from right-aligned lists [list, slot], filled up
    with a number above every symbol, which is the second argument, to left-aligned answers
    [list, ``outputs`` of the longest], filled up with it, too."""
    draw: Callable[[Any, int, Any], Any] | None = None
    """Random lists: from their lengths [list], the number of slots and a ``torch.Generator`` to
    symbols [list, slot], right-aligned (slots before a list may hold anything). Default: every
    symbol uniform and independent."""
    order: Order | None = None
    """What right answers keep to, if anything."""
    vocabulary: str = ""
    """Of weights from elsewhere: their tokens in their order, like ``SEP,BLANK,PAD,0-9``. Default:
    the symbols, then SEP, BLANK and PAD."""
    verb: tuple[str, str] = ("answers", "answered")
    """What a model does to lists, and what is then done to them."""

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name):
            raise UserError(
                f"a rule's name is lower-case letters, digits and hyphens, not {short(self.name)}"
            )
        if self.symbols.n < 2:
            raise UserError(f"the rule {self.name} needs two symbols or more")

    def __repr__(self) -> str:
        return self.name

    def checked_answer(self, values: Sequence[int]) -> tuple[int, ...]:
        """``answer``, held against what the rule says of it.

        Raises:
            UserError: if it is too long, holds what is no symbol, or has not the length it states.
        """
        found, most = tuple(int(value) for value in self.answer(values)), self.outputs(len(values))
        shown = f"the rule {self.name} answers {short(list(values))} with {short(list(found))}"
        if any(not 0 <= value < self.symbols.n for value in found):
            raise UserError(f"{shown}, which holds what is no {self.symbols}")
        if len(found) > most or (not self.ends and len(found) < most):
            raise UserError(f"{shown}, where it says that an answer has {most} symbols")
        return found

    def answers(
        self, slots: Int[torch.Tensor, "batch slot"], pad: int
    ) -> Int[torch.Tensor, "batch output"]:
        """The answers to right-aligned lists; ``pad`` before these and after those."""
        if self.batch is not None:
            found: torch.Tensor = self.batch(slots, pad)
            return found
        answers = [
            self.checked_answer([value for value in row if value != pad]) for row in slots.tolist()
        ]
        found = torch.full((len(slots), self.outputs(slots.shape[1])), pad)
        for row, answer in zip(found, answers, strict=True):
            row[: len(answer)] = torch.tensor(answer, dtype=torch.long)
        return found.to(slots.device)
