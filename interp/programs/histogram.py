"""Histogram by position: the number of digits v whose cumulative count C(<=v) is out already.

    list 2 1 1, one out   C(<=0) = 0 and no other is at most 1: the digit 1

It says what *rank* says, always, and counts and sorted list fix each other: nothing done to a
model's variables tells the two apart, only where and how it works out its answer does.
"""

from __future__ import annotations

import torch
from jaxtyping import Int

from interp.programs import parts
from interp.programs.program import Program, Variable
from interp.task import N_DIGITS


def answer(counts: tuple[int, ...], position: int) -> int:
    used_up = sum(count <= position for count in counts)
    return used_up if used_up < N_DIGITS else parts.NONE


def _answer(
    counts: Int[torch.Tensor, "n digit"], position: Int[torch.Tensor, " n"]
) -> Int[torch.Tensor, " n"]:
    used_up = (counts <= position[:, None]).sum(1)
    return torch.where(used_up < N_DIGITS, used_up, parts.NONE)


HISTOGRAM = Program(
    name="histogram",
    words="Count, for every digit, how many of the list are at most that; say the smallest digit "
    "whose count is above the number of outputs so far.",
    inputs=parts.INPUTS,
    variables=(
        parts.POSITION,
        parts.COUNTS,
        Variable(answer, _answer, "digits whose count is not above the position"),
    ),
)
