"""What a model answers, and whether it is right.

    answers = score(model, model.task.held_out(10_000))
    answers.exact_match()                           # share of lists answered without a mistake
    greedy_decode(model, [[3, 1, 1]]).lists         # [(1, 1, 3)]

A whole list is decoded greedily without error exactly when every teacher-forced prediction along
the right answer is right, so :func:`score` needs one forward pass. :func:`greedy_decode` goes
step by step, for showing, and for the lists that go wrong.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from interp.interventions import Intervention, edits_of, intervene
from interp.passes.forward import Edits, Passes, forward
from interp.passes.packed import Dropout, Window, packed_logits, parts_of, window
from interp.passes.untouched import touch
from interp.stats import Estimate, clustered_rate, wilson
from interp.support.errors import UserError
from interp.support.progress import SILENT, Progress
from interp.task import SortBatch, SortTask
from interp.transformer import Transformer

if TYPE_CHECKING:
    from interp.model import SortTransformer

_SAME = 1e-3  # logits; far above rounding
_LISTS_AT_ONCE = 32  # small enough for the activations to stay in the processor's cache


@dataclass(frozen=True, kw_only=True)
class Answers:
    """Teacher-forced answers, list by list. ``row`` runs over a contiguous block of positions."""

    task: SortTask
    lengths: Int[Tensor, " list"]
    wanted: Int[Tensor, "list row"]
    """The right tokens; PAD past the end of an answer."""
    predicted: Int[Tensor, "list row"]
    """The most probable tokens; PAD past the end of an answer."""

    @cached_property
    def scored(self) -> Bool[Tensor, "list row"]:
        """Rows that have something to predict."""
        return self.wanted != self.task.pad

    @cached_property
    def right(self) -> Bool[Tensor, "list row"]:
        """Scored rows whose most probable token is the right one."""
        return (self.predicted == self.wanted) & self.scored

    @cached_property
    def exact(self) -> Bool[Tensor, " list"]:
        """Lists without a mistake; equal to exact match under greedy decoding."""
        return (self.right == self.scored).all(1)

    def of_length(self, length: int) -> Answers:
        """Those to lists of one length."""
        of = self.lengths == length
        return Answers(
            task=self.task,
            lengths=self.lengths[of],
            wanted=self.wanted[of],
            predicted=self.predicted[of],
        )

    def exact_match(self) -> Estimate:
        """The share of lists without a mistake, with a Wilson interval."""
        return wilson(int(self.exact.sum()), len(self.exact))

    def digit_accuracy(self, seed: int = 0) -> Estimate:
        """The share of rows that are right, with a bootstrap over lists."""
        return clustered_rate(self.right, self.scored, seed)


@torch.no_grad()
def score(
    model: Transformer,
    batch: SortBatch,
    *,
    digits_only: bool = True,
    interventions: Sequence[Intervention] = (),
    dropout: Dropout | None = None,
    progress: Progress = SILENT,
) -> Answers:
    """One forward pass per list along the right answer, in float32.

    Args:
        digits_only: score the sorted digits; otherwise the BLANK predictions as well.
        interventions: what to change on the way; they hold for lists of any length.
        dropout: as training has it, every list with masks of its own.
        progress: gets a step a list.

    Raises:
        UserError: with dropout, where something acts on the model: its own pass has none.
    """
    task, edits = model.task, edits_of(model, interventions)
    if dropout is not None and edits:
        raise UserError("lists are scored with interventions or with dropout, not with both")
    first = window(task, batch, digits_only).first_row
    wanted = task.targets(batch.tokens)[:, first:]
    predicted = torch.full_like(wanted, task.pad)
    for index in parts_of(model, batch, _LISTS_AT_ONCE, edits.per_list):
        part = batch[index]
        view = Window(task, part.longest, first)
        if edits:
            logits = forward(model, part.tokens, view, edits).logits
        else:
            logits = packed_logits(model, part.tokens, view, dropout)
        predicted[index, : logits.shape[1]] = logits.argmax(-1)
        progress.step(len(index))
    predicted = predicted.masked_fill(wanted == task.pad, task.pad)
    return Answers(task=task, lengths=batch.lengths, wanted=wanted, predicted=predicted)


def exact_match(
    model: Transformer,
    lists: int,
    seed: int = 0,
    *,
    interventions: Sequence[Intervention] = (),
    progress: Progress = SILENT,
) -> Estimate:
    """The share of so many held-out lists without a mistake, with a Wilson interval.

    Args:
        progress: gets a step a list.
    """
    batch = model.task.held_out(lists, seed).to(model.W_U.device)
    return score(model, batch, interventions=interventions, progress=progress).exact_match()


@dataclass(frozen=True)
class Decoded:
    """Greedy decoding, one output per step."""

    lists: list[tuple[int, ...]]
    """What came out, as tokens: of ten digits 10 is SEP, 11 BLANK."""
    probabilities: Float[Tensor, "batch step d_vocab_out"]
    """Each step's distribution, given the outputs before it."""


