"""What several sorting programs compute: from the list and the outputs so far, to a digit.

Inputs are ``values``, the list, and ``prefix``, the outputs so far, right or wrong. ``NONE`` stands
for a digit that is not there: the last one of an empty prefix, the next larger one above the
largest. In batches both inputs are padded with PAD: ``values`` on either side, ``prefix`` behind.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Bool, Int

from interp.programs.program import Variable
from interp.task import N_DIGITS, PAD

NONE = -1
INPUTS = ("values", "prefix")

Values = Sequence[int]
"""The list."""
Prefix = Sequence[int]
"""The outputs so far."""


def position(prefix: Prefix) -> int:
    return len(prefix)


def _position(prefix: Int[torch.Tensor, "n place"]) -> Int[torch.Tensor, " n"]:
    return (prefix != PAD).sum(1)


def last(prefix: Prefix) -> int:
    return prefix[-1] if prefix else NONE


def _last(prefix: Int[torch.Tensor, "n place"]) -> Int[torch.Tensor, " n"]:
    n_out = _position(prefix)
    if not prefix.shape[1]:
        return n_out + NONE
    found = prefix.gather(1, (n_out - 1).clamp(min=0)[:, None])[:, 0]
    return torch.where(n_out > 0, found, NONE)


def copies_in_list(values: Values, last: int) -> int:
    return values.count(last)


def _copies_in_list(
    values: Int[torch.Tensor, "n slot"], last: Int[torch.Tensor, " n"]
) -> Int[torch.Tensor, " n"]:
    return (values == last[:, None]).sum(1)


def copies_out(prefix: Prefix, last: int) -> int:
    # The last output is a copy of itself, also where ``last`` was set to another digit.
    return prefix[:-1].count(last) + 1 if prefix else 0


def _copies_out(
    prefix: Int[torch.Tensor, "n place"], last: Int[torch.Tensor, " n"]
) -> Int[torch.Tensor, " n"]:
    n_out = _position(prefix)
    earlier = torch.arange(prefix.shape[1], device=prefix.device) < n_out[:, None] - 1
    found = ((prefix == last[:, None]) & earlier).sum(1) + 1
    return torch.where(n_out > 0, found, 0)


def larger(values: Values, last: int) -> int:
    return min((v for v in values if v > last), default=NONE)


def _larger(
    values: Int[torch.Tensor, "n slot"], last: Int[torch.Tensor, " n"]
) -> Int[torch.Tensor, " n"]:
    above = values.masked_fill(values <= last[:, None], PAD).amin(1)
    return torch.where(above < PAD, above, NONE)


def answer(last: int, stay: bool, larger: int) -> int:
    return last if stay else larger


def _answer(
    last: Int[torch.Tensor, " n"], stay: Bool[torch.Tensor, " n"], larger: Int[torch.Tensor, " n"]
) -> Int[torch.Tensor, " n"]:
    return torch.where(stay, last, larger)


def counts(values: Values) -> tuple[int, ...]:
    return tuple(sum(v <= d for v in values) for d in range(N_DIGITS))


def _counts(values: Int[torch.Tensor, "n slot"]) -> Int[torch.Tensor, "n digit"]:
    digits = torch.arange(N_DIGITS, device=values.device)
    return (values[:, :, None] <= digits).sum(1)


POSITION = Variable(position, _position, "number of outputs so far")
LAST = Variable(last, _last, "last output")
COPIES_IN_LIST = Variable(copies_in_list, _copies_in_list, "copies of the last output in the list")
COPIES_OUT = Variable(copies_out, _copies_out, "copies of it among the outputs")
LARGER = Variable(larger, _larger, "smallest larger digit of the list")
STAY_OR_GO = Variable(answer, _answer, "the last output again, or the next larger digit")
COUNTS = Variable(counts, _counts, "for every digit, how many of the list are at most that")
