"""Where do the heads look, on one list? Every head at a glance, or one of them enlarged.

    python -m analyses.one_list.attention --list 3,1,1                          # all heads
    python -m analyses.one_list.attention --list 3,1,1 --layer 1 --head 2       # one of them
    python -m analyses.one_list.attention --layer 1 --head 2 --every-row --keys blanks
    python -m analyses.one_list.attention --layer 1 --head 2 --do zero:3-10 --difference

The model answers the list greedily, under the intervention, and is then run along its own outputs.
With three blanks and the answer 1 1 3 that is

    in 0: 3   in 1: 1   in 2: 1   SEP   blank 0   blank 1   blank 2   out 0: 1   out 1: 1

and the rows that emit are the last three: blank 2 emits 1, out 0 emits 1, out 1 emits 3. Left
padding is no part of it: nothing attends to it. ``--difference`` takes away the attention of the
model as it is *along the same tokens*, so what is left is the intervention's doing alone.

What it does not show: that what is looked at is used. ``analyses.heads.head_finder`` asks that,
over many lists; ``analyses.heads.attention_patterns`` gives these scores over many, with intervals.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from analyses.experiment import Experiment
from analyses.experiment.subjects import OfList
from interp.support.errors import UserError

Keys = Literal["all", "digits", "blanks", "outputs"]
"""Columns of an enlarged head; ``blanks`` are all of them, the last one too."""


@dataclass(frozen=True)
class AttentionSettings:
    """Which head, and which of its rows and columns."""

    layer: int | None = None  # of the head to enlarge; without, all heads at a glance
    head: int | None = None  # counted from 0 within its layer
    every_row: bool = False  # every position that looks, not only those that emit the answer
    keys: Keys = "all"  # what is looked at
    difference: bool = False  # less the attention without the intervention, along the same tokens

    def __post_init__(self) -> None:
        if (self.layer is None) != (self.head is None):
            raise UserError("--layer and --head go together: give both, or neither for all heads")
        if self.layer is None and (self.every_row or self.keys != "all" or self.difference):
            raise UserError("--every-row, --keys and --difference are of one head: --layer, --head")


EXPERIMENT = Experiment(
    name="one_list.attention",
    title="Where the heads look, on one list",
    about=OfList,
    settings=AttentionSettings(),
)
