"""Where the heads look at one step of an answer, in numbers and in a few words."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from analyses.one_list.answers import Attention
from interp.task import Region


@dataclass(frozen=True)
class HeadAttention:
    """What one head attends to in one row."""

    layer: int
    head: int
    top: tuple[tuple[str, float], ...]
    """Label and weight of the positions it attends to most, the most first; none of weight 0."""
    shares: tuple[tuple[Region, float], ...]
    """The weight of every region that the row can see."""


def weights_at(attention: Attention, step: int) -> Float[np.ndarray, "layer head key"]:
    """What the row that emits output ``step`` attends to, of the positions up to itself."""
    row = len(attention.labels) - len(attention.emitted) + step
    return attention.pattern[:, :, row, : row + 1]


def attention_by_head(attention: Attention, step: int, most: int = 3) -> list[HeadAttention]:
    """The positions and regions that every head attends to at one step."""
    weights = weights_at(attention, step)
    regions = np.array(attention.regions[: weights.shape[-1]])
    seen_regions = list(dict.fromkeys(attention.regions[: weights.shape[-1]]))
    found = []
    for layer, head in np.ndindex(*weights.shape[:2]):
        row = weights[layer, head]
        best = [int(i) for i in (-row).argsort(kind="stable")[:most] if row[i] > 0]
        top = tuple((attention.labels[i], float(row[i])) for i in best)
        shares = tuple((region, float(row[regions == region].sum())) for region in seen_regions)
        found.append(HeadAttention(layer=layer, head=head, top=top, shares=shares))
    return found
