"""What ``analyses.one_reader`` finds: how often one reader says what the model says."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from jaxtyping import Int

from analyses.one_reader import OneReaderConfig
from interp.methods.one_reader import OTHERS, Others
from interp.stats import Estimate, wilson

RIGHT = "right prefixes"
CUTS: dict[str, tuple[Others, ...]] = {
    "digits": ("digits",),
    "blanks and SEP": ("rest",),
    "outputs": ("outputs",),
    "all but the row": OTHERS,
}
"""The tokens that are known by digit, place and count alone, column by column; the last is the
program."""


@dataclass(frozen=True)
class Kind:
    """The prompts of one kind."""

    name: str
    said: Int[torch.Tensor, " prompt"]
    """By the model."""
    cut: Int[torch.Tensor, "cut prompt"]
    """By the model with the tokens of each of ``CUTS`` cut down."""

    @property
    def rates(self) -> tuple[Estimate, ...]:
        """Of every cut, how often it says what the model says."""
        same = self.cut == self.said
        return tuple(wilson(int(one.sum()), len(self.said)) for one in same)


@dataclass(frozen=True)
class Exchanged:
    """One part of the row, from another prompt; in the model, and in the program."""

    part: str
    """``head 0.4``, ``attention 0``"""
    model: Int[torch.Tensor, " pair"]
    program: Int[torch.Tensor, " pair"]
    unchanged: Int[torch.Tensor, " pair"]
    """What the model says with nothing exchanged."""

    @property
    def rate(self) -> Estimate:
        """How often the two say the same."""
        return wilson(int((self.model == self.program).sum()), len(self.model))

    @property
    def where_it_changes(self) -> Estimate | None:
        """The same of those pairs in which the model's answer changes; None where none does."""
        changes = self.model != self.unchanged
        if not changes.any():
            return None
        return wilson(int((self.model == self.program)[changes].sum()), int(changes.sum()))


@dataclass(frozen=True)
class OneReaderResult:
    """All kinds of prompts, and all parts of the row."""

    kinds: tuple[Kind, ...]
    """Right prefixes first."""
    exchanged: tuple[Exchanged, ...]
    known: Mapping[Others, int]
    """How many features there are of each region."""
    config: OneReaderConfig
    seed: int

    def worst(self, cut: int) -> Kind:
        """The kind in which a cut says least often what the model says; the last of equals."""
        return min(reversed(self.kinds), key=lambda kind: kind.rates[cut].value)

    def costs(self, cut: int) -> bool:
        """Whether it is below the bar somewhere."""
        return self.worst(cut).rates[cut].value < self.config.bar

    @property
    def least_exchanged(self) -> Exchanged:
        """The part with which the program says least often what the model says."""
        return min(self.exchanged, key=lambda one: one.rate.value)
