"""What every program says after a prefix, right or wrong, beside what the model says.

    python -m analyses.one_list.programs --list 3,1,4,1,5 --prefix 1,3
    python -m analyses.one_list.programs --list 3,1,4,1,5 --prefix 1,1,3 --do mask:0-48

Programs that sort agree after every right prefix; after a wrong one they part. The list 3 1 4 1 5
given back 1 3 (a 1 is missing) has *rank* say 3, for sorted[2] is 3, and *copy-and-count* 4, for
the one 3 is out. Every step of the prefix is shown: what the model says there, and each program.
Without ``--prefix`` it is the first half of the right answer with one earlier digit left out.

What it does not show: what holds of other lists (``analyses.which_program`` is of many), and that a
program which says the same computes it in the same way (``analyses.align_program`` asks that).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from analyses.experiment import Experiment, Needs
from analyses.experiment.subjects import OfList


@dataclass(frozen=True)
class ProgramsSettings:
    """What is given back to the model."""

    prefix: str = (
        ""  # outputs so far: 13, or a file (default: half of the answer, a digit left out)
    )
    typed_lists: ClassVar = ("prefix",)


EXPERIMENT = Experiment(
    name="one_list.programs",
    title="Programs after one prefix",
    about=OfList,
    settings=ProgramsSettings(),
    needs_task=Needs.SORTING,
)
