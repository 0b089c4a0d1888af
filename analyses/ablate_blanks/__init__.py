"""Ablating the blanks: how much goes wrong when they are taken away, and in which sense?

    python -m analyses.ablate_blanks
    python -m analyses.ablate_blanks --model compiled:sink
    python -m analyses.ablate_blanks --lists 96 --lists-each 24

"Taken away" can mean five things (see ``interp.answers.ablation``): masking takes away what the
blanks hold *and* the attention that rests on them; masking with the other weights kept, and putting
in zeros, means or another list's keys and values take away what they hold. If masking destroys the
answer and another list's blanks do not, the model needs its blanks to be there, and not what is in
them.

Measured: lists sorted without a mistake, for all blanks together (the last, which is also the first
output row, apart), for each blank alone, and for growing random subsets (the dose curve). The
matched control ablates as many positions that are no blanks: digits and outputs given back.

What it does not show: what a component *does*. And one blank that can be spared may be spared only
because another holds the same.
"""

from __future__ import annotations

from dataclasses import dataclass

from analyses.experiment import Experiment, OnPage, Question
from analyses.experiment.given import OwnLists
from analyses.experiment.subjects import OfModel
from interp.support.errors import at_least


@dataclass(frozen=True)
class AblateConfig:
    """How many lists."""

    lists: int = 480  # for all blanks together: ten of every length up to 48
    lists_each: int = 96  # for single blanks and the dose curve: eight of each of 12 lengths

    def __post_init__(self) -> None:
        at_least(self, lists=1, lists_each=1)


EXPERIMENT = Experiment(
    name="ablate_blanks",
    title="Ablating the blanks",
    about=OfModel,
    settings=AblateConfig(),
    chapter=2,
    needs_blanks=True,
    questions=(
        Question(
            "mask",
            "masking destroys the answer",
            lambda t: t.blanks_needed,
            plain="Does masking the blanks destroy the answer?",
        ),
        Question(
            "resample",
            "other contents destroy it",
            lambda t: t.blanks_content,
            plain="Do another list's contents in the blanks?",
        ),
        Question(
            "mean",
            "mean contents destroy it",
            lambda t: t.blanks_content,
            plain="Do average contents in the blanks?",
        ),
    ),
    on_page=OnPage(
        "blanks",
        "how many lists come out without a mistake when all blanks are taken away in each of the "
        "five ways, when each is taken away alone, and when growing random subsets are (the dose "
        "curve), beside as many digits and outputs. Intervals: 95 %, Wilson.",
        takes="80 s",
        quick={"lists": 96, "lists_each": 24},
        quick_takes="20 s",
    ),
    own_lists=OwnLists(
        rest="Of these the first --lists-each are for single blanks and the dose curve."
    ),
)
compute = EXPERIMENT.compute
