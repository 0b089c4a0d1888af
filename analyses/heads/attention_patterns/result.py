"""What ``analyses.heads.attention_patterns`` finds: statistics list by list, and circuits."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from jaxtyping import Float

from analyses.heads.attention_patterns import PatternConfig
from interp.methods.attention import (
    ANSWER_ROWS,
    KEYS,
    ROWS,
    AttentionStats,
    head_scores,
)
from interp.stats import Estimate
from interp.task import Region

BEST = "best offset"


@dataclass(frozen=True)
class PatternResult:
    """Statistics list by list, and the circuits of every layer."""

    stats: AttentionStats
    qk: Float[torch.Tensor, "layer head query_token key_token"]
    """Scores of the direct path, less their mean over the digits as keys."""
    ov: Float[torch.Tensor, "layer head source_token output_token"]
    """Logits of the direct path, less their mean over the outputs."""
    copying: Float[torch.Tensor, "layer head"]
    """From -1 to 1; NaN for a head that writes nothing about the digits on the direct path."""
    config: PatternConfig

    @cached_property
    def table(self) -> list[dict[str, Estimate | None]]:
        """For every head its statistics at the answer rows; None where there are no such rows."""
        scores = {name: s for name, s in head_scores(self.stats).items() if name[:3] != "on "}
        present = [k for k in KEYS if self.stats.task.region(k, self.stats.length)]
        return [self._row(head, present, scores) for head in self.stats.heads]

    def _row(
        self, head: tuple[int, int], regions: list[Region], scores: dict[str, Any]
    ) -> dict[str, Estimate | None]:
        stats, answer = self.stats, ROWS.index(ANSWER_ROWS)
        best = stats.offset_mass[:, *head, answer, stats.best_offset(*head) or 0]
        columns = {f"on {k}": stats.masses(*head, ANSWER_ROWS, k) for k in regions}
        columns |= {"entropy, bits": stats.entropy[:, *head, answer], BEST: best}
        columns |= {name: values[:, *head] for name, values in scores.items()}
        return {name: stats.estimate(values) for name, values in columns.items()}
