"""An exponential average of the weights, kept beside a run that it does not touch.

    average = WeightAverage(model, decay=0.98)
    average.update(model)                       # after every step
    score(average.model, batch)

With a learning rate that never decays, the last weights are a noisy sample around what a run has
learned, and averaging takes the noise away (Polyak and Juditsky 1992; Izmailov et al. 2018). The
first steps count for less than the decay says, so that the first weights are soon forgotten:
step t's decay is min(decay, (t + 1) / (t + 10)).
"""

from __future__ import annotations

import copy

import torch
from torch import Tensor

from interp.model import SortTransformer

_BEGIN = 10  # the larger, the sooner the first weights are forgotten


class WeightAverage:
    """The average, in a model of its own."""

    def __init__(self, model: SortTransformer, decay: float, steps: int = 0) -> None:
        """
        Args:
            steps: updates of ``model`` so far: an average that begins late forgets as slowly as one
                that has been kept from the start.
        """
        self.decay, self.steps = decay, steps
        self.model = copy.deepcopy(model)

    @torch.no_grad()
    def update(self, model: SortTransformer) -> None:
        """Take in the weights after a step."""
        keep = min(self.decay, (self.steps + 1) / (self.steps + _BEGIN))
        for mine, now in zip(self.model.parameters(), model.parameters(), strict=True):
            mine.lerp_(now, 1 - keep)
        self.steps += 1

    def state(self) -> dict[str, Tensor]:
        """The averaged weights, by name."""
        return {name: p.detach() for name, p in self.model.named_parameters()}

    def restore(self, weights: dict[str, Tensor], steps: int) -> None:
        """Go on from averaged weights of the same config, after so many steps."""
        with torch.no_grad():
            for name, parameter in self.model.named_parameters():
                parameter.copy_(weights[name])
        self.steps = steps
