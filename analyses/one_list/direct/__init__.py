"""Who writes one output of one list: direct logit attribution of its margin.

    python -m analyses.one_list.direct --list 3,1,1 --output 2

After 3 1 1 the model says 1 1 3. An output's *margin* is the logit of the right digit minus that of
the strongest other token. It is shared out over the parts that write to the stream, and they add up
to it.

All of it is of one list, and under what ``--do`` says is done to the model.

What it does not show: what happens on other lists (``analyses.attribution`` is of many), and who
worked out what is written.
"""

from __future__ import annotations

from dataclasses import dataclass

from analyses.experiment import Experiment
from analyses.experiment.subjects import OfList


@dataclass(frozen=True)
class DirectSettings:
    """Which output."""

    output: int = 0  # counted from 0


EXPERIMENT = Experiment(
    name="one_list.direct",
    title="Direct logit attribution of one output",
    about=OfList,
    settings=DirectSettings(),
)
