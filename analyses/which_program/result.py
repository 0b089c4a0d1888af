"""What ``analyses.which_program`` finds: how often each program says what the model says."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import torch
from jaxtyping import Bool, Int

from analyses.which_program import WhichProgramConfig
from interp.programs.balance import BalanceNumbers
from interp.programs.program import Program
from interp.stats import Estimate, clustered_rate, wilson

CLEAN = "right prefixes"


@dataclass(frozen=True)
class Kind:
    """What the model and every program say to the prompts of one kind."""

    name: str
    judged: bool
    """Whether the winner has to reach the bar here."""
    said: Int[torch.Tensor, "list row"]
    """By the model. One row a list where prefixes are edited, else one for every output."""
    answers: Int[torch.Tensor, "program list row"]
    counted: Bool[torch.Tensor, "list row"]
    reordered: Int[torch.Tensor, "list row"] | None = None
    """What the model says when the list and the outputs before the last stand in another order;
    None where prefixes are right."""

    @property
    def agrees(self) -> Bool[torch.Tensor, "program list row"]:
        """Where a program says what the model says."""
        return (self.answers == self.said) & self.counted


@dataclass(frozen=True)
class WhichProgramResult:
    """All kinds, and all prompts on which two programs differ."""

    programs: tuple[Program, ...]
    kinds: tuple[Kind, ...]
    """Those that can be made in this model's task."""
    edited: Kind
    """All edited prompts, those found by search included."""
    config: WhichProgramConfig
    seed: int
    fitted: BalanceNumbers | None = None
    """The numbers of the last program, if it is *balance*."""

    def agreement(self, program: int, kind: int) -> Estimate:
        """The share of outputs that a program gets as the model has them; ``n`` is lists."""
        return self._agreement[kind][program]

    def same_list(self, program: int, kind: int) -> Estimate:
        """The share of lists of which a program gets every output as the model has it."""

        chosen = self.kinds[kind]
        same = (chosen.agrees[program] == chosen.counted).all(1)
        return wilson(int(same.sum()), len(same))

    def itself(self, kind: int) -> Estimate | None:
        """The share of prompts to which the model says the same in another order."""
        chosen = self.kinds[kind]
        if chosen.reordered is None:
            return None
        return wilson(int((chosen.said == chosen.reordered).sum()), len(chosen.said))

    @cached_property
    def _agreement(self) -> list[list[Estimate]]:
        return [[_rate(k, k.agrees[p], self.seed) for p in self._numbers] for k in self.kinds]

    @property
    def _numbers(self) -> range:
        return range(len(self.programs))

    def parted(self, first: int, second: int) -> tuple[int, int, int]:
        """Edited prompts on which two programs differ: how many, and how often each is right."""
        differ = self.edited.answers[first] != self.edited.answers[second]
        agrees = self.edited.agrees[:, differ]
        return int(differ.sum()), int(agrees[first].sum()), int(agrees[second].sum())

    def worst(self, program: int) -> float:
        """A program's agreement where it is lowest, over the kinds of edits that are judged."""
        rates = (self.agreement(program, k).value for k in self._judged)
        return min(rates, default=0.0)

    @property
    def _judged(self) -> list[int]:
        return [k for k, kind in enumerate(self.kinds) if kind.judged and kind.name != CLEAN]

    @property
    def _fixed(self) -> range:
        """The programs that nothing was fitted for."""
        return range(len(self.programs) - (self.fitted is not None))

    @property
    def best(self) -> tuple[int, ...]:
        """The program whose worst kind is best, and those that never differ from it; *balance*
        aside."""
        first = max(self._fixed, key=lambda p: (self.worst(p), self._clean(p)))
        return tuple(p for p in self._fixed if p == first or not self.parted(first, p)[0])

    @property
    def winner(self) -> tuple[int, ...]:
        """``best`` if it is above the bars; else *balance* if that is; else nothing."""
        if self._above(self.best[0]):
            return self.best
        last = len(self.programs) - 1
        return (last,) if self.fitted is not None and self._above(last) else ()

    def _above(self, program: int) -> bool:
        bar, clean_bar = self.config.bar, self.config.clean_bar
        return self.worst(program) >= bar and self._clean(program) >= clean_bar

    def _clean(self, program: int) -> float:
        return self.agreement(program, [kind.name for kind in self.kinds].index(CLEAN)).value


def _rate(kind: Kind, agrees: Bool[torch.Tensor, "list row"], seed: int) -> Estimate:

    if agrees.shape[1] == 1:
        return wilson(int(agrees.sum()), len(agrees))
    return clustered_rate(agrees, kind.counted, seed)
