"""The replication: do blanks matter to whether a run converges? Curves, intervals, verdict.

    python -m analyses.replication                                  # docs/studies/original
    python -m analyses.replication --study runs/studies/quick

Reads a study (``python -m training.study``), from its run folders or its compact export, and draws
the published figure again: the accuracy of every run on its training batches, raw, ten runs an arm.
Then the arms side by side, with every choice that the plan fixed before any run:

- the share of *convergent* runs (median accuracy of the last steps at least the plan's threshold)
  with a Wilson interval over runs, and what it would be at any other threshold;
- each comparison that the plan names: Fisher's exact test of the shares, with Holm's correction for
  there being several, and the difference in accuracy over common seeds, with a bootstrap over them
  and a paired permutation test.

Where the folder beside it holds studies of other sizes with the published arms, they are drawn as a
*ladder*, with the published numbers in the same axes: convergent runs, medians, crashes, best
batches. What its rungs suggest for a larger size is an extrapolation, and said to be one.

A run is one trial; lists and steps are not. A run whose loss became NaN counts as one that did not
converge. Runs that have not ended are drawn, and not counted.

What it does not show: *why* arms differ (the plan ``why`` changes one thing at a time for that), or
that they are equal: where no difference is shown, the intervals say how large a one could have been
missed.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from analyses.experiment import Experiment
from analyses.experiment.subjects import OfStudy


@dataclass(frozen=True)
class ReplicationSettings:
    """Every other choice is the plan's."""

    alone: bool = False  # without the ladder of the studies in the same folder


EXPERIMENT = Experiment(
    name="replication",
    title="The replication",
    about=OfStudy(study=Path("docs/studies/original")),
    settings=ReplicationSettings(),
)
