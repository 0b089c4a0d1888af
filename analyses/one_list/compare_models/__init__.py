"""Two models, A and B, side by side on one list: answers, attention, behaviour, weights.

    python -m analyses.one_list.compare_models --model blanks --other no-blanks --list 3,1,4
    python -m analyses.one_list.compare_models --part attention --layer 1 --head 0 --do published
    python -m analyses.one_list.compare_models --part lengths

``--part`` chooses the figure:

    outputs     the probability of each right digit under A and B, and their difference
    regions     what share every head gives each region, for A and B, and their difference
    attention   one head's attention under A less one head's under B, position by position
    lengths     exact match by length on the same held-out lists
    weights     the size of every weight matrix, and how far A's and B's lie apart

The last two are of no one list, and of the models as they are: nothing is done to them.

Attention is compared along the right answer, given back to both, so that what they read is the
same. What only one of the two has cannot be subtracted: models with other numbers of layers or
heads are shown beside each other, and position by position only models whose sequences are alike.

What it does not show: heads of models that were trained apart do not correspond; head 2 of one may
do what head 4 of the other does. Checkpoints of one run are another matter.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from analyses.experiment import Experiment
from analyses.experiment.given import OwnLists
from analyses.experiment.subjects import OfTwoModels
from interp.support.errors import at_least

Part = Literal["outputs", "regions", "attention", "lengths", "weights"]


@dataclass(frozen=True)
class CompareSettings:
    """What is compared."""

    part: Part = "outputs"  # what is compared
    layer: int | None = None  # of A's head, for --part attention (default: A's last)
    head: int = 0  # of that layer
    other_layer: int | None = None  # of B's head (default: A's)
    other_head: int | None = None  # of that layer (default: A's)
    lists: int = 480  # held-out lists, for --part lengths: ten of every length up to 48

    def __post_init__(self) -> None:
        at_least(self, lists=1)

    def heads(self, last: int) -> tuple[tuple[int, int], tuple[int, int]]:
        """A's and B's, for ``--part attention``; ``last`` is A's last layer."""
        own = last if self.layer is None else self.layer
        layer = own if self.other_layer is None else self.other_layer
        head = self.head if self.other_head is None else self.other_head
        return (own, self.head), (layer, head)

    @property
    def of_no_list(self) -> bool:
        """Whether it is of no one list, and of the models as they are."""
        return self.part in ("lengths", "weights")

    @property
    def own(self) -> tuple[str, ...]:
        """Each part has its own folder."""
        return (self.part,)


EXPERIMENT = Experiment(
    name="one_list.compare_models",
    title="Two models side by side",
    about=OfTwoModels,
    settings=CompareSettings(),
    own_lists=OwnLists(rest="They are for --part lengths alone."),
)
