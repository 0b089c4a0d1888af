"""Where are a program's variables? Exchange one part of the model, and one variable of the program.

    python -m analyses.align_program
    python -m analyses.align_program --model compiled:histogram
    python -m analyses.align_program --directions 1 2 4 8         # and subspaces of the stream

Two prompts, a *base* and a *source*. The program's answer for the base, with one variable set to
what it is for the source, is the counterfactual; it is worked out without the model. The model's
answer for the base, with one part as it is for the source, is compared with it. The share of pairs
in which they are the same is the interchange-intervention accuracy (IIA; Geiger et al. 2021): near
100 %, the part holds the variable and nothing else that matters here; a part that holds more
carries more over, and is found out by sources that differ in everything.

    alike     the counterfactual differs from the base's answer; the source differs in as few other
              variables as can be had
    any       it differs, whatever else does, and where possible from the source's answer too
    control   the variable differs and the answer does not: the model's should not change either

Parts are every head, MLP and stream at the row that answers, the queries of its heads, what is
written where it reads, and what each of its heads reads there: two counts that are compared in one
head are held by no output of a part, but one is what that head reads among the digits and one what
it reads among the outputs. Only prompts are used to which the model and the program say the same.
The smallest set of parts that reaches the bar together is searched among all singles and pairs,
then grown one by one (greedily: a smaller set may exist); if that does not reach it, what all heads
read in one region is tried, without those that are not needed. Subspaces are found on one half of
the lists and judged on the other, beside random subspaces, an untrained twin of the model and a
variable of another program.

What it does not show: that the program is the only one. A variable that another fixes (a sorted
list and its counts) is in the same parts, and a part may hold a variable in a form that is right
for these pairs alone.
"""

from __future__ import annotations

from dataclasses import dataclass

from analyses.experiment import Experiment, Needs, OnPage, Question
from analyses.experiment.subjects import OfModel
from interp.support.errors import UserError, at_least

AUTO = "auto"


@dataclass(frozen=True)
class AlignConfig:
    """Which program, how many pairs, and whether to search for subspaces."""

    program: str = AUTO  # by name; auto takes the one that says most often what the model says
    prompts: int = 600  # from which bases and sources are taken
    pairs: int = 96  # of every variable and kind of source: intervals of ten percent at the widest
    bar: float = 0.95  # from which a part counts as holding a variable
    most_parts: int = 6  # in the smallest set that is searched
    directions: tuple[int, ...] = ()  # sizes of the subspaces to search, like 1 2 4 8

    def __post_init__(self) -> None:
        at_least(self, prompts=2, pairs=1, most_parts=1)
        if not 0 < self.bar <= 1:
            raise UserError(f"--bar must be above 0 and at most 1, not {self.bar}")
        if any(k < 1 for k in self.directions):
            raise UserError(f"--directions must be at least 1, not {min(self.directions)}")


EXPERIMENT = Experiment(
    name="align_program",
    title="Where the program's variables are",
    about=OfModel,
    settings=AlignConfig(),
    needs_task=Needs.ANY_LENGTH,
    chapter=15,
    questions=(
        Question(
            "list",
            "what holds the list",
            lambda t: sorted(t.list_in),
            plain="Which parts hold the list?",
        ),
        Question(
            "answer",
            "what holds the answer",
            lambda t: sorted(t.answer_in),
            plain="Which parts hold the answer?",
        ),
        Question(
            "foreign",
            "it holds a variable of another program",
            lambda t: False,
            plain="Does it seem to hold a variable of another program?",
        ),
    ),
    on_page=OnPage(
        page="algorithm",
        question="Where are the program's variables?",
        shows="how often the model's answer changes as the program says when one part is exchanged "
        "between two prompts, for every variable and part (interchange-intervention accuracy).",
        takes="3 minutes",
    ),
)
compute = EXPERIMENT.compute
