"""What ``analyses.align_program`` finds: which parts of the model hold which variable."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Int

from analyses.align_program import AlignConfig
from analyses.align_program.subspaces import Subspace
from interp.methods.interchange import Part
from interp.programs.program import Program
from interp.stats import Estimate, wilson


@dataclass(frozen=True)
class Alignment:
    """One variable, one kind of source: what the model says when each part is exchanged."""

    program: str
    variable: str
    family: str
    """One of ``FAMILIES``."""
    answer: Int[torch.Tensor, " pair"]
    """The program's for the base as it is, and the model's."""
    source_answer: Int[torch.Tensor, " pair"]
    counterfactual: Int[torch.Tensor, " pair"]
    said: Int[torch.Tensor, "part pair"]

    @property
    def hits(self) -> Bool[torch.Tensor, "part pair"]:
        """Where the model says the counterfactual."""
        return self.said == self.counterfactual

    def accuracy(self, part: int) -> Estimate:
        """IIA of a part, with a Wilson interval: every base is used once."""

        return wilson(int(self.hits[part].sum()), len(self.counterfactual))


@dataclass(frozen=True)
class PartSet:
    """The smallest set found that reaches the bar together, or the best there is."""

    variable: str
    family: str
    parts: tuple[str, ...]
    accuracy: Estimate
    reached: bool
    misses: tuple[int, int, int]
    """Of the pairs it gets wrong: the model says the base's answer, the source's, another."""


@dataclass(frozen=True)
class AlignResult:
    """Every variable at every part."""

    program: Program
    agreement: Estimate
    """Prompts of the pool to which the model says what the program says; only these are used."""
    parts: tuple[Part, ...]
    alignments: tuple[Alignment, ...]
    """Of the program's variables, in order; then of one that it does not have."""
    foreign: str
    """That variable, with its program: ``rank.position``."""
    sets: tuple[PartSet, ...]
    subspaces: tuple[Subspace, ...]
    config: AlignConfig
    seed: int

    def of(self, variable: str, family: str) -> Alignment | None:
        """None where there are no such pairs."""
        found = (a for a in self.own if (a.variable, a.family) == (variable, family))
        return next(found, None)

    @property
    def own(self) -> list[Alignment]:
        """Without the foreign variable."""
        return [a for a in self.alignments if a.program == self.program.name]
