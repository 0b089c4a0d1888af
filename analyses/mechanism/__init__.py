"""How *copy and count* is computed: the head that compares, and a soft program in few numbers.

    python -m analyses.mechanism
    python -m analyses.mechanism --model no-blanks

Five things, for a model whose program is *copy and count*:

- which head compares: exchanged alone at the answering row, its output turns "the next digit" into
  "the same again" most often, between prompts that are alike;
- what its weights look for, where it is a head of layer 0, which reads tokens and positions alone:
  the mean score of every row's digit with every digit of the list and of the outputs, and how far
  apart what it writes for copies in the list and for copies that are out is;
- where its attention is, on random lists;
- when the model stays: the curve over copies in the list and copies out, and the *soft program* of
  ``interp.programs.soft``, six numbers for a digit, fitted on every second list and judged on the
  others, on random lists, lists of few digits, and on edited prefixes that it was not fitted on;
- what one number of that head does (``interp.methods.dial``), where it is a head of layer 0: set
  from low to high after right prefixes, and taken from wrong prefixes to right ones.

What it does not show: that six numbers are what the model computes with. They say when it stays,
and not how the next larger digit is found.
"""

from __future__ import annotations

from dataclasses import dataclass

from analyses.experiment import Experiment, Needs, OnPage
from analyses.experiment.subjects import OfModel
from interp.support.errors import at_least


@dataclass(frozen=True)
class MechanismConfig:
    """How many lists and prompts."""

    lists: int = 480  # of every kind, ten of every length up to 48; half to fit, half to judge
    prompts: int = 360  # from which pairs for the heads are taken
    pairs: int = 96  # alike, in which staying is exchanged
    turned: int = 240  # wrong prefixes of each kind, from which a head's number is taken

    def __post_init__(self) -> None:
        at_least(self, lists=2, prompts=2, pairs=1, turned=1)


EXPERIMENT = Experiment(
    name="mechanism",
    title="How copies are counted",
    about=OfModel,
    settings=MechanismConfig(),
    needs_task=Needs.ANY_LENGTH,
    on_page=OnPage(
        page="algorithm",
        question="On many lists: which head compares, and what does its number do?",
        shows="above, how high the head scores every digit for every other, from its weights; in "
        "the middle, when the model stays, and how many lists of few digits a program gets; below, "
        "what is said when one number of the head is set after right prefixes, and how often a run "
        "after a right prefix says what the model says after a wrong one, when parts of that run "
        "are put in. 95 % intervals.",
        takes="30 s",
    ),
)
compute = EXPERIMENT.compute
