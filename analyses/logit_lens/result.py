"""What ``analyses.logit_lens`` reads, list by list, with its estimates."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int

from interp.stats import Estimate, bootstrap_mean, clustered_rate
from interp.task import Task


@dataclass(frozen=True)
class LensResult:
    """What the lens reads, list by list; NaN where a list has no such output."""

    depths: list[str]
    """``before layer 0``, ``after attention 0``, ...: the streams, the last being the output."""
    lengths: Int[torch.Tensor, " list"]
    right: Float[torch.Tensor, "list depth output"]
    """Probability of the sorted digit at its output row."""
    top: Bool[torch.Tensor, "list depth output"]
    """The sorted digit is the most probable token, alone."""
    probability: Float[torch.Tensor, "list depth candidate blank"]
    """Of each of ``CANDIDATES`` at blank j, all but the last."""
    rank: Float[torch.Tensor, "list depth candidate blank"]
    """1 is the most probable of all 12 tokens; equals share the mean of their ranks."""
    share: Float[torch.Tensor, "list depth blank"]
    """Probability of sorted[j] among the ten digits alone."""
    preferred: Float[torch.Tensor, "list depth blank"]
    """Forced choice against another list of the same length; chance is exactly 1/2."""
    task: Task
    seed: int

    @property
    def last_read(self) -> int:
        """The depth at which the last layer reads the blanks: what it writes there itself reaches
        no digit any more."""
        return len(self.depths) - 3

    def answered(self, depth: int) -> Estimate:
        """Output rows where the sorted digit is on top; a bootstrap over lists."""
        return clustered_rate(self.top[:, depth], ~self.right[:, depth].isnan(), self.seed)

    def mean(self, values: Float[torch.Tensor, "list blank"]) -> Estimate | None:
        """Over blanks of each list, then over the lists that have any."""
        by_list = values.nanmean(1)
        by_list = by_list[~by_list.isnan()]
        return bootstrap_mean(by_list, self.seed) if len(by_list) else None

    def told(self, depth: int) -> Estimate | None:
        """Share of forced choices for the own list; None without blanks to ask."""
        return self.mean(self.preferred[:, depth])
