"""What ``analyses.one_list.answer.body`` finds: an answer, its probabilities, and the attention.

Shape glossary: ``step`` output i of the answer, ``token`` the 12 that can be said, ``query key``
the real positions of one sequence, left padding left out.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import TYPE_CHECKING

from jaxtyping import Float

from interp.support.lazy import lazy_import
from interp.task import BLANK, TOKEN_LABELS, Region

if TYPE_CHECKING:
    import numpy as np
else:
    np = lazy_import("numpy")


@dataclass(frozen=True)
class Output:
    """One step of greedy decoding."""

    token: int
    expected: int
    probability: float
    runner_up: int
    runner_up_probability: float

    @property
    def right(self) -> bool:
        return self.token == self.expected


@dataclass(frozen=True)
class Answer:
    """What the model says to a list, each output given the ones that it said before."""

    digits: tuple[int, ...]
    outputs: tuple[Output, ...]

    @property
    def wrong(self) -> list[int]:
        """Outputs that are not the sorted digit of their place, counted from 0."""
        return [i for i, output in enumerate(self.outputs) if not output.right]

    @property
    def text(self) -> str:
        """``1 1 3``; a token that is no digit by its name."""
        return " ".join(token_name(output.token) for output in self.outputs)

    def changed_from(self, other: Answer) -> list[int]:
        """Outputs that are another token than in ``other``, an answer to the same list."""
        pairs = zip(self.outputs, other.outputs, strict=True)
        return [i for i, (one, two) in enumerate(pairs) if one.token != two.token]


@dataclass(frozen=True)
class Told:
    """An answer with all of its probabilities."""

    answer: Answer
    probabilities: Float[np.ndarray, "step token"]
    """Each step's distribution over the 12 tokens, given the outputs before it."""


@dataclass(frozen=True)
class Attention:
    """Every head's attention over the real positions of one sequence, with their labels."""

    pattern: Float[np.ndarray, "layer head query key"]
    labels: tuple[str, ...]
    """``in 3: 7``, ``SEP``, ``blank 4``, ``out 0: 1``"""
    emitted: tuple[str, ...]
    """What the last ``len(emitted)`` positions emit: the answer."""
    regions: tuple[Region, ...]
    """Of each position, as ``labels`` are."""
    start: int
    """The first position's number in the full sequence, left padding counted."""

    @cached_property
    def edges(self) -> tuple[int, ...]:
        """Where a new region begins (SEP, blanks, last blank, outputs), counted as ``labels``."""
        return tuple(i for i, (a, b) in enumerate(pairwise(self.regions), 1) if a is not b)

    @property
    def row_labels(self) -> list[str]:
        """Labels of the rows that emit the answer, and what each emits."""
        rows = self.labels[-len(self.emitted) :]
        return [f"{row} → {token}" for row, token in zip(rows, self.emitted, strict=True)]


@dataclass(frozen=True)
class HeadLook:
    """What one head attends to in one row."""

    layer: int
    head: int
    top: tuple[tuple[str, float], ...]
    """Label and weight of the positions it attends to most, the most first; none of weight 0."""
    shares: tuple[tuple[Region, float], ...]
    """The weight of every region that the row can see."""


def token_name(token: int) -> str:
    """For people: ``7``, ``SEP``, ``BLANK``."""
    return "BLANK" if token == BLANK else TOKEN_LABELS[token]


def region_name(region: Region) -> str:
    """For people: ``digits``, ``SEP``, ``last blank``."""
    return "SEP" if region is Region.SEP else region.value


def weights_at(seen: Attention, step: int) -> Float[np.ndarray, "layer head key"]:
    """What the row that emits output ``step`` attends to, of the positions up to itself."""
    row = len(seen.labels) - len(seen.emitted) + step
    return seen.pattern[:, :, row, : row + 1]


def head_looks(seen: Attention, step: int, most: int = 3) -> list[HeadLook]:
    """The positions and regions that every head attends to at one step."""
    weights = weights_at(seen, step)
    regions = np.array(seen.regions[: weights.shape[-1]])
    seen_regions = list(dict.fromkeys(seen.regions[: weights.shape[-1]]))
    found = []
    for layer, head in np.ndindex(*weights.shape[:2]):
        row = weights[layer, head]
        best = [int(i) for i in (-row).argsort(kind="stable")[:most] if row[i] > 0]
        top = tuple((seen.labels[i], float(row[i])) for i in best)
        shares = tuple((region, float(row[regions == region].sum())) for region in seen_regions)
        found.append(HeadLook(layer, head, top, shares))
    return found
