"""Attribution: which parts write the answer, and how far gradients can be trusted to find places.

    python -m analyses.attribution
    python -m analyses.attribution --model compiled:histogram
    python -m analyses.attribution --pairs 64 --length 24 --steps 32

*Direct logit attribution* (``interp.methods.attribution``). At the row that must say 1 after 3 1 1,
the logit of 1 minus the mean of the other nine digits' is a sum: so much from the token, from the
position, from each head, from each MLP. The parts sum to the logit to rounding; for heads it is
also known from which positions they read it. It shows who writes the answer, not who worked it out:
what a part does through later ones is counted as theirs.

*Attribution patching* (``interp.methods.attribution_patching``). Between two lists that differ in
one digit, gradients guess for every place at once what activation patching would do there. The
guesses are shown beside the exact sweep, with three numbers each: the rank correlation (Spearman),
which is mostly about the order of many small effects, the linear one, mostly about the few large
ones, and the share of the exact total that the guesses sum to.

What it does not show: that a guess is right. In a model this small the exact sweep costs hardly
more, so nothing rests on the guesses here; they are on trial.
"""

from __future__ import annotations

from dataclasses import dataclass

from analyses.experiment import Experiment, OnPage, Question
from analyses.experiment.given import OwnLists
from analyses.experiment.subjects import OfModel
from interp.support.errors import at_least


@dataclass(frozen=True)
class AttributionConfig:
    """How many lists and pairs, and how fine the line is."""

    lists: int = 96  # for direct logit attribution: two of every length up to 48
    pairs: int = 32  # for attribution patching: minimal pairs
    length: int = 12  # digits per list of the pairs, or fewer where the model takes fewer
    steps: int = 16  # points of the line along which gradients are integrated

    def __post_init__(self) -> None:
        at_least(self, lists=1, pairs=1, length=1, steps=1)


EXPERIMENT = Experiment(
    name="attribution",
    title="Attribution",
    about=OfModel,
    settings=AttributionConfig(),
    chapter=11,
    questions=(
        Question("writers", "who writes the answer", plain="Who writes the answer?"),
        Question(
            "blanks_carry",
            "integrated gradients: blanks carry",
            plain="Do integrated gradients say that the blanks carry the answer?",
        ),
    ),
    on_page=OnPage(
        "inside",
        "each part's share of the right digit's logit above the mean of the nine others, with "
        "intervals over lists; then, on pairs of lists, what gradients guess beside what patching "
        "finds exactly.",
        question="Attribution: which parts write the answer, and can gradients find the places "
        "that matter?",
        takes="15 seconds",
    ),
    own_lists=OwnLists(rest="Pairs, on which gradients are put on trial, are drawn as ever."),
)
compute = EXPERIMENT.compute
