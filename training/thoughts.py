"""Teaching blanks what they could hold: the dense supervision of a run's first steps.

    python training/train.py --task threes --max-len 8 --n-blanks 23 --thought-steps 600

A task may say what could be worked out in the blanks on the way to an answer (``Rule.thoughts``), a
symbol for each of the first ones: Pfau et al. 2024 found that models learn to compute in such
tokens only where their training says what. Several lessons share the steps, in their order. Taught
is the stream before the last layer, read by the model's own unembedding: what the last layer writes
at a blank reaches no answer. Blanks stay blank, in the input and in what the model says in the end.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from interp.passes.packed import Window
from interp.task import SortBatch
from training.recipes import TrainConfig

_WEIGHT = 2.0
"""A list's thoughts weigh together as much as so many outputs of an answer; less is slower."""


@dataclass(frozen=True)
class Taught:
    """Of a micro-batch."""

    loss: Tensor
    """To be added to the sum of the losses of its rows."""
    right: Tensor
    """Thoughts that are the most probable token before the last layer."""
    count: int


def lesson_at(step: int, config: TrainConfig) -> int | None:
    """Which of the rule's thoughts an update teaches (the first is 0); None: none any more."""
    if step >= config.thought_steps:
        return None
    return step * len(config.sort_task().rule.thoughts) // config.thought_steps


def taught(
    before: Float[Tensor, "batch row d_vocab_out"], batch: SortBatch, view: Window, lesson: int
) -> Taught:
    """How well the first blanks hold what they should.

    Args:
        before: what the stream before the last layer says, from SEP's row on.
    """
    task = view.task
    wanted = task.thoughts(batch.tokens[:, : task.max_len], lesson)
    first = task.sep_pos + 1 - view.first_row
    said = before[:, first : first + wanted.shape[1]].float()
    loss = F.cross_entropy(said.flatten(0, 1), wanted.flatten(), reduction="sum")
    right = (said.argmax(-1) == wanted).sum()
    return Taught(_WEIGHT * loss / wanted.shape[1], right, wanted.numel())


def nothing_taught(device: torch.device) -> Taught:
    """Of steps without thoughts."""
    zero = torch.zeros((), device=device)
    return Taught(zero, zero, 0)
