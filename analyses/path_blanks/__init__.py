"""Path patching of minimal pairs: how much of the answer passes through the blanks?

    python -m analyses.path_blanks
    python -m analyses.path_blanks --model compiled:slots       # 100 %
    python -m analyses.path_blanks --model compiled:direct      # 0 %

Two lists differ in one digit (see ``analyses.experiment.minimal_pairs``). In a model of two layers
the change can reach the row that emits the answer along these routes only, and each is patched by
itself:

    digits -> blanks -> answer row        layer 1 reads keys and values of the blanks
    digits -> last blank -> answer row    the same of the blank that emits the first output
    digits -> answer row                  layer 1 reads keys and values of the digits themselves,
                                          of SEP, or of the outputs before
    digits -> the row itself              the answer row reads the digits in layer 0

*Mediated* by the blanks is the share of the total effect that the first two carry together
(denoising: they alone bring the clean answer back; noising: without them it is lost), as a natural
indirect effect (Pearl 2001; Vig et al. 2020). Two more routes cannot carry anything, and are
patched to see that they carry exactly nothing: what the last layer writes at the blanks, and the
blanks' embeddings, keys and values in layer 0, for BLANK is the same token in both lists.

A table takes the blanks' route apart (path patching: see ``interp.methods.paths``): which heads and
MLPs write what the blanks hold, and which heads read it.

With more than two layers, a route is the keys and values of its place in all layers but the first,
for whoever reads them, so that routes overlap.

What it does not show: shares need not add up to 100 %, for the routes meet in one softmax and one
MLP; and changing one digit tests only what the blanks say of that digit.
"""

from __future__ import annotations

from dataclasses import dataclass

from analyses.experiment import Experiment, Question
from analyses.experiment.given import OwnLists
from analyses.experiment.settings import (
    PairConfig,
)
from analyses.experiment.subjects import OfModel


@dataclass(frozen=True)
class PathConfig(PairConfig):
    """How many pairs of lists, and which."""


EXPERIMENT = Experiment(
    name="path_blanks",
    title="Path patching through the blanks",
    about=OfModel,
    settings=PathConfig(),
    chapter=7,
    needs_blanks=True,
    questions=(
        Question(
            "mediated",
            "share through the blanks",
            lambda t: t.mediated,
            plain="What share of the effect passes through a blank?",
        ),
        Question(
            "impossible_is_zero",
            "impossible routes are zero",
            lambda t: True,
            plain="Do impossible routes carry exactly nothing?",
        ),
    ),
    own_lists=OwnLists(
        counts="pairs",
        length="length",
        rest="Each is a clean list; one of its digits is exchanged at random.",
    ),
)
compute = EXPERIMENT.compute
