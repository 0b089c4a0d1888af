"""What ``analyses.path_blanks`` finds: routes, and effects along them for each pair."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float

from analyses.experiment.minimal_pairs import understood
from interp.answers.pairs import Pairs
from interp.stats import Estimate, bootstrap_mean

MEDIATED = "all blanks"
"""The route through any blank, the last included where it is not itself the answer row."""
ROUTES = {
    MEDIATED: ("blanks", "last blank"),
    "blanks": ("blanks",),
    "last blank": ("last blank",),
    "digits": ("changed digit", "other digits"),
    "SEP": ("SEP",),
    "earlier outputs": ("earlier outputs",),
    "answer row": ("answer row",),
}
"""Routes, by the places whose keys and values are read; ``answer row`` by what it is after layer 0.
"""
IMPOSSIBLE = ("what the last layer writes at the blanks", "the blanks' own embeddings")


@dataclass(frozen=True)
class PathResult:
    """Effects per pair: 1 is the whole difference between the two runs, 0 none of it."""

    pairs: Pairs
    n_layers: int
    by_route: Float[torch.Tensor, "direction pair route"]
    """Of ``ROUTES``; NaN where a pair has no such place."""
    impossible: Float[torch.Tensor, "direction pair impossible"]
    """Of ``IMPOSSIBLE``."""
    altered: tuple[float, ...]
    """The largest difference between the runs that each impossible route was given to carry."""
    writers: list[str]
    readers: list[str]
    by_path: Float[torch.Tensor, "direction pair writer reader"]
    """Through the blanks but the last; NaN where a writer comes after a reader."""
    difference: Float[torch.Tensor, "pair 2"]
    """Logit of the clean answer minus the corrupted one's, in the clean and the corrupted run."""
    seed: int

    @property
    def understood(self) -> Bool[torch.Tensor, " pair"]:
        """Pairs of which the model gets both answers right; only these are averaged."""
        return understood(self.difference)

    def route(self, direction: int, name: str) -> Estimate | None:
        """Mean effect over understood pairs that have the route, with its interval."""
        return self._mean(self.by_route[direction, :, list(ROUTES).index(name)])

    def path(self, direction: int, writer: int, reader: int) -> Estimate | None:
        """The same of one path through the blanks."""
        return self._mean(self.by_path[direction, :, writer, reader])

    def _mean(self, effects: Float[torch.Tensor, " pair"]) -> Estimate | None:
        values = effects[self.understood]
        values = values[~values.isnan()]
        return bootstrap_mean(values, self.seed) if len(values) else None

    @property
    def impossible_is_zero(self) -> bool:
        """Whether what cannot carry anything changed no logit difference by a single bit."""
        return bool((self.impossible == 0).all())
