"""Transplanting the blanks: give the last layers another list's blanks, and see whose answer comes.

    python -m analyses.transplant_blanks
    python -m analyses.transplant_blanks --model compiled:slots

Lists A and B have the same length and different digits. While the model answers A, three things are
each taken from A's run or from B's, in all eight combinations:

    digits   keys and values of the list's digits and of SEP, from layer 1 on
    blanks   keys and values of the blanks, from layer 1 on (all but the last, an output row itself)
    prefix   the sorted digits given back as inputs

Where the two answers differ, an output may follow A's answer, B's, or neither. If it follows B's
with the blanks alone from B, the answer is read from what is in the blanks; if it stays with A's,
their content is not what the answer comes from, however much attention rests on them. Keys alone
and values alone are told apart, and a transplant from the list's own run, which must change
nothing, is checked bit for bit.

What it does not show: the output rows' own layer 0 goes on reading list A, so an answer that is
computed there follows A whatever is transplanted. The prefix is given, not decoded.
"""

from __future__ import annotations

from dataclasses import dataclass

from analyses.experiment import Experiment, OnPage, Question
from analyses.experiment.given import OwnLists
from analyses.experiment.subjects import OfModel
from interp.support.errors import at_least


@dataclass(frozen=True)
class TransplantConfig:
    """How many pairs of lists."""

    pairs: int = 240  # five of every length up to 48: intervals of about a percent

    def __post_init__(self) -> None:
        at_least(self, pairs=1)


EXPERIMENT = Experiment(
    name="transplant_blanks",
    title="Transplanting the blanks",
    about=OfModel,
    settings=TransplantConfig(),
    chapter=3,
    needs_blanks=True,
    questions=(
        Question(
            "blanks",
            "share that follows",
            lambda t: float(t.blanks_content),
            plain="What share of answers follows the blanks of list B?",
        ),
        Question(
            "digits",
            "digits: share that follows",
            lambda t: float(t.digits_content),
            plain="What share follows the digits of list B, as layer 1 sees them?",
        ),
        Question(
            "prefix",
            "a false prefix matters",
            lambda t: t.prefix_used,
            lambda n: n > 0,
            plain="Does it matter what was emitted before?",
        ),
    ),
    on_page=OnPage(
        "blanks",
        "whose answer the outputs give when digits, blanks or the outputs given back come from "
        "another list of the same length, in all combinations; only outputs in which the two "
        "answers differ are counted. Intervals: 95 %, a bootstrap over pairs.",
        takes="4 s",
        quick={"pairs": 96},
        quick_takes="2 s",
    ),
    own_lists=OwnLists(
        counts="pairs", rest="Each is list A of a pair; list B is drawn, of the same length."
    ),
)
compute = EXPERIMENT.compute
