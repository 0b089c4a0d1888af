"""What a model says after one prefix when one number of one head is another.

    python -m analyses.one_list.dial --list 3,1,4,1,5 --prefix 1,1
    python -m analyses.one_list.dial --list 3,1,4,1,5 --prefix 1,1,1 --head 4

A head of layer 0 that looks for copies of the last output writes, for those in the list, the
opposite of what it writes for those that are out: a number times one vector
(``interp.methods.dial``). After 1 1 no 1 is to come; the number is a little below zero and the
model goes on to 3. Here it is set to everything from -1 (as if the head saw copies out alone) to 1
(copies in the list alone), all else of the row that answers as it was.

What it does not show: what holds of other lists (``analyses.mechanism`` is of many), and how later
layers make an answer of the number.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from analyses.experiment import Experiment, Needs
from analyses.experiment.subjects import OfList
from interp.support.errors import at_least


@dataclass(frozen=True)
class DialSettings:
    """After which outputs, and of which head."""

    prefix: str = (
        ""  # outputs so far: 13, or a file (default: half of the answer, a digit left out)
    )
    head: int | None = None  # of layer 0 (default: the one that looks most for equal digits)
    typed_lists: ClassVar = ("prefix",)

    def __post_init__(self) -> None:
        if self.head is not None:
            at_least(self, head=0)


EXPERIMENT = Experiment(
    name="one_list.dial",
    title="One number of a head, after one prefix",
    about=OfList,
    settings=DialSettings(),
    needs_task=Needs.SORTING,
)
