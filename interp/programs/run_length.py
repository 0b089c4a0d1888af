"""Run length: as copy and count, but only the outputs since the digit last changed are counted.

list 1 1 1 2, out 1 2 1   the run of 1s is 1 long, the list has three: 1 again
"""

from __future__ import annotations

from itertools import takewhile

import torch
from jaxtyping import Bool, Int

from interp.programs import parts
from interp.programs.program import Program, Variable
from interp.task import PAD


def run(prefix: parts.Prefix, last: int) -> int:
    # The last output is in the run, also where ``last`` was set to another digit.
    earlier = takewhile(lambda digit: digit == last, reversed(prefix[:-1]))
    return len(list(earlier)) + 1 if prefix else 0


def _run(
    prefix: Int[torch.Tensor, "n place"], last: Int[torch.Tensor, " n"]
) -> Int[torch.Tensor, " n"]:
    n_out = (prefix != PAD).sum(1)
    place = torch.arange(prefix.shape[1], device=prefix.device)
    other = (prefix != last[:, None]) & (place < n_out[:, None] - 1)
    after = ((place + 1) * other).amax(1) if prefix.shape[1] else 0 * n_out
    return n_out - after


def stay(copies_in_list: int, run: int) -> bool:
    return run < copies_in_list


def _stay(
    copies_in_list: Int[torch.Tensor, " n"], run: Int[torch.Tensor, " n"]
) -> Bool[torch.Tensor, " n"]:
    return run < copies_in_list


RUN_LENGTH = Program(
    name="run-length",
    words="Say the last digit again until its run is as long as the list has copies of it, "
    "then the next larger digit of the list.",
    inputs=parts.INPUTS,
    variables=(
        parts.LAST,
        parts.COPIES_IN_LIST,
        Variable(run, _run, "length of the run of it that ends the outputs"),
        Variable(stay, _stay, "whether the run is shorter than that"),
        parts.LARGER,
        parts.STAY_OR_GO,
    ),
)
