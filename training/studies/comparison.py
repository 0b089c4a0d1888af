"""Arms against each other: how sure a difference between sets of runs is.

A run is one trial: seeds are the independent units, never lists or steps. Seeds are paired, for
runs of one seed see the same lists in every arm.

    fisher_exact(2, 10, 0, 10)      # 0.474: two runs of ten against none show nothing yet
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product

import torch

from interp.stats import Estimate, bootstrap_mean, wilson
from interp.support.seeds import stream

_EXACT_PAIRS = 14  # up to so many, all 2^n sign flips are tried
_DRAWS = 100_000  # beyond, so many random ones


def fisher_exact(successes: int, n: int, others: int, n_others: int) -> float:
    """Two-sided p of equal shares, given both margins (Fisher 1922).

    The probability of a table no more probable than this one.

    Raises:
        ValueError: if there are more successes than trials.
    """
    if not (0 <= successes <= n and 0 <= others <= n_others):
        raise ValueError(f"{successes} of {n} and {others} of {n_others} are not shares")
    total, hits = n + n_others, successes + others

    def probability(k: int) -> float:
        return math.comb(n, k) * math.comb(n_others, hits - k) / math.comb(total, hits)

    tables = [probability(k) for k in range(max(0, hits - n_others), min(n, hits) + 1)]
    observed = probability(successes)
    # Equally probable tables may differ in the last bit.
    return min(1.0, sum(p for p in tables if p <= observed * (1 + 1e-9)))


def paired_permutation(differences: Sequence[float], seed: int = 0) -> float:
    """Two-sided p that paired differences have no direction: their signs flipped at random.

    Exact up to 14 pairs (2^n flips), else 100,000 random flips, the observed one counted in. With n
    pairs no p is below 2 / 2^n: 5 pairs can never show p < 0.06.

    Raises:
        ValueError: if there are none.
    """
    if not differences:
        raise ValueError("no pairs to permute")
    values = torch.tensor(differences, dtype=torch.float64)
    n, observed = len(values), abs(float(values.sum()))
    if n <= _EXACT_PAIRS:
        signs = torch.tensor(list(product((1.0, -1.0), repeat=n)), dtype=torch.float64)
        extreme = ((signs @ values).abs() >= observed - 1e-9).double()
        return float(extreme.mean())
    draws = torch.randint(2, (_DRAWS, n), generator=stream("permutation", seed), dtype=torch.int8)
    sums = (2 * draws - 1).double() @ values
    return (1 + int((sums.abs() >= observed - 1e-9).sum())) / (1 + _DRAWS)


def holm(p_values: Sequence[float]) -> list[float]:
    """p values adjusted for there being several (Holm 1979), in the order given."""
    order = sorted(range(len(p_values)), key=lambda i: p_values[i])
    adjusted, highest = [0.0] * len(p_values), 0.0
    for rank, index in enumerate(order):
        highest = max(highest, min(1.0, (len(p_values) - rank) * p_values[index]))
        adjusted[index] = highest
    return adjusted


@dataclass(frozen=True)
class ArmOutcome:
    """The finished runs of one arm, in the order of their seeds."""

    seeds: tuple[int, ...]
    medians: tuple[float, ...]
    """Median accuracy of the last window, which convergence is decided on."""
    convergent_at: float

    @property
    def n(self) -> int:
        return len(self.seeds)

    def convergent(self, at: float | None = None) -> int:
        """Runs whose median is at least the threshold (default: the plan's)."""
        threshold = self.convergent_at if at is None else at
        return sum(value >= threshold for value in self.medians)

    def share(self, at: float | None = None) -> Estimate:
        """The share of convergent runs, with its Wilson interval over seeds."""
        return wilson(self.convergent(at), self.n)

    def mean(self, seed: int = 0) -> Estimate:
        """The mean of the medians, with a bootstrap over runs."""
        return bootstrap_mean(torch.tensor(self.medians, dtype=torch.float64), seed)


@dataclass(frozen=True)
class Comparison:
    """Two arms: convergent shares, and accuracy seed by seed."""

    fisher_p: float
    """Of equal convergent shares."""
    n_pairs: int
    """Seeds that both arms have finished."""
    difference: Estimate | None
    """Mean difference of the medians over those seeds, with a bootstrap over them."""
    permutation_p: float | None
    """That the difference has no direction. Both None without a common seed."""


def compare(one: ArmOutcome, other: ArmOutcome, seed: int = 0) -> Comparison:
    """``one`` minus ``other``; both must have runs."""
    fisher = fisher_exact(one.convergent(), one.n, other.convergent(), other.n)
    theirs = dict(zip(other.seeds, other.medians, strict=True))
    differences = [
        value - theirs[s] for s, value in zip(one.seeds, one.medians, strict=True) if s in theirs
    ]
    if not differences:
        return Comparison(fisher, 0, None, None)
    return Comparison(
        fisher,
        len(differences),
        bootstrap_mean(torch.tensor(differences, dtype=torch.float64), seed),
        paired_permutation(differences, seed),
    )
