"""What a model answers, and whether it is right.

    scores = score(model, model.task.held_out(10_000))
    scores.exact.float().mean()                     # share of lists sorted without a mistake
    greedy_decode(model, [[3, 1, 1]]).lists         # [(1, 1, 3)]

A whole list is decoded greedily without error exactly when every teacher-forced prediction along
the right answer is right, so :func:`score` needs one forward pass. :func:`greedy_decode` goes
step by step, for showing, and for the lists that go wrong.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from transformer_lens import TransformerLensKeyValueCache

from interp.forward import forward
from interp.interventions import Intervention, edits_of, intervene
from interp.model import SortTransformer
from interp.packed import Window, length_sorted, packed_logits, window
from interp.task import PAD, SortBatch

_LISTS_AT_ONCE = 32  # small enough for the activations to stay in the processor's cache


@dataclass(frozen=True)
class Scores:
    """Teacher-forced answers, list by list. ``row`` runs over a contiguous block of positions."""

    lengths: Int[Tensor, " batch"]
    scored: Bool[Tensor, "batch row"]
    """Rows that have something to predict."""
    right: Bool[Tensor, "batch row"]
    """Scored rows whose most probable token is the target."""

    @property
    def exact(self) -> Bool[Tensor, " batch"]:
        """Lists without a mistake; equal to exact match under greedy decoding."""
        return (self.right == self.scored).all(1)


@torch.no_grad()
def score(
    model: SortTransformer,
    batch: SortBatch,
    *,
    digits_only: bool = True,
    interventions: Sequence[Intervention] = (),
) -> Scores:
    """One forward pass per list along the right answer, in float32.

    Args:
        digits_only: score the sorted digits; otherwise the BLANK predictions as well.
        interventions: what to change on the way; they hold for lists of any length.
    """
    task, edits = model.task, edits_of(model, interventions)
    first = window(task, batch, digits_only).first_row
    targets = task.targets(batch.tokens)[:, first:]
    right = torch.zeros_like(targets, dtype=torch.bool)
    for index in length_sorted(batch, -(-len(batch) // _LISTS_AT_ONCE)):
        part = batch[index]
        view = Window(task, int(part.lengths.max()), first)
        if edits:
            logits = forward(model, part.tokens, view, edits).logits
        else:
            logits = packed_logits(model, part.tokens, view)
        predicted = logits.argmax(-1)
        right[index, : predicted.shape[1]] = predicted == targets[index, : predicted.shape[1]]
    scored = targets != PAD
    return Scores(batch.lengths, scored, right & scored)


@dataclass(frozen=True)
class Decoded:
    """Greedy decoding, one output per step."""

    lists: list[tuple[int, ...]]
    """What came out; a token that is no digit appears as its number (10 SEP, 11 BLANK)."""
    probabilities: Float[Tensor, "batch step d_vocab_out"]
    """Each step's distribution, given the outputs before it."""


@torch.no_grad()
def greedy_decode(
    model: SortTransformer,
    lists: Sequence[Sequence[int]],
    *,
    interventions: Sequence[Intervention] = (),
) -> Decoded:
    """Answer ``lists`` token by token with a KV cache, feeding each output back.

    As many outputs are taken as each list has digits.
    """
    task, device = model.task, model.W_U.device
    batch = task.encode(lists).to(device)
    steps = int(batch.lengths.max())
    cache = TransformerLensKeyValueCache.init_cache(model.cfg, device, len(batch))
    feed = batch.tokens[:, : task.prompt_len]
    outputs, probabilities = [], []
    with intervene(model, interventions):
        for step in range(steps):
            logits = model(feed, past_kv_cache=cache)[:, -1]
            probabilities.append(logits.softmax(-1))
            chosen = logits.argmax(-1)
            outputs.append(chosen)
            feed = torch.where(step + 1 < batch.lengths, chosen, PAD)[:, None]
    answers = torch.stack(outputs, 1).tolist()
    cut = [tuple(row[:length]) for row, length in zip(answers, batch.lengths.tolist(), strict=True)]
    return Decoded(cut, torch.stack(probabilities, 1))
