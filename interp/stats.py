"""Intervals: every rate that is reported comes with one, and with its n."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from jaxtyping import Bool, Float

from interp.support.lazy import lazy_import
from interp.support.seeds import stream

if TYPE_CHECKING:
    import torch
else:
    torch = lazy_import("torch")

_Z95 = 1.959963984540054  # 97.5th percentile of the standard normal


@dataclass(frozen=True)
class Estimate:
    """A number with its 95 % interval and the number of independent things it rests on."""

    value: float
    low: float
    high: float
    n: int

    def to_dict(self) -> dict[str, float | int]:
        return asdict(self)

    def percent(self, digits: int = 1) -> str:
        """``97.5 % [96.1, 98.4]``; of a single case only the value, for it has no interval."""
        rounded = (round(100 * x, digits) + 0.0 for x in (self.value, self.low, self.high))
        value, low, high = (f"{x:.{digits}f}" for x in rounded)  # + 0.0 turns -0 into 0
        lone = self.n == 1 and self.low == self.high  # a mean of one; a rate of one has an interval
        return f"{value} %" if lone else f"{value} % [{low}, {high}]"


def wilson(successes: int, n: int) -> Estimate:
    """A share of ``n`` independent trials, with the Wilson score interval (Wilson 1927).

    Raises:
        ValueError: if there are no trials, or more successes than trials.
    """
    if not 0 <= successes <= n or n == 0:
        raise ValueError(f"{successes} of {n} is not a share")
    share, z2 = successes / n, _Z95**2
    centre = (share + z2 / (2 * n)) / (1 + z2 / n)
    half = _Z95 * math.sqrt(share * (1 - share) / n + z2 / (4 * n * n)) / (1 + z2 / n)
    # At 0 and at n the interval touches the end exactly; rounding must not push it past.
    low = 0.0 if successes == 0 else max(0.0, centre - half)
    high = 1.0 if successes == n else min(1.0, centre + half)
    return Estimate(share, low, high, n)


def clustered_rate(
    right: Bool[torch.Tensor, "batch row"], counted: Bool[torch.Tensor, "batch row"], seed: int = 0
) -> Estimate:
    """A share of rows, with a percentile bootstrap over lists: rows of one list go together.

    ``n`` is the number of lists, the independent units. With no mistake at all a bootstrap cannot
    see how rare mistakes are; the rule of three (3 / n lists) then bounds the low end, and the
    high end of a share with no success.
    """
    rights, totals = (right & counted).sum(1).double(), counted.sum(1).double()
    n, share = len(totals), float(rights.sum() / totals.sum())
    if share in (0.0, 1.0):
        slack = min(1.0, 3 / n)
        return Estimate(share, share and 1 - slack, share or slack, n)
    draws = _resample(torch.stack([rights, totals], 1), seed)
    low, high = _percentiles(draws[:, 0] / draws[:, 1])
    return Estimate(share, low, high, n)


def bootstrap_mean(values: Float[torch.Tensor, " n"], seed: int = 0) -> Estimate:
    """The mean of independent values with a 95 % percentile bootstrap interval (Efron 1979).

    A single value has no interval: ``low`` and ``high`` are then the value, and ``n`` is 1.
    """
    values = values.double()
    if len(values) == 0:
        raise ValueError("the mean of nothing")
    mean = float(values.mean())
    if len(values) == 1:
        return Estimate(mean, mean, mean, 1)
    low, high = _percentiles(_resample(values[:, None], seed)[:, 0] / len(values))
    return Estimate(mean, low, high, len(values))


def _resample(
    values: Float[torch.Tensor, "n k"], seed: int, draws: int = 1000
) -> Float[torch.Tensor, "d k"]:
    """Sums over ``draws`` resamples with replacement, a bounded number of values at a time."""
    generator = stream("bootstrap", seed)
    n = len(values)
    at_once = max(1, _RESAMPLED_AT_ONCE // n)
    sums = []
    for start in range(0, draws, at_once):
        index = torch.randint(n, (min(at_once, draws - start), n), generator=generator)
        sums.append(values[index].sum(1))
    return torch.cat(sums)


_RESAMPLED_AT_ONCE = 1_000_000


def _percentiles(draws: Float[torch.Tensor, " d"]) -> tuple[float, float]:
    low, high = draws.quantile(torch.tensor([0.025, 0.975], dtype=draws.dtype)).tolist()
    return low, high
