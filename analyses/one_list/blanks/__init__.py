"""What chosen blanks do for one list, and for many: taken away, or exchanged with another list's.

    python -m analyses.one_list.blanks --list 3,1,4 --do mask:3-10          # default: mask:all
    python -m analyses.one_list.blanks --list 3,1,4 --do transplant:0-47:2,7,2

An ablation (``mask``, ``mask-kept``, ``zero``, ``mean`` or ``resample``) is shown beside nothing
done and beside its matched control, the same ablation of as many positions that are no blanks:
digits and outputs given back. The figure counts mistakes on a sample of random lists. A transplant
takes the chosen blanks' keys and values from the run of another list B; the figure shows, output by
output, the probabilities of A's digit and of B's. Its control takes as many other positions from B.

What it does not show: what a component *does*. Masks take away the attention that rests on the
blanks together with what they hold. In a list of few digits there are fewer other positions than
blanks: the control then takes all of them, and is smaller.
"""

from __future__ import annotations

from dataclasses import dataclass

from analyses.experiment import Experiment
from analyses.experiment.subjects import OfList
from interp.support.errors import at_least

LISTS = 240  # of a sample: intervals of a percent or two, in about a second


@dataclass(frozen=True)
class BlanksSettings:
    """How many lists."""

    lists: int = LISTS  # random lists that an ablation is scored on

    def __post_init__(self) -> None:
        at_least(self, lists=1)


EXPERIMENT = Experiment(
    name="one_list.blanks",
    title="Blanks taken away, or exchanged with another list's",
    about=OfList(do="mask:all"),
    settings=BlanksSettings(),
)
