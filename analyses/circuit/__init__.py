"""The circuit: the smallest set of edges that keeps the answer.

    python -m analyses.circuit
    python -m analyses.circuit --model compiled:slots       # exactly the edges of its making
    python -m analyses.circuit --model no-blanks --keep 0.95

Every head, MLP and the embedding writes into the residual stream, and every query, key, value, MLP
and the logits read from it. An *edge* is one reader reading what one writer wrote, in one region of
the sequence and for the rows of one region:

    embed@digits > 0.4.v@outputs        for output rows, head 0.4 reads digits' values in the list

Lists are paired with donors, other lists of the same length with an answer of their own, and edges
that are left out carry the donor's run. Edges are ranked by edge attribution patching with
integrated gradients, and then left out one after the other, each checked exactly, for as long as
the *margin* of the answers (their logit minus the largest other) is off by at most 1, 5, 10 and 20
per cent of what the donor would make of it. The definitions are in
``interp.methods.circuit_run``, ``circuit_scores`` and ``circuit_search``.

Reported, on lists that were not searched with: *faithfulness*, the share of the margin that is
kept, and the share of outputs and of whole lists that stay; *completeness*, what the model can do
without the circuit, and whether both lose the same without random halves of it; *minimality*, what
each edge of the drawn level brings. Controls: as many edges at random, and as many by attribution
alone. The first output is emitted at the last blank, and stands apart. Besides figure, result and
manifest the command writes the drawn graph as ``circuit.svg``.

What it does not show: a circuit has only what differs from list to list. What is the same for all,
as what blanks hold may be, is never taken away; edges that can stand in for each other need not
both be found; and an edge says that something is read, not what.
"""

from __future__ import annotations

from dataclasses import dataclass

from analyses.experiment import Experiment, Needs, OnPage, Question
from analyses.experiment.given import OwnLists
from analyses.experiment.subjects import OfModel
from interp.support.errors import UserError, at_least

LEVELS = (0.99, 0.95, 0.9, 0.8)
"""1 minus the largest error; the first is the circuit *to the letter*."""


@dataclass(frozen=True)
class CircuitConfig:
    """How many lists, and which level is taken apart."""

    lists: int = 48  # that judge, of four lengths: enough for intervals of a few percent
    searched: int = 24  # other lists, on which edges are left out
    keep: float = 0.9  # the level that is drawn: few enough edges to be read

    def __post_init__(self) -> None:
        at_least(self, lists=4, searched=4)
        if not 0 < self.keep <= LEVELS[0]:
            raise UserError(
                f"--keep must be above 0 and at most {LEVELS[0]}, not {self.keep}: "
                "it is 1 minus the error that is allowed"
            )

    @property
    def levels(self) -> list[float]:
        """From the strictest to the loosest, ``keep`` among them."""
        return sorted({*LEVELS, self.keep}, reverse=True)


EXPERIMENT = Experiment(
    name="circuit",
    title="The circuit",
    about=OfModel,
    settings=CircuitConfig(),
    needs_task=Needs.ALIKE,
    chapter=13,
    questions=(
        Question(
            "edges",
            "edges of the circuit",
            lambda t: sorted(map(str, t.circuit)),
            plain="Which edges are the circuit?",
        ),
        Question(
            "faithful",
            "share of outputs that it keeps",
            lambda t: 1.0,
            plain="What share of outputs does the circuit keep?",
        ),
        Question(
            "left", "share kept without it", lambda t: 0.0, plain="What share is kept without it?"
        ),
    ),
    on_page=OnPage(
        page="algorithm",
        question="Which edges does the answer need?",
        shows="the smallest set of edges that keeps the answer, and what is lost without each; "
        "everything else is as for another list.",
        takes="2 minutes",
    ),
    own_lists=OwnLists(least=4, rest="Edges are searched for on drawn lists, as ever."),
)
compute = EXPERIMENT.compute
