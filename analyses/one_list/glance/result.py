"""What ``analyses.one_list.glance`` shows: attention of the rows that emit the answer to a list."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from analyses.one_list.answers import Attention
from interp.sites import head_name
from interp.support.errors import UserError
from interp.task import Region, SortTask

REGIONS = (Region.DIGITS, Region.SEP, Region.BLANKS, Region.LAST_BLANK, Region.OUTPUTS)


@dataclass(frozen=True)
class AnswerRows:
    """Attention of the rows that emit the answer to one list."""

    task: SortTask
    length: int
    pattern: Float[np.ndarray, "layer head row key"]
    """Keys are the real positions: the list's first digit is 0."""
    rows: tuple[str, ...]
    """``blank 48 → 1``: where, and what is emitted there."""
    keys: tuple[str, ...]

    @property
    def regions(self) -> list[Region]:
        """Those that the task has; a last region may still be empty, for a list of one digit."""
        return [r for r in REGIONS if self.task.n_blanks or "blank" not in r.value]

    @property
    def spans(self) -> dict[Region, slice]:
        """Keys of each region."""
        start = self.task.max_len - self.length
        spans = {r: self.task.region(r, self.length) for r in self.regions}
        return {r: slice(s.start - start, s.stop - start) for r, s in spans.items()}

    @property
    def shares(self) -> Float[np.ndarray, "layer head region"]:
        """Mean over the rows of the attention that goes to each region."""
        parts = [self.pattern[..., span].sum(-1).mean(-1) for span in self.spans.values()]
        return np.stack(parts, -1)

    @property
    def heads(self) -> list[str]:
        """``layer 0 head 3``, in the order of the pattern."""
        layers, heads = self.pattern.shape[:2]
        return [
            f"head {head_name((layer, head))}" for layer in range(layers) for head in range(heads)
        ]

    def check_head(self, layer: int, head: int) -> None:
        """Raises a ``UserError`` if there is no such head."""
        layers, heads = self.pattern.shape[:2]
        if not (0 <= layer < layers and 0 <= head < heads):
            raise UserError(
                f"there is no head {head} in layer {layer}: layers are 0 to {layers - 1}, heads 0 "
                f"to {heads - 1}"
            )


def answer_rows(attention: Attention, task: SortTask) -> AnswerRows:
    """The rows of all that is known of a sequence which emit its answer."""
    length, n_rows = attention.regions.count(Region.DIGITS), len(attention.emitted)
    return AnswerRows(
        task=task,
        length=length,
        pattern=attention.pattern[..., -n_rows:, :],
        rows=tuple(attention.row_labels),
        keys=attention.labels,
    )
