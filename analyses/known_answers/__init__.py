"""The scoreboard: every method on every sorter compiled by hand, against what is known to be true.

    python -m analyses.known_answers
    python -m analyses.known_answers --max-len 8        # smaller sorters, the same algorithms
    python -m analyses.known_answers --task reverse     # the models compiled for another task
    python -m analyses.known_answers --only ablate_blanks transplant_blanks

Of the other tasks, two models reverse a list (by way of the blanks and past them), and one tells
whether it holds an odd number of ones; what is asked of sorting alone is not asked there.

A row is one question put to one method about one sorter: what the method said, what is true, and
whether that is right. The sorters and their truths are in ``interp.sorters.compiled`` and
``interp.sorters.truth``. Some questions are asked of a method that is known to be unable to answer
them, such as whether blanks are used, of attention alone: these rows are meant to be seen, and
docs/methods.md explains every one that is wrong. None is left out to make the table green.

What it does not show: that a method is right about a trained model, whose algorithm may be of
another kind than these.
"""

from __future__ import annotations

from dataclasses import dataclass

from analyses.experiment import Experiment, OnPage, catalogue
from analyses.experiment.subjects import OfSorters
from interp.sorters.truth import compiled_for, task_for
from interp.support.errors import UserError

_LONGEST = 128  # what is swept grows with the square of it: at 48 it takes a minute


@dataclass(frozen=True)
class KnownAnswersConfig:
    """Which sorters, and which methods."""

    max_len: int = 48  # longest list; the sorters have one blank more
    only: tuple[str, ...] = ()  # some analyses by name (default: all)
    task: str = "sort"  # whose compiled models: sort, reverse or parity

    def __post_init__(self) -> None:
        if self.max_len < 4:
            raise UserError(
                f"--max-len must be at least 4, not {self.max_len}: shorter lists tell too little"
            )
        compiled_for(self.task)  # raises
        if self.max_len > _LONGEST:
            raise UserError(f"--max-len must be at most {_LONGEST}, not {self.max_len:,}")
        if self.only:
            catalogue.check_names(self.only, asked(self.task))


def asked(task: str = "sort") -> list[Experiment]:
    """Those that have a question for the scoreboard, and do what that task needs."""
    example = task_for(compiled_for(task)[0])
    found = catalogue.experiments().values()
    return [one for one in found if one.questions and one.needs_task.met_by(example)]


EXPERIMENT = Experiment(
    name="known_answers",
    title="The scoreboard",
    about=OfSorters,
    settings=KnownAnswersConfig(),
    on_page=OnPage(
        "truth",
        "what each method said of each sorter; ✓ where that is the known truth. Yes, no, shares "
        "from 0 to 1, heads as layer.head.",
        takes="60 s",
        quick={"max_len": 6},
        quick_takes="28 s",
    ),
)
compute = EXPERIMENT.compute
