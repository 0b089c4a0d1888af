"""Copy and count by a balance: outputs of other digits have a vote, and an overdraft goes too far.

    list 2 1 1, out 1       one 1 to come and a half would do: 1 again
    list 2 1 1, out 1 1     none to come, none too many: the next larger digit, 2
    list 2 1 1, out 1 1 1   one too many: if that is past the limit of 1, ``beyond``

*Copy and count* compares two counts. A head that averages over what it sees compares shares of its
attention instead, which differs in three ways, each of them a number here:

    balance    copies_in_list - copies_out + vote * others_to_come
    stay       balance > least[last] + many * (copies_in_list + copies_out)
    overdraft  -balance / (copies_in_list + copies_out + size + share * (digits and outputs in all))
    answer     last if it stays; beyond, if overdraft > limit[last] or there is no larger digit;
               else the next larger digit

With ``vote = 1`` the balance is that of *rank with the last digit*; a negative vote is that of
counting copies out as a share of the outputs. Nobody sets the numbers by hand: they are fitted
(:mod:`interp.programs.balance_fit`), so this program is to be judged on other lists than those.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int

from interp.programs import parts
from interp.programs.program import Program, Variable
from interp.task import N_DIGITS, PAD

SUCCESSOR = -2
"""As ``beyond``: the digit after the last one, in the list or not."""


@dataclass(frozen=True)
class BalanceNumbers:
    """What is fitted."""

    vote: float
    """Of each output unlike the last, against each smaller digit of the list; in copies."""
    many: float
    """By how much the balance that stays rises with each copy."""
    least: tuple[float, ...]
    """By digit: the balance above which it stays, in copies."""
    size: float
    share: float
    """Of each digit of the list and each output in the attention that copies compete for."""
    limit: tuple[float, ...]
    """By digit: the overdraft above which it goes too far."""
    beyond: int
    """The digit that it goes to then, or SUCCESSOR."""

    @property
    def n(self) -> int:
        """How many numbers they are."""
        return 5 + len(self.least) + len(self.limit)


def smaller_in_list(values: parts.Values, last: int) -> int:
    return sum(v < last for v in values)


def _smaller_in_list(
    values: Int[torch.Tensor, "n slot"], last: Int[torch.Tensor, " n"]
) -> Int[torch.Tensor, " n"]:
    return (values < last[:, None]).sum(1)  # PAD is above every digit


def others_to_come(smaller_in_list: int, position: int, copies_out: int) -> int:
    return smaller_in_list - (position - copies_out)


def _others_to_come(
    smaller_in_list: Int[torch.Tensor, " n"],
    position: Int[torch.Tensor, " n"],
    copies_out: Int[torch.Tensor, " n"],
) -> Int[torch.Tensor, " n"]:
    return smaller_in_list - (position - copies_out)


def in_all(values: parts.Values, position: int) -> int:
    return len(values) + position


def _in_all(
    values: Int[torch.Tensor, "n slot"], position: Int[torch.Tensor, " n"]
) -> Int[torch.Tensor, " n"]:
    return (values != PAD).sum(1) + position


def balance_program(numbers: BalanceNumbers) -> Program:
    """The program with these numbers."""
    return Program(
        name="balance",
        words="As copy and count, by a balance in which other outputs have a vote; where more "
        f"copies are out than a limit allows, too far up ({numbers.n} fitted numbers).",
        inputs=parts.INPUTS,
        variables=(
            parts.LAST,
            parts.POSITION,
            parts.COPIES_IN_LIST,
            parts.COPIES_OUT,
            Variable(smaller_in_list, _smaller_in_list, "smaller digits of the list"),
            Variable(others_to_come, _others_to_come, "those, less outputs unlike the last"),
            Variable(in_all, _in_all, "digits of the list and outputs"),
            _balance(numbers),
            _stay(numbers),
            _overdraft(numbers),
            parts.LARGER,
            _answer(numbers),
        ),
    )


def _balance(numbers: BalanceNumbers) -> Variable:
    def balance(copies_in_list: int, copies_out: int, others_to_come: int) -> float:
        return (copies_in_list - copies_out) + numbers.vote * others_to_come

    def batched(
        copies_in_list: Int[torch.Tensor, " n"],
        copies_out: Int[torch.Tensor, " n"],
        others_to_come: Int[torch.Tensor, " n"],
    ) -> Float[torch.Tensor, " n"]:
        return (copies_in_list - copies_out) + numbers.vote * others_to_come.double()

    return Variable(balance, batched, "copies to come, with the vote of other outputs")


def _stay(numbers: BalanceNumbers) -> Variable:
    def stay(last: int, copies_in_list: int, copies_out: int, balance: float) -> bool:
        copies = copies_in_list + copies_out
        return last != parts.NONE and balance - numbers.many * copies > numbers.least[last]

    def batched(
        last: Int[torch.Tensor, " n"],
        copies_in_list: Int[torch.Tensor, " n"],
        copies_out: Int[torch.Tensor, " n"],
        balance: Float[torch.Tensor, " n"],
    ) -> Bool[torch.Tensor, " n"]:
        copies = (copies_in_list + copies_out).double()
        least = balance.new_tensor(numbers.least)[last.clamp(min=0)]
        return (last != parts.NONE) & (balance - numbers.many * copies > least)

    return Variable(stay, batched, "whether the balance is high enough to stay")


def _overdraft(numbers: BalanceNumbers) -> Variable:
    def overdraft(copies_in_list: int, copies_out: int, in_all: int, balance: float) -> float:
        size = copies_in_list + copies_out + numbers.size + numbers.share * in_all
        return -balance / size

    def batched(
        copies_in_list: Int[torch.Tensor, " n"],
        copies_out: Int[torch.Tensor, " n"],
        in_all: Int[torch.Tensor, " n"],
        balance: Float[torch.Tensor, " n"],
    ) -> Float[torch.Tensor, " n"]:
        copies = (copies_in_list + copies_out).double()
        return -balance / (copies + numbers.size + numbers.share * in_all.double())

    return Variable(overdraft, batched, "how far too many are out, as a share of attention")


def _answer(numbers: BalanceNumbers) -> Variable:
    def answer(last: int, stay: bool, overdraft: float, larger: int) -> int:
        if stay:
            return last
        too_far = last != parts.NONE and overdraft > numbers.limit[last]
        return _beyond(numbers, last) if too_far or larger == parts.NONE else larger

    def batched(
        last: Int[torch.Tensor, " n"],
        stay: Bool[torch.Tensor, " n"],
        overdraft: Float[torch.Tensor, " n"],
        larger: Int[torch.Tensor, " n"],
    ) -> Int[torch.Tensor, " n"]:
        limit = overdraft.new_tensor(numbers.limit)[last.clamp(min=0)]
        too_far = ((last != parts.NONE) & (overdraft > limit)) | (larger == parts.NONE)
        gone = torch.where(too_far, beyond_batch(numbers.beyond, last), larger)
        return torch.where(stay, last, gone)

    return Variable(answer, batched, "the last output, the next larger digit, or one too far up")


def _beyond(numbers: BalanceNumbers, last: int) -> int:
    return min(last + 1, N_DIGITS - 1) if numbers.beyond == SUCCESSOR else numbers.beyond


def beyond_batch(beyond: int, last: Int[torch.Tensor, " n"]) -> Int[torch.Tensor, " n"]:
    """The digit beyond, for every last output."""
    if beyond == SUCCESSOR:
        return (last + 1).clamp(max=N_DIGITS - 1)
    return torch.full_like(last, beyond)