@torch.no_grad()
def greedy_decode(
    model: Transformer,
    lists: Iterable[Any],
    *,
    interventions: Sequence[Intervention] = (),
) -> Decoded:
    """Answer ``lists`` token by token, feeding each output back.

    As many outputs are taken as an answer to such a list may have, or up to the SEP that ends it,
    where answers differ in length. A pass along a guess (the right answer at
    first, then what was said to the last guess) settles every output up to the first that is not
    the guess, and that one, too: a list that is sorted without a mistake takes one pass, not one
    per token. It is the fixed point that Jacobi decoding (Santilli et al. 2023) looks for.

    Raises:
        UserError: if an intervention, or what is on the model, lets an output depend on later
            tokens: then nothing can be decoded one by one.
    """
    task, edits = model.task, edits_of(model, interventions)
    batch = task.encode(lists).to(model.W_U.device)
    view = window(task, batch, digits_only=True)
    steps, most = view.n_outputs, _most_outputs(task, batch)
    fed = batch.tokens.clone()
    given = fed[:, task.first_output_row + 1 : view.stop]  # a view: the outputs fed back
    fed_back = torch.arange(steps - 1, device=fed.device) < most[:, None] - 1
    passes, since = Passes(model, view, edits), view.start
    for _ in range(steps):  # each pass settles at least one output more
        logits = passes.logits(fed, since)
        chosen = logits.argmax(-1)
        wrong = (chosen[:, :-1] != given) & fed_back & ~_ended(task, chosen[:, :-1])
        if not wrong.any():
            break
        # From its first mistake on a list's next guess is what it said to this one.
        mistaken = wrong.cumsum(1) > 0
        since = task.first_output_row + 1 + int(wrong.any(0).int().argmax())
        given[mistaken & fed_back] = chosen[:, :-1][mistaken & fed_back]
    if edits.opens or touch(model):
        _refuse_looking_ahead(model, batch, fed, edits, logits)
    return Decoded(_cut(task, chosen, most), logits.softmax(-1))


def _most_outputs(task: SortTask, batch: SortBatch) -> Int[Tensor, " batch"]:
    """How many outputs each list may have."""
    return torch.tensor(
        [task.n_outputs(n) for n in batch.lengths.tolist()], device=batch.lengths.device
    )


def _ended(task: SortTask, said: Int[Tensor, "batch row"]) -> Bool[Tensor, "batch row"]:
    """Outputs at which, or before which, the answer ends: nothing follows them."""
    if not task.rule.ends:
        return torch.zeros_like(said, dtype=torch.bool)
    return (said == task.sep).cumsum(1) > 0


def _cut(
    task: SortTask, said: Int[Tensor, "batch row"], most: Int[Tensor, " batch"]
) -> list[tuple[int, ...]]:
    """Answers as long as they are."""
    n_said = torch.minimum(most, (~_ended(task, said)).sum(1) + 1)
    return [tuple(row[:n]) for row, n in zip(said.tolist(), n_said.tolist(), strict=True)]


@torch.no_grad()
def decode_stepwise(
    model: SortTransformer,
    lists: Iterable[Any],
    *,
    interventions: Sequence[Intervention] = (),
) -> list[tuple[int, ...]]:
    """As :func:`greedy_decode`, literally: one token a pass, through the hooks and a KV cache.

    It shares nothing with the faster ways but the model: what they are checked with.
    """
    from transformer_lens import TransformerLensKeyValueCache

    task = model.task
    batch = task.encode(lists).to(model.W_U.device)
    cache = TransformerLensKeyValueCache.init_cache(model.cfg, model.W_U.device, len(batch))
    feed, said = batch.tokens[:, : task.prompt_len], []
    with intervene(model, interventions):
        for _ in range(task.n_outputs(batch.longest)):
            logits = model(feed, past_kv_cache=cache)
            feed = logits[:, -1:].argmax(-1)
            said.append(feed)
    return _cut(task, torch.cat(said, 1), _most_outputs(task, batch))


def _refuse_looking_ahead(
    model: Transformer,
    batch: SortBatch,
    fed: Int[Tensor, "batch pos"],
    edits: Edits,
    logits: Float[Tensor, "batch row d_vocab_out"],
) -> None:
    """Whether outputs stay as they are when the last token that is fed back is another."""
    first, lists = model.task.first_output_row, torch.arange(len(batch), device=fed.device)
    n_fed = (fed[:, first + 1 :] != model.task.pad).sum(1)  # the answer's last token, too
    n_fed = torch.minimum(n_fed, _most_outputs(model.task, batch) - 1)
    last = first + n_fed  # of a single output, the first output row
    other = fed.clone()
    other[lists, last] = (other[lists, last] + 1) % model.task.n_symbols
    single = n_fed == 0  # nothing is fed back
    other[single] = fed[single]
    again = forward(model, other, window(model.task, batch, digits_only=True), edits).logits
    before = torch.arange(logits.shape[1], device=fed.device) < n_fed[:, None]
    if ((again - logits).abs().amax(-1)[before] > _SAME).any():
        raise UserError(
            "what is done to this model lets an output depend on later tokens (or on chance), so "
            "its answer cannot be decoded token by token"
        )
