"""Settings that several experiments share. Free of torch, as every face is."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from interp.support.errors import UserError, at_least


@dataclass(frozen=True)
class PairConfig:
    """How many pairs of lists, and which."""

    pairs: int = 48  # enough for intervals of a few percent
    length: int = 12  # digits per list, or the model's longest: one for all, so positions compare
    list: str | None = None  # your own clean list, like 3,1,4,1,5, or a file (with --corrupt)
    corrupt: str | None = None  # the corrupted list, of the same length, or a file of as many

    def __post_init__(self) -> None:
        at_least(self, pairs=1, length=2)
        if (self.list is None) != (self.corrupt is None):
            raise UserError("--list and --corrupt go together: a pair of lists of the same length")

    @property
    def own(self) -> tuple[str, ...]:
        """What the folder of results is called after, for a pair that was asked for."""
        if not (self.list and self.corrupt):
            return ()
        return (Path(self.list).name, "to", Path(self.corrupt).name)  # either may be a file
