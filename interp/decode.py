"""What a model answers, and whether it is right.

    scores = score(model, model.task.held_out(10_000))
    scores.exact.float().mean()                     # share of lists sorted without a mistake
    greedy_decode(model, [[3, 1, 1]]).lists         # [(1, 1, 3)]

A whole list is decoded greedily without error exactly when every teacher-forced prediction along
the right answer is right, so :func:`score` needs one forward pass. :func:`greedy_decode` goes
step by step, for showing, and for the lists that go wrong.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from transformer_lens import TransformerLensKeyValueCache
from transformer_lens.hook_points import HookPoint

from interp.model import SortTransformer
from interp.packed import Window, length_sorted, packed_logits, window
from interp.sites import scores_hook
from interp.task import PAD, Region, SortBatch, SortTask

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
    blocked: Bool[Tensor, "query key"] | None = None,
) -> Scores:
    """One forward pass per list along the right answer, in float32.

    Args:
        digits_only: score the sorted digits; otherwise the BLANK predictions as well.
        blocked: [n_ctx, n_ctx], queries that may not attend to keys; see :func:`blank_mask`.
    """
    task = model.task
    first = window(task, batch, digits_only).first_row
    targets = task.targets(batch.tokens)[:, first:]
    right = torch.zeros_like(targets, dtype=torch.bool)
    for index in length_sorted(batch, -(-len(batch) // _LISTS_AT_ONCE)):
        part = batch[index]
        view = Window(task, int(part.lengths.max()), first)
        predicted = packed_logits(model, part.tokens, view, blocked=blocked).argmax(-1)
        right[index, : predicted.shape[1]] = predicted == targets[index, : predicted.shape[1]]
    scored = targets != PAD
    return Scores(batch.lengths, scored, right & scored)


def blank_mask(task: SortTask, last_blank_too: bool = False) -> Bool[Tensor, "query key"]:
    """Outputs after the first may not attend to any blank: the published ``--mask-blanks``.

    The first sorted digit is emitted by the last blank itself, whose row the published test
    leaves alone. ``last_blank_too`` closes it to every blank but itself.

    Masking takes away what the blanks hold *and* the attention they draw (softmax spreads it over
    what is left), so a drop alone does not show that their content is used.
    """
    blocked = torch.zeros(task.n_ctx, task.n_ctx, dtype=torch.bool)
    blanks = slice(task.sep_pos + 1, task.first_output_row + 1)
    blocked[task.first_output_row + 1 :, blanks] = True
    if last_blank_too and task.region(Region.LAST_BLANK):
        others = slice(task.sep_pos + 1, task.first_output_row)
        blocked[task.first_output_row, others] = True
    return blocked


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
    blocked: Bool[Tensor, "query key"] | None = None,
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
    with model.hooks(fwd_hooks=blocking_hooks(model, blocked)):
        for step in range(steps):
            logits = model(feed, past_kv_cache=cache)[:, -1]
            probabilities.append(logits.softmax(-1))
            chosen = logits.argmax(-1)
            outputs.append(chosen)
            feed = torch.where(step + 1 < batch.lengths, chosen, PAD)[:, None]
    answers = torch.stack(outputs, 1).tolist()
    cut = [tuple(row[:length]) for row, length in zip(answers, batch.lengths.tolist(), strict=True)]
    return Decoded(cut, torch.stack(probabilities, 1))


def blocking_hooks(
    model: SortTransformer, blocked: Bool[Tensor, "query key"] | None
) -> list[tuple[str | Callable[..., Any], Callable[..., Any]]]:
    """Hooks that hold attention to ``blocked`` in every layer, with a KV cache or without."""
    if blocked is None:
        return []
    hook = partial(_block_scores, blocked=blocked.to(model.W_U.device))
    return [(scores_hook(layer), hook) for layer in range(model.cfg.n_layers)]


def _block_scores(
    scores: Float[Tensor, "batch head query key"],
    hook: HookPoint,
    *,
    blocked: Bool[Tensor, "all_queries all_keys"],
) -> Float[Tensor, "batch head query key"]:
    """With a KV cache the queries are the last ones of the keys' positions."""
    n_queries, n_keys = scores.shape[-2:]
    return scores.masked_fill(blocked[n_keys - n_queries : n_keys, :n_keys], -torch.inf)
