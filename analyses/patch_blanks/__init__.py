"""Activation patching between two lists that differ in one digit: where does the answer come from?

    python -m analyses.patch_blanks
    python -m analyses.patch_blanks --model no-blanks
    python -m analyses.patch_blanks --list 3,1,4,1,5 --corrupt 3,1,4,1,9

The clean list 3 1 4 1 5 sorts to 1 1 3 4 5, the corrupted 3 1 4 1 9 to 1 1 3 4 9. Both are given
the outputs they share (1 1 3 4), so the two inputs differ in one digit of the list only, and the
model is asked for the first output in which the answers differ: here ``out 3`` emits 5 or 9. The
*logit difference* of those two digits says which answer the model gives. Then one place at a time
is exchanged between the two runs, in both directions:

- denoising, clean into corrupted: 1 means the place alone brings the clean answer back;
- noising, corrupted into clean: 1 means that without the clean values there the answer is lost.

Swept are the residual stream, what attention and MLP add to it, at every position and at whole
places, and the output, queries, keys and values of every single head, at whole places. Effects are
normalised by the difference between the runs, per pair of lists, then averaged; intervals are
bootstraps over pairs.

What it does not show: a place with no effect by itself may still matter together with others, and
one that matters may only pass on what was computed before.
"""

from __future__ import annotations

from dataclasses import dataclass

from analyses.experiment import Experiment, Question
from analyses.experiment.given import OwnLists
from analyses.experiment.settings import PairConfig
from analyses.experiment.subjects import OfModel


@dataclass(frozen=True)
class PatchConfig(PairConfig):
    """How many pairs of lists, and which."""


EXPERIMENT = Experiment(
    name="patch_blanks",
    title="Activation patching",
    about=OfModel,
    settings=PatchConfig(),
    chapter=6,
    questions=(
        Question(
            "blanks_content",
            "blanks carry",
            lambda t: t.blanks_content,
            plain="Does patching say that the blanks carry the answer?",
        ),
        Question(
            "heads",
            "heads that carry",
            lambda t: t.head_pairs,
            plain="Which heads carry the answer, by patching?",
        ),
    ),
    own_lists=OwnLists(
        counts="pairs",
        length="length",
        rest="Each is a clean list; one of its digits is exchanged at random.",
    ),
)
compute = EXPERIMENT.compute
