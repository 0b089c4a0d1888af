"""What ``one_list.compare_models`` finds of two models besides their answers and attention."""

from __future__ import annotations

from dataclasses import dataclass

from interp.stats import Estimate


@dataclass(frozen=True)
class Lengths:
    """Exact match on the same held-out lists, by length."""

    a: dict[int, Estimate]
    b: dict[int, Estimate]
    a_all: Estimate
    b_all: Estimate
    gap: Estimate
    """A less B over all lists (each is sorted by both), with a bootstrap over lists; where the two
    agree on every list, which a bootstrap cannot widen, within the rule of three."""


@dataclass(frozen=True)
class Matrix:
    """One weight matrix of both; None where one lacks it, or where shapes differ."""

    name: str
    a: float | None
    """Frobenius norm."""
    b: float | None
    apart: float | None
    """The norm of A less B, as a share of the root mean square of their norms."""
