"""The numbers of *balance* that say most often what a model says, by search over a grid.

    numbers = fit_balance([(prompts.inputs(), said), ...])   # every kind of prompt counts alike

Thresholds by digit are the best there are, exactly: values are sorted, and every cut between two is
counted. What all digits share is taken from a grid. No gradient, no chance: the same prompts give
the same numbers.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from interp.programs.balance import SUCCESSOR, BalanceNumbers, balance_program, beyond_batch
from interp.task import N_DIGITS, PAD

Asked = tuple[Mapping[str, Tensor], Tensor]
"""Inputs of a program, and what the model says to each: [prompt]."""

_VOTES = (-0.3, -0.2, -0.14, -0.1, -0.07, -0.05, -0.03, -0.02, -0.01, 0.0,
          0.01, 0.02, 0.03, 0.05, 0.07, 0.1, 0.14, 0.2, 0.3, 0.5, 1.0)  # fmt: skip
_MANY = (0.0, 0.005, 0.01, 0.02, 0.03, 0.05, 0.08, 0.12, -0.01)
_SIZE = (0.3, 1.0, 2.0, 4.0, 8.0)
_SHARE = (0.0, 0.02, 0.05, 0.1, 0.2)
_UNLIMITED = 1e9
_PLAIN = BalanceNumbers(
    0.0, 0.0, (0.5,) * N_DIGITS, 1.0, 0.0, (_UNLIMITED,) * N_DIGITS, SUCCESSOR
)  # copy and count, until something is found that says more often what the model says


@dataclass(frozen=True)
class _Prompts:
    """What the search reads."""

    inputs: Mapping[str, Tensor]
    said: Int[Tensor, " prompt"]
    weight: Float[Tensor, " prompt"]

    def trace(self, numbers: BalanceNumbers) -> dict[str, Tensor]:
        return balance_program(numbers).trace_batch(self.inputs)


def fit_balance(asked: Sequence[Asked]) -> BalanceNumbers:
    """Numbers for prompts of several kinds, each kind with the same weight.

    Prompts without an output so far, or to which the model says no digit, are left out.
    """
    prompts = _joined([_usable(*each) for each in asked])
    _, numbers = max(_with_stays(prompts), key=lambda found: found[0])
    numbers = replace(numbers, beyond=_beyond(prompts, numbers))
    _, numbers = max(_with_limits(prompts, numbers), key=lambda found: found[0])
    return numbers


def _usable(inputs: Mapping[str, Tensor], said: Tensor) -> _Prompts:
    kept = (inputs["prefix"] != PAD).any(1) & (said >= 0)
    weight = torch.full((int(kept.sum()),), 1 / max(1, int(kept.sum())), dtype=torch.float64)
    return _Prompts({name: value[kept] for name, value in inputs.items()}, said[kept], weight)


def _joined(parts: Sequence[_Prompts]) -> _Prompts:
    names = parts[0].inputs
    wide = {name: max(part.inputs[name].shape[1] for part in parts) for name in names}
    inputs = {
        name: torch.cat([_widened(part.inputs[name], wide[name]) for part in parts])
        for name in names
    }
    said, weight = (torch.cat([getattr(p, field) for p in parts]) for field in ("said", "weight"))
    return _Prompts(inputs, said, weight)


def _widened(value: Tensor, width: int) -> Tensor:
    return torch.nn.functional.pad(value, (0, width - value.shape[1]), value=PAD)


def _with_stays(prompts: _Prompts) -> Iterator[tuple[float, BalanceNumbers]]:
    """For every vote and ``many`` the best ``least``, and how much of the prompts they get."""
    for vote in _VOTES:
        tried = replace(_PLAIN, vote=vote)
        trace = prompts.trace(tried)
        last, stays = trace["last"], prompts.said == trace["last"]
        copies = (trace["copies_in_list"] + trace["copies_out"]).double()
        for many in _MANY:
            margin = trace["balance"] - many * copies
            least, share = best_cuts(margin, stays, prompts.weight, last, _PLAIN.least)
            # Of equals the simpler one.
            yield share - 1e-6 * (abs(vote) + abs(many)), replace(tried, many=many, least=least)


def _beyond(prompts: _Prompts, numbers: BalanceNumbers) -> int:
    """Where the program goes and the model says neither the last nor the next digit, what it says
    most."""
    trace = prompts.trace(numbers)
    last, said = trace["last"], prompts.said
    lost = ~trace["stay"] & (said != last) & (said != trace["larger"])
    choices = (*range(N_DIGITS), SUCCESSOR)
    shares = [prompts.weight[lost & (said == beyond_batch(c, last))].sum() for c in choices]
    return choices[int(torch.stack(shares).argmax())]


def _with_limits(
    prompts: _Prompts, numbers: BalanceNumbers
) -> Iterator[tuple[float, BalanceNumbers]]:
    """For every size and share the best ``limit``."""
    trace = prompts.trace(numbers)
    beyond = beyond_batch(numbers.beyond, trace["last"])
    too_far = prompts.said == beyond
    # Only where the program goes, and going to the next digit is something else.
    told = ~trace["stay"] & (trace["larger"] >= 0) & (trace["larger"] != beyond)
    told &= too_far | (prompts.said == trace["larger"])
    last, weight = trace["last"][told], prompts.weight[told]
    for size, share in product(_SIZE, _SHARE):
        tried = replace(numbers, size=size, share=share)
        overdraft = prompts.trace(tried)["overdraft"][told]
        limit, right = best_cuts(overdraft, too_far[told], weight, last, _PLAIN.limit)
        yield right, replace(tried, limit=limit)


def best_cuts(
    value: Float[Tensor, " n"],
    above: Bool[Tensor, " n"],
    weight: Float[Tensor, " n"],
    digit: Int[Tensor, " n"],
    default: tuple[float, ...],
) -> tuple[tuple[float, ...], float]:
    """For every digit the cut for which ``value > cut`` is ``above`` most, and the weight it gets.

    Digits that do not occur get their default. Of cuts that are as good, the middle one.
    """
    cuts, total = list(default), 0.0
    for d in digit.unique().tolist():
        own = digit == d
        cuts[d], right = _best_cut(value[own], above[own], weight[own])
        total += right
    return tuple(cuts), total


def _best_cut(
    value: Float[Tensor, " n"], above: Bool[Tensor, " n"], weight: Float[Tensor, " n"]
) -> tuple[float, float]:
    value, order = value.sort()
    gain = torch.where(above[order], -weight[order], weight[order]).cumsum(0)
    right = torch.cat([gain.new_zeros(1), gain]) + weight[above].sum()
    between = torch.cat([value[:1] - 0.5, (value[1:] + value[:-1]) / 2, value[-1:] + 0.5])
    apart = torch.cat([value.new_ones(1), value.diff(), value.new_ones(1)]) > 1e-9
    right = right.masked_fill(~apart, -1.0)
    best = (right >= right.max() - 1e-12).nonzero()[:, 0]
    chosen = int(best[len(best) // 2])
    return float(between[chosen]), float(right[chosen])
