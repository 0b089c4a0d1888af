"""Rank with the last digit: stay at d while fewer outputs are out than the list has digits <= d.

list 2 1 1, out 1     the list has two digits <= 1, one output is out: 1 again
list 2 1 1, out 1 1   two are out: the next larger digit, 2
"""

from __future__ import annotations

import torch
from jaxtyping import Bool, Int

from interp.programs import parts
from interp.programs.program import Program, Variable
from interp.task import N_DIGITS


def reach(counts: tuple[int, ...], last: int) -> int:
    return counts[last] if last != parts.NONE else 0


def _reach(
    counts: Int[torch.Tensor, "n digit"], last: Int[torch.Tensor, " n"]
) -> Int[torch.Tensor, " n"]:
    found = counts.gather(1, last.clamp(min=0)[:, None])[:, 0]
    return torch.where(last != parts.NONE, found, 0)


def stay(position: int, reach: int) -> bool:
    return position < reach


def _stay(
    position: Int[torch.Tensor, " n"], reach: Int[torch.Tensor, " n"]
) -> Bool[torch.Tensor, " n"]:
    return position < reach


def larger(counts: tuple[int, ...], last: int) -> int:
    below = (0, *counts)
    present = (d for d in range(last + 1, N_DIGITS) if counts[d] > below[d])
    return next(present, parts.NONE)


def _larger(
    counts: Int[torch.Tensor, "n digit"], last: Int[torch.Tensor, " n"]
) -> Int[torch.Tensor, " n"]:
    digits = torch.arange(N_DIGITS, device=counts.device)
    present = counts.diff(dim=1, prepend=counts.new_zeros(len(counts), 1)) > 0
    found = torch.where(present & (digits > last[:, None]), digits, N_DIGITS).amin(1)
    return torch.where(found < N_DIGITS, found, parts.NONE)


RANK_WITH_LAST = Program(
    name="rank-with-last",
    words="Say the last digit again while fewer outputs are out than the list has digits up to it, "
    "then the next larger digit of the list.",
    inputs=parts.INPUTS,
    variables=(
        parts.POSITION,
        parts.LAST,
        parts.COUNTS,
        Variable(reach, _reach, "digits of the list up to the last output"),
        Variable(stay, _stay, "whether fewer outputs than that are out"),
        Variable(larger, _larger, "the next larger digit that is counted"),
        parts.STAY_OR_GO,
    ),
)
