"""Which blank feeds which output: replace one blank at a time, and look at every output.

    python -m analyses.blank_output_matrix
    python -m analyses.blank_output_matrix --model compiled:slots

Lists A and B have the same length and different digits. While the model answers A, the keys and
values of one blank, from layer 1 on, are taken from B's run. At every output where the answers
differ, the logit difference of B's digit and A's then moves by some share of the way from A's run
to B's: 0 is no effect, 1 all of it. Averaged over pairs that is a matrix, blanks by outputs.

A model in which blank j holds the digit of output j has a diagonal of ones; one in which all blanks
hold the same has an even, faint matrix. The number below it is the share of all effect within one
step of the best diagonal (of an even matrix, about three diagonals' worth).

What it does not show: blanks that matter only together. See transplant_blanks for all at once.
"""

from __future__ import annotations

from dataclasses import dataclass

from analyses.experiment import Experiment, OnPage, Question
from analyses.experiment.given import OwnLists
from analyses.experiment.subjects import OfModel
from interp.support.errors import at_least


@dataclass(frozen=True)
class MatrixConfig:
    """How many pairs of lists, and how long."""

    pairs: int = 96  # intervals of a few percent for a whole row or diagonal
    length: int = 48  # digits; only the longest lists have every output

    def __post_init__(self) -> None:
        at_least(self, pairs=1, length=1)


EXPERIMENT = Experiment(
    name="blank_output_matrix",
    title="Which blank feeds which output",
    about=OfModel,
    settings=MatrixConfig(),
    chapter=4,
    needs_blanks=True,
    questions=(
        Question(
            "matrix", "shape", lambda t: t.blank_output, plain="Which blank feeds which output?"
        ),
    ),
    on_page=OnPage(
        "blanks",
        "how far each output moves from A's digit towards B's when one blank alone comes from "
        "list B: 0 is no effect, 1 all the way. Rows are blanks, columns outputs.",
        takes="4 s",
        quick={"pairs": 24},
        quick_takes="1 s",
    ),
    own_lists=OwnLists(
        counts="pairs", length="length", rest="Each is list A of a pair; list B is drawn."
    ),
)
compute = EXPERIMENT.compute
