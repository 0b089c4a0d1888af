"""What is said at every number of a head."""

from __future__ import annotations

from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor


@dataclass(frozen=True, eq=False)
class Dialled:
    """One prefix of one list."""

    head: int
    """Of layer 0."""
    prefix: tuple[int, ...]
    own: float
    """The number that there is."""
    as_it_is: Float[Tensor, " token"]
    """Probabilities, with that."""
    numbers: Float[Tensor, " number"]
    probabilities: Float[Tensor, "number token"]

    @property
    def said(self) -> int:
        """The token that leads, with the number that there is."""
        return int(self.as_it_is.argmax())
