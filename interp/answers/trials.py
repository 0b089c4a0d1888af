"""Many interventions on the same lists: what the model answers under each.

    def masked(chunk):
        return [Mask(chunk.rows, task.region(Region.BLANKS))]

    trials = run_trials(model, batch, {"as it is": nothing, "masked": masked})
    trials.exact("masked")              # [list], answered without a mistake

Lists go through in chunks of one length, so that positions mean the same throughout a chunk. A
condition is a function of the chunk, because it may need what the chunk's lists, their donors or a
reference set hold in the model. Every answer is teacher-forced along ``batch.tokens``; a list is
right exactly when greedy decoding under the same intervention would get it right (see
:mod:`interp.answers.decode`), as long as the tokens hold the right answer.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from interp.answers.decode import Answers
from interp.interventions import Intervention, edits_of
from interp.passes.forward import Place, Run, forward
from interp.passes.packed import window
from interp.sites import Component
from interp.stats import Estimate
from interp.support.errors import UserError
from interp.support.progress import SILENT, Progress
from interp.support.seeds import stream
from interp.task import NO_LISTS, SortBatch, SortTask
from interp.transformer import Transformer

_LISTS_AT_ONCE = 48  # of one length; activations of more would leave the processor's cache
_REFERENCE_LISTS = 64  # for means, of every length


@dataclass(frozen=True)
class Chunk:
    """Lists of one length, and what the model holds while it answers them."""

    model: Transformer
    index: Int[Tensor, " list"]
    """Which lists of the whole batch these are."""
    batch: SortBatch
    base: Run
    """The unedited run, with residual streams, keys and values."""
    donors: SortBatch | None
    """As many other lists of the same length, list by list, where there are donors."""
    donor: Run | None
    """The unedited run of the donors."""
    seed: int
    _references: dict[int, Run] = field(repr=False)

    @property
    def length(self) -> int:
        return int(self.batch.lengths[0])

    @property
    def rows(self) -> range:
        """The positions that emit the answer."""
        return self.model.task.output_rows(self.length)

    @property
    def reference(self) -> Run:
        """Random other lists of this length, for mean ablation."""
        if self.length not in self._references:
            self._references.clear()  # chunks come sorted by length: one at a time is enough
            generator = stream("reference", self.seed, self.length)
            lengths = torch.full((_REFERENCE_LISTS,), self.length)
            lists = self.model.task.sample(_REFERENCE_LISTS, generator, lengths)
            self._references[self.length] = _record(self.model, lists.to(self.base.logits.device))
        return self._references[self.length]

    def own_donor(self) -> Run:
        """``donor``, which the caller knows to be there."""
        if self.donor is None:
            raise ValueError("these trials were started without donors")
        return self.donor

    def own_donors(self) -> SortBatch:
        """``donors``, which the caller knows to be there."""
        if self.donors is None:
            raise ValueError("these trials were started without donors")
        return self.donors

    def logits(
        self, interventions: Sequence[Intervention]
    ) -> Float[Tensor, "list row d_vocab_out"]:
        """At ``rows``, under the interventions."""
        edits = edits_of(self.model, interventions)
        return forward(self.model, self.batch.tokens, self.base.view, edits, base=self.base).logits


Condition = Callable[[Chunk], Sequence[Intervention]]


AS_IT_IS = "as it is"
"""The name of the condition under which nothing is done."""


def nothing(chunk: Chunk) -> Sequence[Intervention]:
    """The condition under which nothing is done."""
    del chunk
    return ()


@dataclass(frozen=True)
class Trials:
    """Answers under every condition, on the same lists."""

    task: SortTask
    names: tuple[str, ...]
    lengths: Int[Tensor, " list"]
    answers: Int[Tensor, "list row"]
    """The right answers; PAD past their ends."""
    predicted: Int[Tensor, "condition list row"]
    """The most probable token; PAD past the end of an answer."""
    log_prob: Float[Tensor, "condition list row"]
    """Of the right token, in nats; 0 past the end of an answer."""
    seed: int

    @cached_property
    def scored(self) -> Bool[Tensor, "list row"]:
        return self.answers != self.task.pad

    def of(self, name: str) -> Int[Tensor, "list row"]:
        """The tokens predicted under a condition."""
        return self.predicted[self.names.index(name)]

    def under(self, name: str) -> Answers:
        """The answers under a condition."""
        return Answers(
            task=self.task, lengths=self.lengths, wanted=self.answers, predicted=self.of(name)
        )

    def exact(self, name: str) -> Bool[Tensor, " list"]:
        """Lists without a mistake."""
        return self.under(name).exact

    def exact_match(self, name: str) -> Estimate:
        """Their share, with a Wilson interval."""
        return self.under(name).exact_match()

    def digit_accuracy(self, name: str) -> Estimate:
        """The share of outputs that are right, with a bootstrap over lists."""
        return self.under(name).digit_accuracy(self.seed)

    def chance(self) -> float:
        """How often another random list of the same length has the same answer.

        A model that knows of the list its length alone is right that often, and for answers of a
        single symbol that is not rare.
        """
        others = self.task.sample(len(self.lengths), stream("chance", self.seed), self.lengths)
        theirs = self.task.answers(others.tokens[:, : self.task.max_len])
        return float((theirs == self.answers).all(1).float().mean())


@torch.no_grad()
def run_trials(
    model: Transformer,
    batch: SortBatch,
    conditions: Mapping[str, Condition],
    *,
    donors: SortBatch | None = None,
    seed: int = 0,
    progress: Progress = SILENT,
    words: str = "trials",
) -> Trials:
    """Run every list under every condition.

    Args:
        batch: lists of any lengths. Their answers need not be theirs: what is scored is the right
            answer, what is given as the prefix is what ``tokens`` holds.
        donors: as many other lists, of the same lengths, list by list.
        seed: of the reference lists and of bootstrap intervals.
    """
    task = model.task
    answers = sorted_digits(task, batch).cpu()
    shape = (len(conditions), len(batch), task.n_outputs())
    predicted = torch.full(shape, task.pad)
    log_prob = torch.zeros(shape)
    progress.begin(len(batch) * len(conditions), words)
    for chunk in chunks(model, batch, donors, seed):
        n_outputs = len(chunk.rows)
        wanted = answers[chunk.index, :n_outputs]
        past = wanted == task.pad
        for number, condition in enumerate(conditions.values()):
            logits = chunk.logits(condition(chunk)).cpu()
            said = logits.argmax(-1).masked_fill(past, task.pad)
            predicted[number, chunk.index, :n_outputs] = said
            token = wanted.masked_fill(past, 0)[..., None]
            right = logits.log_softmax(-1).gather(-1, token)[..., 0].masked_fill(past, 0.0)
            log_prob[number, chunk.index, :n_outputs] = right
            progress.step(len(chunk.batch))
    return Trials(task, tuple(conditions), batch.lengths.cpu(), answers, predicted, log_prob, seed)


def sorted_digits(task: SortTask, batch: SortBatch) -> Int[Tensor, "list row"]:
    """The right answers of a batch, whatever is given back as a prefix; PAD past their ends."""
    return task.answers(batch.tokens[:, : task.max_len])


def chunks(
    model: Transformer,
    batch: SortBatch,
    donors: SortBatch | None = None,
    seed: int = 0,
) -> Iterator[Chunk]:
    """The lists of a batch in chunks of one length, shortest first."""
    if not len(batch):
        raise UserError(NO_LISTS)
    if donors is not None and not torch.equal(donors.lengths, batch.lengths):
        raise ValueError("donors must be of the same lengths, list by list")
    references: dict[int, Run] = {}
    for length in batch.lengths.unique().tolist():
        for index in (batch.lengths == length).nonzero()[:, 0].split(_LISTS_AT_ONCE):
            yield Chunk(
                model,
                index.cpu(),
                batch[index],
                _record(model, batch[index]),
                None if donors is None else donors[index],
                None if donors is None else _record(model, donors[index]),
                seed,
                references,
            )


def _record(model: Transformer, batch: SortBatch) -> Run:
    places: list[Place] = [
        (component, layer)
        for layer in range(model.cfg.n_layers)
        for component in (Component.RESID_PRE, Component.K, Component.V)
    ]
    view = window(model.task, batch, digits_only=True)
    return forward(model, batch.tokens, view, keep=places)


def stratified(model: Transformer, n_lists: int, seed: int, n_lengths: int = 12) -> SortBatch:
    """Random lists of a few lengths, evenly spread up to the longest, as many of each.

    Few lengths make large chunks, which run several times as fast as small ones.
    """
    task = model.task
    if n_lists < 1:
        raise UserError(NO_LISTS)
    n_lengths = min(n_lengths, len(task.lengths), n_lists)
    steps = torch.arange(1, n_lengths + 1)
    lengths = (len(task.lengths) * steps).div(n_lengths, rounding_mode="floor") + task.min_len - 1
    lengths = lengths.repeat(-(-n_lists // n_lengths))[:n_lists]
    return task.sample(n_lists, stream("stratified", seed), lengths).to(model.W_U.device)


def donors_for(model: Transformer, batch: SortBatch, seed: int) -> SortBatch:
    """Random other lists of the same lengths."""
    lengths = batch.lengths.cpu()
    drawn = model.task.sample(len(batch), stream("donors", seed), lengths)
    return drawn.to(batch.tokens.device)
