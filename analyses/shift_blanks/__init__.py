"""Moving what the blanks hold: does the answer move along?

    python -m analyses.shift_blanks
    python -m analyses.shift_blanks --model compiled:slots

Keys stay where they are, so every output attends as before; the *values* of the blanks, from layer
1 on, are shifted by some places, or permuted. If output i reads the digit that blank i holds, a
shift by one makes it say what output i - 1 should. If all blanks hold the same, or nothing reads
them, the answer stays.

Counted are outputs whose own digit differs from the one that would move there. The last blank,
which is an output row itself, and blanks whose source would lie outside keep their values.

What it does not show: that the blanks hold nothing when the answer stays; they may all hold it.
"""

from __future__ import annotations

from dataclasses import dataclass

from analyses.experiment import Experiment, Needs, Question
from analyses.experiment.given import OwnLists
from analyses.experiment.subjects import OfModel
from interp.support.errors import at_least


@dataclass(frozen=True)
class ShiftConfig:
    """How many lists, and how far."""

    lists: int = 240  # five of every length up to 48
    most: int = 4  # places, in both directions

    def __post_init__(self) -> None:
        at_least(self, lists=1, most=1)


EXPERIMENT = Experiment(
    name="shift_blanks",
    title="Moving what the blanks hold",
    about=OfModel,
    settings=ShiftConfig(),
    chapter=5,
    needs_blanks=True,
    needs_task=Needs.SEVERAL,
    questions=(
        Question(
            "answer",
            "the answer, when values shift",
            lambda t: "moves" if t.blank_output == "diagonal" else "stays",
            plain="When the blanks' values move along by one, what does the answer do?",
        ),
    ),
    own_lists=OwnLists(),
)
compute = EXPERIMENT.compute
