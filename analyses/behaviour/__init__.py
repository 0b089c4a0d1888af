"""What the model does: which lists it sorts, how sure it is, and how it goes wrong.

    python -m analyses.behaviour
    python -m analyses.behaviour --model no-blanks
    python -m analyses.behaviour --model compiled:slots --lists 480

If 3 1 1 came out as 1 1 1, its first mistake would be at output 2, which is 2 too small; the answer
ascends, but a 3 is missing and a 1 is too many. This is what is counted here, over held-out lists
with as many of every length: lists without a mistake by length, by how many different digits a list
is drawn from (fewer than 10 is unlike training, where one digit 40 times never occurs) and by how
often its commonest digit occurs; mistakes by output; whether a probability of 0.9 is right nine
times in ten (calibration, Guo et al. 2017); and some of the mistakes themselves.

What it does not show: how any of it is done.
"""

from __future__ import annotations

from dataclasses import dataclass

from analyses.experiment import Experiment, Question
from analyses.experiment.given import OwnLists
from analyses.experiment.subjects import OfModel
from interp.support.errors import at_least


@dataclass(frozen=True)
class BehaviourConfig:
    """How many lists."""

    lists: int = 2400  # of random digits: fifty of every length up to 48
    lists_each: int = 240  # from 1, 2, ... 9 different digits: five of every length
    listed: int = 12  # mistakes that are listed
    decoded: int = 96  # mistakes that are looked at more closely, by greedy decoding

    def __post_init__(self) -> None:
        at_least(self, lists=1, lists_each=1, listed=1, decoded=1)


EXPERIMENT = Experiment(
    name="behaviour",
    title="What the model does",
    about=OfModel,
    settings=BehaviourConfig(),
    chapter=1,
    questions=(
        Question(
            "exact",
            "share of lists sorted",
            lambda t: 1.0,
            plain="What share of lists does it sort?",
        ),
    ),
    own_lists=OwnLists(rest="Lists of few different digits are drawn as ever."),
)
compute = EXPERIMENT.compute
