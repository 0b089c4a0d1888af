"""What the blanks are for: put less and less in their place, and see when lists stop coming out.

    python -m analyses.reduce_blanks
    python -m analyses.reduce_blanks --model compiled:sink

At the rows that answer, in every layer, the blanks (all but the last, itself such a row) are
replaced, step by step, by less:

    as it is            nothing is done
    one blank           the one in the middle alone, its attention score raised by log n
    mean keys, values   at every blank, those of its mean over other lists
    one key and value   the same mean for all blanks: n equal places of no content
    one key, no value   the same keys, and nothing is gathered there: a share of attention alone
    a fixed vector      weights as they are; what is gathered at the blanks is one vector for each
                        layer and head, the mean over outputs of other lists
    a share and bias    no blank is attended to; attention to the rest is a softmax of its own,
                        times one number for each head, plus the vector
    a bias              the same without the number
    nothing             no blank is attended to (the published mask, in every layer)

The smallest replacement under which lists still come out says what the blanks do. That a step is
exact shows that what it took away is not needed, on these lists; that a step fails shows that it is
needed in this place, for the model was trained with it.

What it does not show: what the last blank gives, which stays (the sorter ``histogram`` does with it
alone, for it holds what all the others hold); and whether a model trained without blanks finds
another way, as ``no-blanks`` does.
"""

from __future__ import annotations

from dataclasses import dataclass

from analyses.experiment import Experiment, Question
from analyses.experiment.given import OwnLists
from analyses.experiment.subjects import OfModel
from interp.support.errors import UserError, at_least


@dataclass(frozen=True)
class ReduceConfig:
    """How many lists, and when a step counts as harmless."""

    lists: int = 240  # five of every length up to 48
    bar: float = 0.95  # the share of the lists that come out as they are that a step must keep

    def __post_init__(self) -> None:
        at_least(self, lists=1)
        if not 0 < self.bar <= 1:
            raise UserError(f"--bar must be above 0 and at most 1, not {self.bar}")


EXPERIMENT = Experiment(
    name="reduce_blanks",
    title="What the blanks are for",
    about=OfModel,
    settings=ReduceConfig(),
    chapter=16,
    needs_blanks=True,
    questions=(
        Question(
            "each",
            "each blank is needed as it is",
            lambda t: t.blank_output == "diagonal",
            plain="Does every blank hold something of its own that is used?",
        ),
    ),
    own_lists=OwnLists(rest="What is put in their place is the mean over drawn lists, as ever."),
)
compute = EXPERIMENT.compute
