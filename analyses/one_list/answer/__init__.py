"""What a model answers to one list: every output, or one step of it and where its heads look then.

    python -m analyses.one_list.answer --list 3,1,4
    python -m analyses.one_list.answer --list 3,1,4 --do zero:3-10
    python -m analyses.one_list.answer --list 3,1,4 --step 2
    python -m analyses.one_list.answer --list 3,1,4 --step 2 --attention

The list 3 1 4 asks for 1, 3, 4: step 0 is the last blank (of a model without blanks, SEP), which
emits output 0; at step 2 the model has 3 1 4 SEP _ ... _ 1 3 before it, and emits output 2 from the
row ``out 1``. Decoding is greedy: each step is given what the model itself said before, right or
wrong. ``--step`` shows the probabilities of all twelve tokens at one step, ``--attention`` what the
row that emits attends to in every head of every layer.

What it does not show: how other lists fare; and that what a head attends to is used.
"""

from __future__ import annotations

from dataclasses import dataclass

from analyses.experiment import Experiment
from analyses.experiment.subjects import OfList
from interp.support.errors import UserError


@dataclass(frozen=True)
class AnswerSettings:
    """All of the answer, or one step of it."""

    step: int | None = None  # one step of decoding, counted from 0 (all of them)
    attention: bool = False  # of that step: what every head attends to, not the probabilities

    def __post_init__(self) -> None:
        if self.attention and self.step is None:
            raise UserError("--attention is of one step: give --step as well")


EXPERIMENT = Experiment(
    name="one_list.answer",
    title="The answer to one list",
    about=OfList,
    settings=AnswerSettings(),
)
