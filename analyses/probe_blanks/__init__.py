"""Linear probes at the blanks: what could be read there, and would it be there without training?

    python -m analyses.probe_blanks
    python -m analyses.probe_blanks --model compiled:direct
    python -m analyses.probe_blanks --lists-any-length 600 --blanks 4

At blank 3 of the list 3 1 4 1 5, a probe (a linear function of the residual stream, fitted on other
lists) must tell sorted[3] = 4, the counts C(<=0) = 0, C(<=1) = 2, ... of digits up to each value,
and the length 5. Beside each score stand what the best guess from j and the length alone gets, what
the same probe gets when asked for arbitrary labels (the control task), and what can be told from an
untrained twin of the model; see ``interp.methods.probes``. All of it for lists of any length, and
again for lists of one length, where the length can tell nothing.

**Something is called readable** if, before the last layer and on both sets of lists, its probe
removes at least ``--least`` of the best guess's error, and beats the control task and the untrained
twin, each with the low end of its 95 % interval.

What it does not show: *use*. ``compiled:direct`` holds sorted[j] at every blank, and nothing reads
it. ``ablate_blanks`` and ``transplant_blanks`` are about use.
"""

from __future__ import annotations

from dataclasses import dataclass

from analyses.experiment import Experiment, Needs, OnPage, Question
from analyses.experiment.given import OwnLists
from analyses.experiment.subjects import OfModel
from interp.support.errors import UserError, at_least


@dataclass(frozen=True)
class ProbeConfig:
    """How many lists and blanks, and what counts as readable."""

    lists_any_length: int = 2400  # two thirds to fit, a third to score
    lists_one_length: int = 1200  # every one of them reaches every blank, so fewer will do
    length: int = 48  # of those; the longest, so that every blank has a sorted digit
    blanks: int = 12  # probed, evenly spread: every fourth of 48
    least: float = 0.9  # of the best guess's error that a probe removes of what is readable

    def __post_init__(self) -> None:
        at_least(self, lists_any_length=1, lists_one_length=1, length=1, blanks=1)
        if not 0 < self.least < 1:
            raise UserError(f"--least must be between 0 and 1, not {self.least}")


EXPERIMENT = Experiment(
    name="probe_blanks",
    title="Probing the blanks",
    about=OfModel,
    settings=ProbeConfig(),
    needs_task=Needs.SORTING,
    chapter=12,
    needs_blanks=True,
    questions=(
        Question(
            "sorted",
            "sorted[j] is readable",
            lambda t: "sorted" in t.decodable,
            plain="Can a probe read sorted[j] at blank j?",
        ),
        Question(
            "counts",
            "counts are readable",
            lambda t: "counts" in t.decodable,
            plain="Can a probe read the counts there?",
        ),
        Question(
            "sorted",
            "readable taken for use: blanks are read",
            lambda t: t.blanks_content,
            plain="Judged by probes alone: are the blanks used?",
            why_wrong="The blanks hold a copy that nothing reads. A probe alone never shows use.",
        ),
    ),
    on_page=OnPage(
        "inside",
        "how well a linear function of a blank's residual stream tells sorted[j], the counts and "
        "the length on lists that it was not fitted on; beside it the best guess from position and "
        "length, a control task with arbitrary labels, and an untrained twin of the model.",
        question="Probes with their controls: what could be read linearly at the blanks?",
        takes="30 seconds",
    ),
    own_lists=OwnLists(
        counts="lists_any_length", least=60, rest="Those of one length are drawn as ever."
    ),
)
compute = EXPERIMENT.compute
