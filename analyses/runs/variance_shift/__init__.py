"""Variance shift: does a run lose accuracy because its LayerNorms expect dropout that is gone?

    python -m analyses.runs.variance_shift --run original-blanks

For runs of post-norm models that were trained with dropout and are measured without it. Dropout of
what a part adds to the stream makes the variance larger that the LayerNorm after it divides by;
without dropout everything behind that LayerNorm is longer than it was in training, by another
factor for each token (Li et al. 2019 describe this of batch normalisation). Of every checkpoint, on
the same held-out lists without dropout: exact match as it is, and when LayerNorms divide by the
variance that they would have with dropout: one at a time, and all. Nothing is fitted, and nothing
is random: see ``interp.methods.variance_shift``. Beside them exact match with dropout, as the run
was trained. Of the LayerNorm after the first MLP, whose stream the heads of layer 1 read, also:
when only their queries, only their keys or only their values read it so, and only the keys of
one region of the sequence; and how much shorter the stream becomes in each region.

Where accuracy comes back, the shift of that LayerNorm had taken it.

What it does not show: what dropout does beside the variance, and dropout of attention weights, of
neurons and of the embedding. A checkpoint that is between two steps of a noisy run may lack
accuracy for that reason alone (``analyses.settle``).
"""

from __future__ import annotations

from dataclasses import dataclass

from analyses.experiment import Experiment, OnPage
from analyses.experiment.given import OwnLists
from analyses.experiment.subjects import OfRun
from interp.support.errors import at_least


@dataclass(frozen=True)
class ShiftSettings:
    """How many lists."""

    lists: int = 500  # held-out, for exact match: intervals of a few percent

    def __post_init__(self) -> None:
        at_least(self, lists=1)


EXPERIMENT = Experiment(
    name="runs.variance_shift",
    title="LayerNorms that expect dropout",
    about=OfRun,
    settings=ShiftSettings(),
    on_page=OnPage(
        page="training",
        shows="above, for each checkpoint, of 500 held-out lists, how many come out without a "
        "mistake: as it is, with dropout as it was trained, and when every LayerNorm expects "
        "dropout; below, at the last checkpoint, when one LayerNorm alone does, and when only one "
        "reader of the stream behind the first MLP reads it so. 95 % intervals.",
        takes="20 s for each checkpoint",
    ),
    own_lists=OwnLists(),
)
