"""A drop of accuracy in training: which outputs go wrong, which weights did it, and what stops it?

    python -m analyses.crash --run runs/studies/quick/no-blanks/seed-0000
    python -m analyses.crash --run runs/studies/quick/blanks/seed-0003 --step 760

The run is made again in memory, bit for bit, up to some steps before the drop, and from there
watched step by step: exact match on held-out lists, of the weights and of an average of them, and
how far each update moves them. Three states are then compared: before (the best step of the
window), in (the worst one after it) and after (the best one after that).

- Which outputs go wrong in the drop, and how: does the model leave a digit early, stay too long?
- Which weights did it: one group of them at a time is put back as it was before (*denoising*: does
  that bring accuracy back?), and put into the state before as it was in the drop (*noising*).
- What stops it: from the state before, the same steps with one thing changed: other lists and
  dropout masks, a quarter of the learning rate, a clipped gradient, a shorter memory of Adam's, no
  dropout.

What it does not show: what happens in drops that last for hundreds of steps, where the window holds
no state after them. A drop that comes again with other lists was in the state before; one that
does not was in the lists, or in the noise of the steps.
"""

from __future__ import annotations

from dataclasses import dataclass

from analyses.experiment import Experiment, OnPage
from analyses.experiment.given import OwnLists
from analyses.experiment.subjects import OfRun
from interp.support.errors import at_least, check_decay


@dataclass(frozen=True)
class CrashSettings:
    """Which drop, and how closely it is looked at."""

    step: int | None = None  # of the drop (default: the first of the run's curve)
    before: int = 40  # steps that are watched before it
    after: int = 20  # and after it
    lists: int = 500  # held-out, for exact match: intervals of a few percent
    others: int = 5  # times that the same steps are made with other lists
    decay: float = 0.95  # of the average of the weights

    def __post_init__(self) -> None:
        at_least(self, before=2, after=1, lists=10, others=1)
        check_decay(self.decay)


SHIPPED = ("quick", "no-blanks", 0)
"""The run whose first drop comes with the package: a plan, an arm of it and a seed."""
SHIPPED_RUN = "runs/studies/{}/{}/seed-{:04d}".format(*SHIPPED)
"""Its folder, once ``training.study`` has made it again."""

EXPERIMENT = Experiment(
    name="crash",
    title="A drop of accuracy in training",
    about=OfRun,
    settings=CrashSettings(),
    on_page=OnPage(
        page="training",
        question="What is a drop of accuracy?",
        shows="step by step how many held-out lists come out, of the weights and of an average of "
        "them; below, in which way outputs go wrong, in the drop and before it; what one group of "
        "weights does, put back as it was or put in as it is in the drop; and the same steps made "
        "again with one thing changed. 95 % intervals.",
        takes="a minute for a small run",
    ),
    own_lists=OwnLists(rest="Training goes on with its own lists."),
)
