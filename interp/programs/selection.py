"""Selection: the smallest digit of the list that is not out as often as it is there.

    list 2 1 1, out 1 2   a 1 is left: 1

Unlike copy and count it goes back for a digit that was left out.
"""

from __future__ import annotations

import torch
from jaxtyping import Int

from interp.programs import parts
from interp.programs.program import Program, Variable
from interp.task import N_DIGITS, PAD


def left(values: parts.Values, prefix: parts.Prefix) -> tuple[int, ...]:
    return tuple(max(0, values.count(d) - prefix.count(d)) for d in range(N_DIGITS))


def _left(
    values: Int[torch.Tensor, "n slot"], prefix: Int[torch.Tensor, "n place"]
) -> Int[torch.Tensor, "n digit"]:
    digits = torch.arange(N_DIGITS, device=values.device)
    listed, out = ((tokens[:, :, None] == digits).sum(1) for tokens in (values, prefix))
    return (listed - out).clamp(min=0)


def answer(left: tuple[int, ...]) -> int:
    return next((d for d, n in enumerate(left) if n), parts.NONE)


def _answer(left: Int[torch.Tensor, "n digit"]) -> Int[torch.Tensor, " n"]:
    digits = torch.arange(N_DIGITS, device=left.device).expand_as(left)
    found = digits.masked_fill(left == 0, PAD).amin(1)
    return torch.where(found < PAD, found, parts.NONE)


SELECTION = Program(
    name="selection",
    words="Say the smallest digit of the list that is not yet out as often as it is in the list.",
    inputs=parts.INPUTS,
    variables=(
        Variable(left, _left, "for every digit, the copies still to come"),
        Variable(answer, _answer, "the smallest digit with copies to come"),
    ),
)
