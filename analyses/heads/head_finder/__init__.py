"""Which heads carry the answer? Ranked by what ablating them costs, beside where they look.

    python -m analyses.heads.head_finder
    python -m analyses.heads.head_finder --model compiled:direct
    python -m analyses.heads.head_finder --lists 96 --ablation mean

One head at a time is ablated at all positions, in three ways, and the model answers along the right
answer: with the list 3 1 1, head 1.2 writes what it wrote for another list of three digits, say
7 0 4, and the log-probability of 1, 1, 3 is compared with that before. Its own output put back is
the control, and must cost nothing. What each kind can mislead about:

- *resample* (another list's output of the length; Chan et al. 2022) keeps every output one that the
  head really writes, and costs nothing where outputs do not depend on the list. It may cost
  something where the answer could do without the head, but is misled by another list's facts;
- *mean* (over other lists of the length, position by position) takes away what is special to the
  list and misleads less, but a mean of ten one-hot digits is nothing that the next layer ever saw,
  and for long lists it is itself a fair guess: sorted[20] of 40 digits is mostly a 4 or 5;
- *zero* takes away constants as well: a head that writes the same for every list, as a bias would,
  can be indispensable by zero ablation and carry nothing.

So a head is *named* when the log-probability lost under resampling (``ablation`` chooses another)
lies above ``threshold`` with its whole interval. Because heads can stand in for each other, the
named heads are then resampled together, so are all others, and so are those of each layer: if lists
do not survive without the others, there is more to the answer than the named heads.

What it does not show: what a head does, or through which positions. Patterns are ranked as well, to
be compared: a head may look at the most interesting place and write nothing (``compiled:direct``).
"""

from __future__ import annotations

from dataclasses import dataclass

from analyses.experiment import Experiment, Needs, OnPage, Question
from analyses.experiment.given import OwnLists
from analyses.experiment.subjects import OfModel
from interp.answers.kinds import HEAD_KINDS, HeadKind
from interp.support.errors import UserError, at_least


@dataclass(frozen=True)
class HeadConfig:
    """How many lists, and when a head is named."""

    lists: int = 288  # held-out lists to ablate on: six of every length up to 48
    reference: int = 32  # other lists of every length, for means
    length: int = 24  # of the lists whose patterns are ranked, or the longest that the model takes
    pattern_lists: int = 96  # how many those are
    ablation: HeadKind = "resample"  # by which heads are named: see the module for why
    threshold: float = 0.05  # nats per digit: a list of 24 digits is then 3.3 times less probable

    def __post_init__(self) -> None:
        at_least(self, lists=1, reference=1, length=1, pattern_lists=2)
        if self.ablation not in HEAD_KINDS:
            raise UserError(
                f"--ablation must be one of {', '.join(HEAD_KINDS)}, not {self.ablation!r}"
            )
        if not self.threshold >= 0:
            raise UserError(f"--threshold must be 0 or more, not {self.threshold}")


EXPERIMENT = Experiment(
    name="heads.head_finder",
    title="Which heads carry the answer",
    about=OfModel,
    settings=HeadConfig(),
    needs_task=Needs.ALIKE,
    chapter=9,
    questions=(
        Question(
            "heads",
            "heads that matter",
            lambda t: t.head_pairs,
            plain="Which heads matter, by ablation?",
        ),
        Question(
            "by_pattern",
            "heads by pattern alone",
            lambda t: t.head_pairs,
            plain="Which heads matter, judged by their patterns alone?",
            why_wrong="Decoy heads, which write nothing, have the more striking patterns.",
        ),
    ),
    on_page=OnPage(
        "attention",
        "what ablating each head costs, in lists and in log-probability, with 95 % intervals, "
        f"n = {HeadConfig().lists} lists; below, where each head looks.",
        takes="20 s",
    ),
    own_lists=OwnLists(rest="Patterns are ranked on drawn lists of one length, as ever."),
)
compute = EXPERIMENT.compute
