"""What a task asks for, as a declaration: the rest (layout, tokens, training, analyses) follows.

    def answer(values):                     # the right answer to a list, as plain Python
        return [sum(values) % 2]

    RULE = Rule("parity", Symbols(2, "bit"), answer, "the parity of the list", outputs=one)

A list holds whole numbers below ``symbols.n``, and so does an answer. How long an answer is follows
from the list's length (``outputs``), or depends on the list (``ends``); then the answer ends with
SEP, which the model has to say, too. Free of torch until a batch is asked for.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, get_args

from jaxtyping import Int

from interp.lists import Symbols
from interp.support.errors import UserError
from interp.support.fields import check_types
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
    thoughts: tuple[Callable[[Sequence[int]], Sequence[int]], ...] = ()
    """What blanks could hold on the way to the answer to a list: a symbol for each of the first
    blanks, as many for every list. Training may teach it (``--thought-steps``); of several
    functions one after the other, what is easier first."""
    order: Order | None = None
    """What right answers keep to, if anything."""
    vocabulary: str = ""
    """Of weights from elsewhere: their tokens in their order, like ``SEP,BLANK,PAD,0-9``. Default:
    the symbols, then SEP, BLANK and PAD."""
    verb: tuple[str, str] = ("answers", "answered")
    """What a model does to lists, and what is then done to them."""

    def __post_init__(self) -> None:
        check_types(self)
        if not _NAME.fullmatch(self.name):
            raise UserError(
                f"a rule's name is lower-case letters, digits and hyphens, not {short(self.name)}"
            )
        if self.symbols.n < 2:
            raise UserError(f"the rule {self.name} needs two symbols or more")
        for field in ("answer", "outputs", "batch", "draw"):
            value = getattr(self, field)
            if not (callable(value) or (value is None and field in ("batch", "draw"))):
                raise UserError(f"{field} cannot be {short(value)}: it must be a function")
        if not (type(self.thoughts) is tuple and all(map(callable, self.thoughts))):
            raise UserError(f"thoughts cannot be {short(self.thoughts)}: functions, in a tuple")
        if self.order not in (None, *get_args(Order)):
            raise UserError(
                f"order cannot be {short(self.order)}: it is {' or '.join(get_args(Order))}"
            )
        if not (type(self.verb) is tuple and [*map(type, self.verb)] == [str, str]):
            raise UserError(f"verb cannot be {short(self.verb)}: it is two words, in a tuple")

    def __repr__(self) -> str:
        return self.name

    def most(self, length: int) -> int:
        """The most symbols of an answer to a list of that length.

        Raises:
            UserError: if ``outputs`` fails, or returns what is no number of symbols.
        """
        found = self._run(f"outputs of {length}", self.outputs, length)
        if type(found) is not int or found < 0:
            raise UserError(
                f"the rule {self.name} says that answers to lists of {length} have {short(found)} "
                "symbols, which is no number of them"
            )
        return found

    def checked_answer(self, values: Sequence[int]) -> tuple[int, ...]:
        """``answer``, held against what the rule says of it.

        Raises:
            UserError: if it fails, is too long, holds what is no symbol, or has not the length it
                states.
        """
        found, most = self._answered(values, "answer", self.answer), self.most(len(values))
        shown = f"the rule {self.name} answers {short(list(values))} with {short(list(found))}"
        if any(not 0 <= value < self.symbols.n for value in found):
            raise UserError(f"{shown}, which holds what is no {self.symbols}")
        if len(found) > most or (not self.ends and len(found) < most):
            raise UserError(f"{shown}, where it says that an answer has {most} symbols")
        return found

    def checked_thought(self, lesson: int, values: Sequence[int]) -> tuple[int, ...]:
        """What a function of ``thoughts`` says of a list, held against what the rule says of it.

        Raises:
            UserError: if it fails, or returns what are no symbols.
        """
        found = self._answered(values, f"thought {lesson}", self.thoughts[lesson])
        if not found or any(not 0 <= value < self.symbols.n for value in found):
            raise UserError(
                f"the rule {self.name}: its thought {lesson} to {short(list(values))} is "
                f"{short(list(found))}, where each is a {self.symbols}"
            )
        return found

    @property
    def n_thoughts(self) -> int:
        """For how many blanks it says what they could hold.

        Raises:
            UserError: if it says nothing of them.
        """
        if not self.thoughts:
            raise UserError(
                f"the task {self.name} does not say what blanks could hold: its rule has no "
                "thoughts"
            )
        return len(self.checked_thought(0, [0]))

    def _answered(
        self,
        values: Sequence[int],
        what: str,
        function: Callable[[Sequence[int]], Sequence[int]],
    ) -> tuple[int, ...]:
        """What a function returns for a list of its own, which it may use up."""
        said = self._run(f"{what} to {short(list(values))}", function, list(values))
        unordered = isinstance(said, str | bytes | Set | Mapping)
        try:
            return tuple(map(operator.index, said if not unordered else [said]))
        except TypeError:
            raise UserError(
                f"the rule {self.name}: its {what} to {short(list(values))} is {short(said)}, "
                "which is no list of whole numbers"
            ) from None

    def _run(self, what: str, function: Callable[..., Any], *args: Any) -> Any:
        """A function of a file of one's own; how it fails is said in one line."""
        try:
            found = function(*args)
            return list(found) if isinstance(found, Iterator) else found
        except (Exception, SystemExit) as error:
            raise UserError(
                f"the rule {self.name} fails in its {what}: {type(error).__name__}: {error}"
            ) from None

    def _checked(self, what: str, found: Any, shape: tuple[int, int]) -> torch.Tensor:
        """A tensor of whole numbers that a function of the rule returned.

        Raises:
            UserError: if it is none, or of another shape.
        """
        whole = (torch.int64, torch.int32, torch.int16, torch.int8, torch.uint8)
        if not isinstance(found, torch.Tensor) or found.dtype not in whole:
            kind = getattr(found, "dtype", type(found).__name__)
            raise UserError(f"the rule {self.name}: {what} is no tensor of whole numbers: {kind}")
        if found.shape != shape:
            raise UserError(
                f"the rule {self.name}: {what} has the shape {tuple(found.shape)}, not {shape}"
            )
        return found.long()

    def drawn(
        self, lengths: Int[torch.Tensor, " batch"], n_slots: int, generator: Any
    ) -> Int[torch.Tensor, "batch slot"]:
        """What ``draw`` returns, held against what it should be.

        Raises:
            UserError: if it fails, or there is a list in it that holds what is no symbol.
        """
        assert self.draw is not None  # who asks has looked
        found = self._run("draw", self.draw, lengths, n_slots, generator)
        found = self._checked("draw", found, (len(lengths), n_slots))
        slots = torch.arange(n_slots, device=found.device)
        listed = found[slots >= n_slots - lengths[:, None]]
        if bool(((listed < 0) | (listed >= self.symbols.n)).any()):
            raise UserError(f"the rule {self.name} draws a list with what is no {self.symbols}")
        return found

    def answers(
        self, slots: Int[torch.Tensor, "batch slot"], pad: int
    ) -> Int[torch.Tensor, "batch output"]:
        """The answers to right-aligned lists; ``pad`` before these and after those."""
        if self.batch is not None:
            shape = len(slots), self.most(slots.shape[1])
            return self._checked("batch", self._run("batch", self.batch, slots, pad), shape)
        answers = [
            self.checked_answer([value for value in row if value != pad]) for row in slots.tolist()
        ]
        found = torch.full((len(slots), self.most(slots.shape[1])), pad)
        for row, answer in zip(found, answers, strict=True):
            row[: len(answer)] = torch.tensor(answer, dtype=torch.long)
        return found.to(slots.device)
