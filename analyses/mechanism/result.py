"""What ``analyses.mechanism`` finds: how well the weights' rule is the model's."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int

from interp.programs.parts import NONE
from interp.programs.soft import Decisions, SoftProgram
from interp.stats import Estimate, clustered_rate, wilson


@dataclass(frozen=True)
class Judged:
    """The hard and the soft program on lists that were not fitted."""

    kind: str
    hard: Bool[torch.Tensor, " row"]
    """Where the hard program says what the model says."""
    soft: Bool[torch.Tensor, " row"]
    list_number: Int[torch.Tensor, " row"]

    def outputs(self, soft: bool) -> Estimate:
        """The share of outputs, with a bootstrap over lists."""

        table, counted = self._by_list(self.soft if soft else self.hard)
        return clustered_rate(table, counted)

    def lists(self, soft: bool) -> Estimate:
        """The share of lists of which every output is the model's."""

        table, counted = self._by_list(self.soft if soft else self.hard)
        return wilson(int((table == counted).all(1).sum()), len(table))

    def _by_list(
        self, right: Bool[torch.Tensor, " row"]
    ) -> tuple[Bool[torch.Tensor, "list row"], Bool[torch.Tensor, "list row"]]:
        number = self.list_number.unique(return_inverse=True)[1]
        counted = number == torch.arange(int(number.max()) + 1)[:, None]
        return counted & right, counted


@dataclass(frozen=True)
class Weights:
    """What a head of layer 0 looks for and writes, from its weights."""

    scores: Float[torch.Tensor, "region query_digit key_digit"]
    """Mean attention score over positions; regions: the list, the outputs."""
    equality: Float[torch.Tensor, " region"]
    """Mean score of equal digits minus that of others."""
    own_highest: Float[torch.Tensor, " region"]
    """How often a row's own digit has the highest score of the ten, over rows and positions."""
    difference: Float[torch.Tensor, " digit"]
    """What it writes for a copy in the list less what it writes for one that is out: its length,
    over their mean length. 0: the two cannot be told apart; 2: they are opposite."""
    shared: Float[torch.Tensor, ""]
    """Mean cosine of that difference between two digits: 1 if it is one direction for all."""


@dataclass(frozen=True)
class Exchanged:
    """A run after a right prefix, with something of the run after a wrong one that ends in the same
    digit: whether it says what that one says."""

    kind: str
    numbers: tuple[float, float]
    """The head's number after the wrong prefixes: between these in 90 % of them."""
    untouched: Bool[torch.Tensor, " pair"]
    """With nothing of it."""
    number: Bool[torch.Tensor, " pair"]
    """With the head's number alone."""
    head: Bool[torch.Tensor, " pair"]
    """With all that the head writes."""
    others: Bool[torch.Tensor, "other pair"]
    """With what another head of its layer writes, of each."""

    def rates(self) -> dict[str, Estimate]:
        """By what is exchanged; of the other heads the one that gets most."""
        most = int(self.others.sum(1).max()) if len(self.others) else int(self.untouched.sum())
        counts = {
            "nothing": int(self.untouched.sum()),
            "its number": int(self.number.sum()),
            "the head": int(self.head.sum()),
            "another head": most,
        }
        return {name: wilson(count, len(self.number)) for name, count in counts.items()}


@dataclass(frozen=True)
class Turned:
    """What is said when one number of the head is set (:mod:`interp.methods.dial`)."""

    head: int
    values: Float[torch.Tensor, " value"]
    said: Int[torch.Tensor, "value prompt"]
    """After right prefixes of which all copies of the last digit are out, and more is to come;
    NONE where it is no digit."""
    last: Int[torch.Tensor, " prompt"]
    larger: Int[torch.Tensor, " prompt"]
    """The next larger digit of the list, which is right."""
    right: tuple[float, float]
    """The number that there is, between these in 90 % of those prefixes and of those one shorter,
    after which the digit may be to come again."""
    exchanged: tuple[Exchanged, ...]

    def shares(self) -> dict[str, list[Estimate]]:
        """By what is said, the share of prompts at every value."""
        said, last, larger = self.said, self.last, self.larger
        kinds = {
            "no digit": said == NONE,
            "a smaller digit": (said != NONE) & (said < last),
            "the same again": said == last,
            "the next larger": said == larger,
            "too far up": said > larger,
        }
        return {
            name: [wilson(int(row.sum()), len(row)) for row in rows] for name, rows in kinds.items()
        }


@dataclass(frozen=True)
class MechanismResult:
    """See the module's description."""

    flips: dict[str, Estimate]
    """Of every head and MLP at the row: IIA of ``stay`` between prompts that are alike."""
    head: tuple[int, int]
    """Of the heads, the one that flips most."""
    weights: Weights | None
    """None for a head that is not in layer 0."""
    masses: Float[torch.Tensor, " kind"]
    """That head's mean attention by ``MASSES``, over outputs of random lists."""
    decisions: Decisions
    """After right prefixes of all kinds of lists."""
    soft: SoftProgram
    judged: tuple[Judged, ...]
    turned: Turned | None
    """None for a head that is not in layer 0."""
    seed: int
