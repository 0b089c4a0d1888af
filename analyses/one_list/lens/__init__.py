"""The logit lens on one list: what would the model say if it ended after each layer?

    python -m analyses.one_list.lens --list 3,1,1
    python -m analyses.one_list.lens --show all --do zero:3-10

After 3 1 1 the model says 1 1 3. The residual stream after every layer is read at every position by
the model's own unembedding: the most probable token, and how probable it is.

All of it is of one list, and under what ``--do`` says is done to the model.

What it does not show: what happens on other lists (``analyses.logit_lens`` is of many), and what
lies in directions that the unembedding does not read.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from analyses.experiment import Experiment
from analyses.experiment.subjects import OfList

Show = Literal["outputs", "digits", "blanks", "all"]
"""Positions in view. ``outputs``: the rows that emit the answer, the last blank among them.
``digits``: the list and SEP. ``blanks``: all but the last. ``all``: the three, below each other."""


@dataclass(frozen=True)
class LensSettings:
    """Which positions."""

    show: Show = "outputs"  # positions in view; the rows that emit the answer come first


EXPERIMENT = Experiment(
    name="one_list.lens",
    title="The logit lens, on one list",
    about=OfList,
    settings=LensSettings(),
)
