"""A run does not stay where it got to: is it its steps, or where they lead?

    python -m analyses.settle --run runs/studies/original/no-blanks/seed-0001 --step 1000

From the run as it stood after some step, training goes on in several ways: as it was, with smaller
steps (a fourth and a thirty-second of the learning rate), without dropout of what MLPs add, without
any dropout, and without dropout and with smaller steps. All see the same lists. Exact match on
held-out lists is measured after every step, and now and then that of an average of the weights,
which is where the steps lead while they go to and fro.

- What comes back with smaller steps or in the average was lost to the steps.
- What comes back only without dropout was lost to dropout: it is not there when accuracy is
  measured, and the weights that are best with it need not be best without it. Of a post-norm model
  exact match of the average is therefore also measured with LayerNorms that divide by the variance
  that dropout makes (``analyses.runs.variance_shift``): what comes back so was lost to them.

Where exact match goes up and down with a period, the result names it, and the period that the run
would have with the fourth of the rate if weights moved as a ball with Adam's momentum does in a
valley (Polyak 1964; Cohen et al. 2022, "Adaptive gradient methods at the edge of stability").

What it does not show: other stretches of the run, and other runs. With another learning rate the
valley may become another, and over the first steps the weights still have the momentum they had.
"""

from __future__ import annotations

from dataclasses import dataclass

from analyses.experiment import Experiment
from analyses.experiment.given import OwnLists
from analyses.experiment.subjects import OfRun
from interp.support.errors import at_least, check_decay


@dataclass(frozen=True)
class SettleSettings:
    """From where on, and for how long."""

    step: int | None = None  # from the state after it on (default: the first drop of the curve)
    steps: int = 100  # that each way goes on; its second half is what counts
    lists: int = 200  # held-out, for exact match
    slow: int = 4  # the learning rate by so much, for the period
    calm: int = 32  # and by so much, for where the steps lead
    every: int = 5  # steps between two looks at the average of the weights
    decay: float = 0.95  # of that average

    def __post_init__(self) -> None:
        at_least(self, steps=8, lists=10, slow=2, calm=self.slow + 1, every=1)
        check_decay(self.decay)


EXPERIMENT = Experiment(
    name="settle",
    title="What keeps a run from settling",
    about=OfRun,
    settings=SettleSettings(),
    own_lists=OwnLists(rest="Training goes on with its own lists."),
)
