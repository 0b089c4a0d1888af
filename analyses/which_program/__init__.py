"""Which program does a model run? Prefixes on which programs part ways, and what the model says.

    python -m analyses.which_program
    python -m analyses.which_program --model compiled:successor

Programs that sort agree on every right prefix; they part on wrong ones. Here the model is given a
list and outputs so far that it would not have made itself, and asked for the next one:

    list 5 3 1 1 3, outputs 1 3     the 1 that is missing moves the position and no count of 3s:
                                    *rank* says sorted[2] = 3, and so does *copy and count*
    list 5 3 1 1 3, outputs 1 3 3   *rank* says 3 again, *copy and count* goes on to 5

Prefixes are made by every kind of edit of ``interp.programs.edits``, and for pairs of programs that
random edits hardly part, by search. A program is scored on saying what the model says, mistakes
included. Right prefixes are scored output by output, on random lists and on lists of few different
digits; a scrambled prefix that a copy of its last output begins is asked by itself. The winner is
the program whose worst kind of edit is best, if it says what the model says in enough cases of
*every* kind; else it is none of these.

Where none of them reaches that, one more is tried: *balance*, copy and count with a soft
comparison, whose few numbers are fitted to what the model says on other prompts of the same kinds
(``interp.programs.balance``). It is compared on the same prompts as the others, which are not among
those that it was fitted on, and it wins only if it reaches the same bars.

The last column asks the model itself once more, with the list and the outputs before the last in
another order: how often it says the same is how far order plays no part. Prefixes are mostly in
order where edits leave them so, and a model may know them only like that.

What it does not show: how the model computes what it says. Programs that never part on any prefix
(``rank`` and ``histogram``) are named together.
"""

from __future__ import annotations

from dataclasses import dataclass

from analyses.experiment import Experiment, Needs, OnPage, Question
from analyses.experiment.subjects import OfModel
from interp.programs.same_function import same_function
from interp.support.errors import UserError, at_least


@dataclass(frozen=True)
class WhichProgramConfig:
    """How many prompts, and when a program counts as the model's."""

    prompts: int = 240  # of every kind of edit: intervals of a few percent
    lists: int = 240  # with right prefixes, five of every length up to 48; a third of it for few
    parted: int = 60  # prompts on which two programs differ: fewer are made up for by search
    tries: int = 8000  # random edits to search before two programs count as never parting
    fit: int = (
        480  # prompts of every kind to fit *balance* on, should no other program reach the bar
    )
    bar: float = 0.95  # the share of every kind of edit that the winner must say
    clean_bar: float = 0.99  # of right prefixes, where nearly all programs agree

    def __post_init__(self) -> None:
        at_least(self, prompts=1, lists=1, parted=1, tries=0, fit=0)
        for flag, bar in (("--bar", self.bar), ("--clean-bar", self.clean_bar)):
            if not 0 < bar <= 1:
                raise UserError(f"{flag} must be above 0 and at most 1, not {bar}")


EXPERIMENT = Experiment(
    name="which_program",
    title="Which program the model runs",
    about=OfModel,
    settings=WhichProgramConfig(),
    needs_task=Needs.ANY_LENGTH,
    chapter=14,
    questions=(
        Question(
            "program",
            "the program",
            lambda t: list(same_function(t.program)),
            plain="Which program do its answers follow?",
        ),
    ),
    on_page=OnPage(
        page="algorithm",
        question="On many lists: which program says what the model says?",
        shows="of how many outputs each program says what the model says, after right prefixes and "
        "after every kind of wrong one, with 95 % intervals by list; last, what the model itself "
        "says after the same digits in another order.",
        takes="40 s",
    ),
)
compute = EXPERIMENT.compute
