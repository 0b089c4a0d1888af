"""The logit lens at one position of one list: the whole distribution, layer by layer.

    python -m analyses.one_list.position --list 3,1,1 --pos "out 0"

After 3 1 1 the model says 1 1 3; at ``out 0`` it holds the first 1 and emits the second. The
residual stream there is read after every layer by the model's own unembedding.

All of it is of one list, and under what ``--do`` says is done to the model.

What it does not show: what happens on other lists (``analyses.logit_lens`` is of many), and what
lies in directions that the unembedding does not read.
"""

from __future__ import annotations

from dataclasses import dataclass

from analyses.experiment import Experiment
from analyses.experiment.subjects import OfList


@dataclass(frozen=True)
class PositionSettings:
    """Which position."""

    pos: str = ""  # as the columns are called: "out 3", "blank 48", "in 0" (the first output row)


EXPERIMENT = Experiment(
    name="one_list.position",
    title="The logit lens at one position",
    about=OfList,
    settings=PositionSettings(),
)
