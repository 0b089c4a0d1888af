"""What ``analyses.settle`` finds: each way of going on, and what brings back how much."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import torch

from interp.stats import Estimate

_TOPS = 4  # of a curve with a period, at least
AS_IT_WAS, NO_DROPOUT = "as it was", "no dropout"
NOT_AFTER_MLPS = "no dropout after MLPs"


def lower(by: int) -> str:
    """How the way is called in which the learning rate is divided by so much."""
    return f"rate / {by}"


@dataclass(frozen=True)
class Period:
    """How a curve goes up and down."""

    steps: float
    """From one top to the next."""
    p: float
    """Chance that noise without memory has so strong a line, at most (Fisher 1929)."""

    @classmethod
    def of(cls, curve: tuple[float, ...]) -> Period | None:
        """The strongest line of its spectrum among those with ``_TOPS`` tops or more.

        Slower ones are drift, as a straight trend is. None of a curve that has no others.
        """
        values = torch.tensor(curve, dtype=torch.float64)
        at = torch.arange(len(values), dtype=torch.float64)
        at = at - at.mean()
        values = values - values.mean()
        values = values - at * (at @ values) / (at @ at)
        lines = torch.fft.rfft(values)[_TOPS:].abs() ** 2
        if float(lines.sum()) < 1e-12:
            return None
        share, count = float(lines.max() / lines.sum()), len(lines)
        fine = 64 * len(values)  # between the lines, too: the top is seldom on one
        spectrum = torch.fft.rfft(values, n=fine).abs()
        spectrum[: _TOPS * fine // len(values)] = 0
        return cls(fine / int(spectrum.argmax()), min(1.0, count * (1 - share) ** (count - 1)))

    def slower(self, by: int, momentum: float) -> float | None:
        """The period at a learning rate divided by ``by``, of a ball with ``momentum`` in a valley.

        Its places follow x'' = (1 + m - k) x' - m x, where k grows with the learning rate and the
        valley's curvature; they turn by an angle whose cosine is (1 + m - k) / (2 sqrt m) a step.
        None where it would not swing.
        """
        root = 2 * math.sqrt(momentum)
        k = 1 + momentum - root * math.cos(2 * math.pi / self.steps)
        cosine = (1 + momentum - k / by) / root
        return 2 * math.pi / math.acos(cosine) if abs(cosine) < 1 else None


@dataclass(frozen=True)
class Way:
    """Training that went on from the state, with things changed or as it was."""

    lr: float
    dropout: float
    exact: tuple[float, ...]
    """Share of the held-out lists without a mistake, after every step."""
    averaged: tuple[tuple[int, float], ...]
    """The same of the average of the weights, at some steps."""
    weights: Estimate
    """Over the second half of the steps: lists and steps together, intervals over lists."""
    average: Estimate
    expecting: Estimate | None
    """As ``average``, when every LayerNorm divides by the variance that the way's dropout makes;
    None without dropout, or without LayerNorms after each part."""
    mistakes: Mapping[str, Estimate]
    """Of the average at the end: the share of outputs that goes wrong in each way."""

    @property
    def second_half(self) -> tuple[float, ...]:
        return self.exact[len(self.exact) // 2 :]

    @property
    def period(self) -> Period | None:
        return Period.of(self.exact)


@dataclass(frozen=True)
class SettleResult:
    """One state, and the ways that training went on from it."""

    step: int
    ways: Mapping[str, Way]
    """By what is changed; the first is as it was."""
    slow: int
    momentum: float
    """Adam's, of the gradient."""

    @property
    def as_it_was(self) -> Way:
        return self.ways[AS_IT_WAS]

    @property
    def slower(self) -> Way:
        return self.ways[lower(self.slow)]

    @property
    def expected_period(self) -> float | None:
        """Of ``slower``, from that of the run as it was."""
        found = self.as_it_was.period
        return None if found is None else found.slower(self.slow, self.momentum)
