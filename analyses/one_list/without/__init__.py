"""One list, with one thing taken away at a time: what does the model still answer?

    python -m analyses.one_list.without --list 3,1,4,1,5
    python -m analyses.one_list.without --list 3,1,4,1,5 --other 8,6,4,2,0
    python -m analyses.one_list.without --model compiled:slots --of heads
    python -m analyses.one_list.without --of sorters

The list 3 1 4 1 5 is sorted to 1 1 3 4 5. Each line is what the model says while something is done
to it, every output given the right ones before it (so that one mistake does not lead to others):

- ``--of blanks``: all blanks are masked, zeroed, averaged, or hold what they hold for list B;
- ``--of heads``: one head writes what it writes for list B, at all positions;
- ``--of sorters``: the blanks of this model, and of the five sorters compiled by hand, are masked,
  and hold those of list B.

An output may stay right, become that of list B (*it follows B*), or become neither. Where both
lists have the same digit, it counts as right.

What it does not show: what holds of other lists. One list is an example, not a rate: see
``analyses.ablate_blanks``, ``analyses.transplant_blanks`` and ``analyses.heads.head_finder``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

from analyses.experiment import Experiment
from analyses.experiment.subjects import OfList

Of = Literal["blanks", "heads", "sorters"]


@dataclass(frozen=True)
class WithoutSettings:
    """What is taken away, and list B."""

    of: Of = "blanks"  # what is taken away: blanks, heads, or the blanks of compiled sorters, too
    other: str = ""  # list B, as long as the list, or a file (default: 9 minus each digit)
    typed_lists: ClassVar = ("other",)


EXPERIMENT = Experiment(
    name="one_list.without",
    title="The answer, with one thing taken away",
    about=OfList,
    settings=WithoutSettings(),
)
