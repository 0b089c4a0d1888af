"""Sets the number of a head after one prefix."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby
from typing import Any

import torch

from analyses.one_list.dial import DialSettings
from analyses.one_list.dial.figure import dial_figure
from analyses.one_list.dial.result import Dialled
from analyses.one_list.programs.body import parse_prefix
from analyses.one_list.subject import ListSubject, Shown, figure, rows, summary, to_json
from interp.methods.dial import NUMBERS, Dial, dial_of, equality, scores, turned
from interp.methods.interchange import record
from interp.programs.prompts import Prompts
from interp.support.errors import UserError
from interp.support.progress import Progress
from interp.transformer import Transformer

__all__ = ["compute", "figure", "rows", "summary", "to_json"]  # see analyses.experiment


def compute(subject: ListSubject, settings: DialSettings, seed: int, progress: Progress) -> Shown:
    """Every number.

    Raises:
        UserError: where something is done to the model, for a head that has no such number, and for
            a prefix that is empty or too long.
    """
    found = dialled(subject, settings)
    return Shown(dial_figure(found), table(found), words(found))


def dialled(subject: ListSubject, settings: DialSettings) -> Dialled:
    """As :func:`compute`."""
    model, digits = subject.model, subject.digits
    if subject.treatment:
        raise UserError("a head's number is set in a model to which nothing else is done (--do)")
    if len(digits) < 2:
        raise UserError("after an output, something is to come in lists of at least 2 digits only")
    if not (prefix := parse_prefix(model.task, digits, settings.prefix)):
        raise UserError("the number is of copies of the last output: give at least one (--prefix)")
    dial = _dial(model, settings.head)
    one = record(model, Prompts((digits,), (prefix,)))
    logits = turned(model, one.pick(torch.zeros(len(NUMBERS), dtype=torch.long)), dial, NUMBERS)
    both = torch.cat([one.logits, logits]).softmax(-1).cpu()
    return Dialled(dial.head, prefix, float(dial.read(one)[0]), both[0], NUMBERS, both[1:])


def _dial(model: Transformer, head: int | None) -> Dial:
    n = model.cfg.n_heads
    if head is None:
        head = max(range(n), key=lambda each: _looks_for_equal(model, each))
    if head >= n:
        raise UserError(f"--head must be from 0 to {n - 1}, not {head}")
    if (dial := dial_of(model, head)) is None:
        raise UserError(
            f"head 0.{head} of this model writes the same for a digit in the list and among the "
            "outputs: there is no number to set"
        )
    return dial


@torch.no_grad()
def _looks_for_equal(model: Transformer, head: int) -> float:
    """By how much a head prefers equal digits of the list."""
    return float(equality(next(scores(model, head)).mean((2, 3)).cpu()))


def words(found: Dialled) -> list[str]:
    """The number that there is, and from where to where which digit is said."""
    after = " ".join(map(str, found.prefix))
    said = "; ".join(
        f"{low:+.2f} to {high:+.2f}: {token}" if low != high else f"{low:+.2f}: {token}"
        for token, low, high in _spans(found)
    )
    return [
        f"After {after} the number of head 0.{found.head} is {found.own:+.2f}, and the model says "
        f"{found.said} (probability {float(found.as_it_is.max()):.4f}).",
        f"Set to another number it says, from {said}.",
    ]


def _spans(found: Dialled) -> Iterator[tuple[int, float, float]]:
    """Tokens, each with the first and the last number that it is said at."""
    numbers = found.numbers.tolist()
    said = found.probabilities.argmax(-1).tolist()
    for token, group in groupby(zip(said, numbers, strict=True), key=lambda pair: pair[0]):
        held = [number for _, number in group]
        yield token, held[0], held[-1]


def table(found: Dialled) -> list[dict[str, Any]]:
    """A row for each number and token."""
    return [
        {"number": round(number, 4), "token": token, "probability": probability}
        for number, row in zip(found.numbers.tolist(), found.probabilities.tolist(), strict=True)
        for token, probability in enumerate(row)
    ]
