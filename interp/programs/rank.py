"""Rank: the digit of the sorted list whose turn it is; what was said before plays no part.

list 2 1 1, out 5 5   two outputs are out: sorted[2] = 2
"""

from __future__ import annotations

import torch
from jaxtyping import Int

from interp.programs import parts
from interp.programs.program import Program, Variable
from interp.task import PAD


def in_order(values: parts.Values) -> tuple[int, ...]:
    return tuple(sorted(values))


def _in_order(values: Int[torch.Tensor, "n slot"]) -> Int[torch.Tensor, "n slot"]:
    return values.sort(1).values  # PAD is above every digit, so it sorts to the right


def answer(in_order: tuple[int, ...], position: int) -> int:
    return in_order[position] if position < len(in_order) else parts.NONE


def _answer(
    in_order: Int[torch.Tensor, "n slot"], position: Int[torch.Tensor, " n"]
) -> Int[torch.Tensor, " n"]:
    found = in_order.gather(1, position.clamp(max=in_order.shape[1] - 1)[:, None])[:, 0]
    return torch.where((position < in_order.shape[1]) & (found != PAD), found, parts.NONE)


RANK = Program(
    name="rank",
    words="Say the digit whose turn it is: the sorted list's, at the number of outputs so far.",
    inputs=parts.INPUTS,
    variables=(
        parts.POSITION,
        Variable(in_order, _in_order, "the sorted list"),
        Variable(answer, _answer, "its digit at that position"),
    ),
)
