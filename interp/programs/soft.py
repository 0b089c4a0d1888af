"""Copy and count with a soft comparison: few numbers, fitted on one half of lists.

    soft = fit_soft(decisions)
    soft.says(last, copies_in_list, copies_out, larger)         # [row], the digit that it says

The hard program stays at digit d while ``copies_out < copies_in_list``. A head that averages over
copies cannot compare counts exactly: the more there are, the less one more weighs. The soft program
stays while a quadratic margin is positive,

    m = w_d . (1, a, b, a^2, ab, b^2),    a = copies_in_list / max_len, b = copies_out / max_len,

six numbers for each digit d. Where it goes on and the list has no larger digit it says one digit,
the same always: the one that the model says most often there.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from interp.programs.parts import NONE
from interp.task import N_DIGITS

N_NUMBERS = 6  # of each digit
_DECAY = 1e-5  # keeps the margin finite where one half of the lists is separable
_NEAR = 8  # decisions further from equal counts are never in doubt, and would drown the others


@dataclass(frozen=True)
class Decisions:
    """What a model does after each prefix: one row each."""

    last: Int[Tensor, " row"]
    copies_in_list: Int[Tensor, " row"]
    copies_out: Int[Tensor, " row"]
    larger: Int[Tensor, " row"]
    """The next larger digit of the list, or NONE."""
    said: Int[Tensor, " row"]
    list_number: Int[Tensor, " row"]

    def take(self, chosen: Bool[Tensor, " row"]) -> Decisions:
        return Decisions(
            self.last[chosen],
            self.copies_in_list[chosen],
            self.copies_out[chosen],
            self.larger[chosen],
            self.said[chosen],
            self.list_number[chosen],
        )

    @property
    def hard(self) -> Int[Tensor, " row"]:
        """What *copy and count* says."""
        return torch.where(self.copies_out < self.copies_in_list, self.last, self.larger)


@dataclass(frozen=True)
class SoftProgram:
    """The numbers."""

    weights: Float[Tensor, "digit 6"]
    beyond: int
    """What it says where it goes on from the largest digit of the list."""
    max_len: int

    def margin(self, rows: Decisions) -> Float[Tensor, " row"]:
        """Positive where it stays."""
        features = _features(rows, self.max_len)
        return (features * self.weights[rows.last]).sum(1)

    def stays(self, rows: Decisions) -> Bool[Tensor, " row"]:
        return self.margin(rows) > 0

    def says(self, rows: Decisions) -> Int[Tensor, " row"]:
        """A digit for every row."""
        larger = torch.where(rows.larger == NONE, self.beyond, rows.larger)
        return torch.where(self.stays(rows), rows.last, larger)


def fit_soft(rows: Decisions, max_len: int) -> SoftProgram:
    """Logistic regression of staying, digit by digit, by Newton's method; always the same bits."""
    weights = torch.zeros(N_DIGITS, N_NUMBERS, dtype=torch.float64)
    for digit in range(N_DIGITS):
        near = (rows.copies_in_list - rows.copies_out).abs() <= _NEAR
        own = rows.take((rows.last == digit) & near)
        if len(own.last):
            stays = (own.said == own.last).double()
            weights[digit] = _logistic(_features(own, max_len), stays)
    lost = (rows.larger == NONE) & (rows.said != rows.last) & (rows.said != NONE)
    counts = torch.bincount(rows.said[lost], minlength=N_DIGITS)
    return SoftProgram(weights, int(counts.argmax()) if lost.any() else NONE, max_len)


def _features(rows: Decisions, max_len: int) -> Float[Tensor, "row 6"]:
    a, b = rows.copies_in_list.double() / max_len, rows.copies_out.double() / max_len
    return torch.stack([torch.ones_like(a), a, b, a * a, a * b, b * b], 1)


def _logistic(
    features: Float[Tensor, "row 6"], wanted: Float[Tensor, " row"], steps: int = 60
) -> Float[Tensor, " 6"]:
    weights = features.new_zeros(features.shape[1])
    identity = torch.eye(len(weights), dtype=features.dtype)
    for _ in range(steps):
        p = (features @ weights).sigmoid()
        gradient = features.T @ (p - wanted) + _DECAY * weights
        curvature = (features.T * (p * (1 - p))) @ features + (_DECAY + 1e-9) * identity
        step = torch.linalg.solve(curvature, gradient)
        # A full Newton step can overshoot where the data are separable.
        weights = weights - step * min(1.0, 20 / max(float((features @ step).abs().max()), 1e-9))
    return weights
