"""Through training: how well each checkpoint of a run sorts, and what it needs its blanks for.

    python -m analyses.runs.checkpoint_sweep --run runs/0001-stable-blanks-s0

Of every checkpoint, on the same held-out lists: exact match as it is; exact match with dropout, as
the run was trained (of one that was trained without, not); exact match when the outputs
after the first may not attend to any blank (the published mask); and, where the answers of two
lists of one length differ, the share of outputs that follow the other list when layers from 1 on
are given the keys and values of its blanks (all but the last one, itself a row that answers). The
mask takes away the place where attention rests as well as what is in the blanks; the transplant
exchanges only what is in them. Where exact match is higher with dropout than without it, the run is
getting better at what it is trained for, and worse at what is measured.

What it does not show: how the weights between two checkpoints behave. Of a run without blanks there
is exact match alone.
"""

from __future__ import annotations

from dataclasses import dataclass

from analyses.experiment import Experiment
from analyses.experiment.given import OwnLists
from analyses.experiment.subjects import OfRun
from interp.support.errors import at_least


@dataclass(frozen=True)
class SweepConfig:
    """How many lists."""

    lists: int = 500  # held-out, for exact match: intervals of a few percent
    pairs: int = 48  # for the transplant: one of every length up to 48

    def __post_init__(self) -> None:
        at_least(self, lists=1, pairs=1)


EXPERIMENT = Experiment(
    name="runs.checkpoint_sweep",
    title="Through training",
    about=OfRun,
    settings=SweepConfig(),
    own_lists=OwnLists(rest="Pairs, for the transplant, are drawn as ever."),
)
