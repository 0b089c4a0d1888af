"""The logit lens: where along the model does the answer become readable, and do blanks say it?

    python -m analyses.logit_lens
    python -m analyses.logit_lens --model compiled:slots
    python -m analyses.logit_lens --model no-blanks --lists 480

After the list 3 1 1, output row 0 must say 1. Every residual stream on the way (the embedding, then
after each attention and each MLP) is read by the model's own unembedding (see
``interp.methods.lens``): where does 1 come out on top? And at blank j, all but the last: how
probable, and of which rank, are sorted[j], the token that the model emits at output row j, and
BLANK, which it is trained to say?

sorted[j] can be guessed from j alone (the first are small). So each list is set against another of
the same length, in a forced choice: where their sorted[j] differ, does the lens at blank j prefer
its own list's? Any reading that knows the position alone scores exactly 50 %.

What it does not show: what is in directions that the unembedding does not read. The compiled
sorters ``slots`` and ``direct`` hold the answer at their blanks, and the lens sees nothing of it.
So it can say that the answer is at the blanks, and never that it is not.
"""

from __future__ import annotations

from dataclasses import dataclass

from analyses.experiment import Experiment, OnPage, Question
from analyses.experiment.given import OwnLists
from analyses.experiment.subjects import OfModel
from interp.support.errors import at_least


@dataclass(frozen=True)
class LensConfig:
    """How many lists."""

    lists: int = 192  # four of every length up to 48

    def __post_init__(self) -> None:
        at_least(self, lists=1)


EXPERIMENT = Experiment(
    name="logit_lens",
    title="The logit lens",
    about=OfModel,
    settings=LensConfig(),
    chapter=10,
    questions=(
        Question(
            "answer_written_by",
            "where the answer is made",
            plain="Where does the lens first see the answer?",
        ),
        Question(
            "sorted_at_blanks",
            "sorted[j] is at blank j",
            said=bool,
            plain="Does the lens see sorted[j] at blank j?",
            why_wrong="It is there, in directions that the unembedding does not read. A lens can "
            "say that something is there, never that it is not.",
        ),
    ),
    on_page=OnPage(
        "inside",
        "how probable the right answer is at each output after every layer, the same at blank j "
        "for what output j must say, and both as rates with their intervals; for blanks the fair "
        "measure is a forced choice between two lists (chance is 50 %).",
        question="Logit lens: where does the answer become readable, and do the blanks say it?",
        takes="2 seconds",
    ),
    own_lists=OwnLists(),
)
compute = EXPERIMENT.compute
