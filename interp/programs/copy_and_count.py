"""Copy and count: say the last digit again until it is out as often as it is in the list.

    list 2 1 1, out 1     1 is out once and in the list twice: 1 again
    list 2 1 1, out 1 1   used up: the next larger digit, 2

Position plays no part, and of the outputs only those equal to the last one do.
"""

from __future__ import annotations

import torch
from jaxtyping import Bool, Int

from interp.programs import parts
from interp.programs.program import Program, Variable


def stay(copies_in_list: int, copies_out: int) -> bool:
    return copies_out < copies_in_list


def _stay(
    copies_in_list: Int[torch.Tensor, " n"], copies_out: Int[torch.Tensor, " n"]
) -> Bool[torch.Tensor, " n"]:
    return copies_out < copies_in_list


COPY_AND_COUNT = Program(
    name="copy-and-count",
    words="Say the last digit again until it is out as often as it is in the list, "
    "then the next larger digit of the list.",
    inputs=parts.INPUTS,
    variables=(
        parts.LAST,
        parts.COPIES_IN_LIST,
        parts.COPIES_OUT,
        Variable(stay, _stay, "whether copies are still to come"),
        parts.LARGER,
        parts.STAY_OR_GO,
    ),
)
