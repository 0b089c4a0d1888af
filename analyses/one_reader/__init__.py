"""Who reads? A program in which only the row that answers does, against the model.

    python -m analyses.one_reader
    python -m analyses.one_reader --model bottleneck
    python -m analyses.one_reader --no-counts       # tokens known by value and place alone

A transformer lets every position read those before it, and answers may use what others have read.
So the model is cut down to a program of one reader (``interp.methods.one_reader``): the row that
answers computes as the model does, and every other token is known by what it is: a digit of the
list by its value, its place, how many digits come up to it and which share of them is its copies;
an output by its digit, its place, how many of its copies are out there, of how many, and how long
the list is; SEP and each blank by its position. What such a token holds is read off other prompts.
Asked is how often the program says what the model says, mistakes included:

- after right prefixes and after every kind of wrong one (as ``analyses.which_program`` makes them),
  with the digits, the blanks and the outputs cut down one by one, and with all of them;
- with one part of the row, in the model and in the program alike, taken from any other prompt
  (interchange interventions, Geiger et al. 2021): heads, MLPs, and all that a layer adds.

Where cutting down costs nothing, nothing else is used that is computed there. Where it does cost
something, those positions read for the others.

What it does not show: a short program. The row's weights are the model's own, MLPs included; what
is shown is that nothing else computes, and what others have to be known by.
"""

from __future__ import annotations

from dataclasses import dataclass

from analyses.experiment import Experiment, Needs, OnPage, Question
from analyses.experiment.subjects import OfModel
from interp.support.errors import UserError, at_least


@dataclass(frozen=True)
class OneReaderConfig:
    """How many prompts, and when the program counts as the model's."""

    prompts: int = 240  # of every kind, judged: intervals of a few percent
    right: int = 480  # right prefixes, judged, each of a list of its own
    examples: int = 480  # of every kind, and of right prefixes, to read the tables off
    pairs: int = 960  # of any two prompts, between which a part of the row is exchanged
    counts: bool = True  # tokens are known by counts, too; or by values and places alone
    bar: float = 0.95  # the share of every kind that the program must say

    def __post_init__(self) -> None:
        at_least(self, prompts=1, right=1, examples=1, pairs=1)
        if not 0 < self.bar <= 1:
            raise UserError(f"--bar must be above 0 and at most 1, not {self.bar}")


EXPERIMENT = Experiment(
    name="one_reader",
    title="Who reads",
    about=OfModel,
    settings=OneReaderConfig(),
    chapter=17,
    needs_task=Needs.ANY_LENGTH,
    questions=(
        Question(
            "rest_reads",
            "the blanks must read",
            lambda t: t.blanks_content,
            plain="Do answers need what the blanks have read?",
        ),
    ),
    on_page=OnPage(
        page="algorithm",
        question="On many lists: does anything but the row that answers have to read?",
        shows="above, how often the program says what the model says, when the tokens of a column "
        "are known by digit, place and count alone, blanks by place; below, the same with one "
        "part of the row exchanged for that of any other prompt, over all pairs and over those in "
        "which the model's answer changes. 95 % intervals.",
        takes="a minute",
    ),
)
compute = EXPERIMENT.compute
