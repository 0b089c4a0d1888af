"""Where does each head look, and what do its weights say it would look for?

    python -m analyses.heads.attention_patterns
    python -m analyses.heads.attention_patterns --model no-blanks --length 48

Lists of one length are run along their right answers, and the patterns of every head are averaged
at the *answer rows*, those that emit the sorted digits. With the list 3 1 1 and three blanks:

    3 1 1 SEP _ _ _ 1 1         rows: the last _ emits 1, the first 1 emits 1, the second emits 3
                                keys: everything up to the row itself

Per head, with intervals over lists: attention to each region; entropy, as a share of that of
uniform attention; the constant offset that gathers most; how much of the pattern is a function of
the offset alone; attention to an equal digit, the next larger one, the digit to be emitted, the
previous position and the row's own blank, each *above chance* (see ``interp.methods.attention`` for
exact definitions). Below, the QK circuit over tokens and the OV circuit to the logits, which are
read off the weights and see the direct path only (``interp.methods.circuits`` says where that is
exact).

What it does not show: whether anything is read where a head looks. A head can look at its own blank
and write nothing (``compiled:direct``), and one that carries all counts can look like one that
rests on SEP (``compiled:slots``). ``analyses.heads.head_finder`` tells them apart.
"""

from __future__ import annotations

from dataclasses import dataclass

from analyses.experiment import Experiment, Needs, Question
from analyses.experiment.given import OwnLists
from analyses.experiment.subjects import OfModel
from interp.support.errors import UserError, at_least


@dataclass(frozen=True)
class PatternConfig:
    """Which lists, and from when on a head is said to look for something."""

    lists: int = 96  # enough for intervals of a few percent
    length: int = (
        24  # of all lists, so that positions mean the same; or the longest the model takes
    )
    looks: float = 0.25  # attention to a target above chance from which it is named

    def __post_init__(self) -> None:
        at_least(self, lists=2, length=1)
        if not 0 <= self.looks < 1:
            raise UserError(f"--looks must be from 0 to below 1, not {self.looks}")


EXPERIMENT = Experiment(
    name="heads.attention_patterns",
    title="Where heads look",
    about=OfModel,
    settings=PatternConfig(),
    needs_task=Needs.ALIKE,
    chapter=8,
    questions=(
        Question(
            "own blank",
            "attention taken for use: blank i feeds output i",
            lambda t: t.blank_output == "diagonal",
            bool,
            plain="Judged by attention alone: does blank i feed output i?",
            why_wrong="A head looks from output i at blank i, and writes nothing. Attention shows "
            "where a head looks, never that anything is read there.",
        ),
    ),
    own_lists=OwnLists(length="length", least=2),
)
compute = EXPERIMENT.compute
