"""How well approximated effects agree with exact ones, over places, with intervals over pairs.

    said = agreement(guessed, exact, possible, seed)    # three of [pair, ...]
    said.rank.value, said.linear.value, said.recovered.value

One number is not enough. *Rank* (Spearman) asks for the order only, and most places have hardly
any effect, so it is mostly about the order of the small ones; a guess may rank well and be wrong
fivefold in size. *Linear* (Pearson) is mostly about the few large ones. *Recovered* is the sum of
the guesses over the sum of the exact effects: 1 if the size is right on the whole.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from interp.stats import Estimate
from interp.support.seeds import stream

RESOLUTION = 1e-4  # logits: smaller effects are rounding, and count as none when they are ranked
_DRAWS = 1000


@dataclass(frozen=True)
class Agreement:
    """Each with its 95 % interval over pairs; None where it is undefined (nothing varies)."""

    rank: Estimate | None
    """Spearman's rank correlation over all counted places of all pairs."""
    linear: Estimate | None
    """Pearson's correlation over the same."""
    recovered: Estimate | None
    """The sum of the guesses, over that of the exact effects."""


def agreement(
    guessed: Float[Tensor, "pair ..."],
    exact: Float[Tensor, "pair ..."],
    counted: Bool[Tensor, "pair ..."],
    seed: int = 0,
) -> Agreement:
    """Compare effects at the counted places.

    Equal effects share the mean of their ranks. Ranks are taken once, over all pairs; a resample of
    pairs recomputes the correlation of ranks. ``n`` is the number of pairs with a counted place.
    """
    some = counted.flatten(1).any(1)
    a, b, mask = (values[some].flatten(1).cpu() for values in (guessed, exact, counted))
    a, b = (_resolved(values, mask) for values in (a, b))
    rank_a, rank_b = (_ranks(values, mask) for values in (a, b))
    return Agreement(
        _bootstrap(_moments(rank_a, rank_b, mask), _correlation, seed),
        _bootstrap(_moments(a, b, mask), _correlation, seed),
        _bootstrap(_moments(a, b, mask), _ratio, seed),
    )


def _resolved(values: Tensor, mask: Tensor) -> Float[Tensor, "pair cell"]:
    return values.double().masked_fill(~mask | (values.abs() < RESOLUTION), 0.0)


def _ranks(values: Tensor, mask: Tensor) -> Float[Tensor, "pair cell"]:
    """Ranks among the masked values, about their mean and in units of their number; 0 elsewhere."""
    out = torch.zeros_like(values)
    _, inverse, counts = values[mask].unique(return_inverse=True, return_counts=True)
    counts = counts.double()
    ranks = (counts.cumsum(0) - (counts - 1) / 2)[inverse]
    out[mask] = (ranks - (len(ranks) + 1) / 2) / max(1, len(ranks))
    return out


def _moments(x: Tensor, y: Tensor, mask: Tensor) -> Float[Tensor, "pair 6"]:
    """Each pair's sums of 1, x, y, x^2, y^2, xy over its counted places."""
    terms = (mask.double(), x, y, x * x, y * y, x * y)
    return torch.stack([term.sum(1) for term in terms], 1)


def _correlation(sums: Float[Tensor, "draw 6"]) -> Float[Tensor, " draw"]:
    n, x, y, xx, yy, xy = sums.unbind(-1)
    spread_x, spread_y = xx - x * x / n, yy - y * y / n
    # Without spread what is left is the rounding of these sums.
    flat = (spread_x <= 1e-12 * xx) | (spread_y <= 1e-12 * yy)
    rho = (xy - x * y / n) / (spread_x * spread_y).clamp(min=1e-300).sqrt()
    return rho.masked_fill(flat, torch.nan).clamp(-1, 1)


def _ratio(sums: Float[Tensor, "draw 6"]) -> Float[Tensor, " draw"]:
    ratio = sums[:, 1] / sums[:, 2]
    return ratio.masked_fill(sums[:, 2].abs() < RESOLUTION, torch.nan)


def _bootstrap(
    sums: Float[Tensor, "pair 6"], statistic: Callable[[Tensor], Tensor], seed: int
) -> Estimate | None:
    n = len(sums)
    value = float(statistic(sums.sum(0, keepdim=True))) if n else torch.nan
    if value != value:
        return None
    drawn = torch.randint(n, (_DRAWS, n), generator=stream("bootstrap", seed))
    draws = statistic(sums[drawn].sum(1))
    low, high = draws[~draws.isnan()].quantile(draws.new_tensor([0.025, 0.975])).tolist()
    return Estimate(value, low, high, n)
