"""What ``analyses.patch_blanks`` finds: effects per example, and their estimates."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import torch
from jaxtyping import Bool, Float

from analyses.experiment.minimal_pairs import understood
from interp.answers.pairs import Pairs
from interp.sites import Site
from interp.stats import Estimate, bootstrap_mean


@dataclass(frozen=True)
class PatchResult:
    """Effects per example: 1 is the whole difference between the two runs, 0 none of it."""

    pairs: Pairs
    sites: list[Site]
    positions: list[int]
    """Absolute positions of ``by_position``."""
    by_position: Float[torch.Tensor, "direction pair site position"]
    by_place: Float[torch.Tensor, "direction pair site place"]
    """NaN where a pair has no such place."""
    heads: list[Site]
    """Output, queries, keys and values of every head."""
    by_head: Float[torch.Tensor, "direction pair head_site head_place"]
    """At ``HEAD_PLACES``; NaN where a pair has no such place."""
    difference: Float[torch.Tensor, "pair 2"]
    """Logit of the clean answer minus the corrupted one's, in the clean and the corrupted run."""
    seed: int

    @property
    def understood(self) -> Bool[torch.Tensor, " pair"]:
        """Pairs of which the model gets both answers right; only these are averaged."""
        return understood(self.difference)

    def place_estimate(self, direction: int, site: int, place: int) -> Estimate | None:
        """Mean effect over understood pairs that have the place, with its interval."""
        return self._place_estimates[direction][site][place]

    def head_estimate(self, direction: int, site: int, place: int) -> Estimate | None:
        """The same of a head's site, at one of ``HEAD_PLACES``."""
        return self._head_estimates[direction][site][place]

    @cached_property
    def _place_estimates(self) -> list[list[list[Estimate | None]]]:
        return _estimates(self.by_place[:, self.understood], self.seed)

    @cached_property
    def _head_estimates(self) -> list[list[list[Estimate | None]]]:
        return _estimates(self.by_head[:, self.understood], self.seed)


def _estimates(
    effects: Float[torch.Tensor, "direction pair site place"], seed: int
) -> list[list[list[Estimate | None]]]:
    """[direction][site][place]; None where no pair has the place."""

    def estimate(values: torch.Tensor) -> Estimate | None:
        values = values[~values.isnan()]
        return bootstrap_mean(values, seed) if len(values) else None

    return [[[estimate(place) for place in site.T] for site in d.unbind(1)] for d in effects]
