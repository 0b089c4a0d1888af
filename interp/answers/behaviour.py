"""What a model answers, how sure it is, and how it goes wrong.

    found = answer(model, model.task.held_out(2400))
    found.exact                         # [list], sorted without a mistake
    calibration(found)                  # is a probability of 0.9 right nine times in ten?
    mistakes(model, found, most=100)    # greedy decoding of lists that go wrong

Answers are teacher-forced: output i is asked for after the right outputs before it. Greedy decoding
gets the same lists right, and goes wrong at the same output of the others; what it answers after
that is found by decoding.

Shape glossary: ``list``; ``row`` output i of a list, PAD or False past its end.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise, zip_longest

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from interp.answers.decode import Answers, greedy_decode
from interp.passes.packed import packed_logits, parts_of, window
from interp.stats import Estimate, clustered_rate, wilson
from interp.support.progress import SILENT, Progress
from interp.support.seeds import stream
from interp.task import SortBatch, SortTask
from interp.transformer import Transformer

_LISTS_AT_ONCE = 32  # small enough for the activations to stay in the processor's cache
BIN_EDGES = (0.0, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99, 0.999, 1.0)
"""Of probabilities; narrow near 1, where a trained model's are."""


@dataclass(frozen=True, kw_only=True)
class WeighedAnswers(Answers):
    """Answers with their probabilities, and the sequences they are answers to."""

    tokens: Int[Tensor, "list pos"]
    probability: Float[Tensor, "list row"]
    """Of the predicted token; 0 past the end of an answer."""

    @property
    def first_error(self) -> Int[Tensor, " list"]:
        """Index of the first wrong output; of exact lists how many outputs they have."""
        wrong = self.scored & ~self.right
        return torch.where(self.exact, self.scored.sum(1), wrong.int().argmax(1))

    @property
    def copies(self) -> Int[Tensor, " list"]:
        """How often the list's commonest digit occurs in it."""
        listed = self.tokens[:, : self.task.max_len]
        return torch.stack([(listed == digit).sum(1) for digit in self.task.alphabet]).amax(0)

    def exact_rate(self, chosen: Bool[Tensor, " list"] | None = None) -> Estimate | None:
        """Share of lists that are exact, with a Wilson interval; None of no lists."""
        exact = self.exact if chosen is None else self.exact[chosen]
        return wilson(int(exact.sum()), len(exact)) if len(exact) else None

    @classmethod
    def join(cls, parts: Sequence[WeighedAnswers]) -> WeighedAnswers:
        """Several as one."""
        names = ("tokens", "lengths", "wanted", "predicted", "probability")
        joined = {name: torch.cat([getattr(part, name) for part in parts]) for name in names}
        return cls(task=parts[0].task, **joined)


@torch.no_grad()
def answer(model: Transformer, batch: SortBatch, progress: Progress = SILENT) -> WeighedAnswers:
    """One forward pass per list along the right answer, in float32."""
    task, device = model.task, model.W_U.device
    wanted = task.targets(batch.tokens)[:, task.first_output_row : -1].cpu()
    predicted, probability = torch.full_like(wanted, task.pad), torch.zeros(wanted.shape)
    for index in parts_of(model, batch, _LISTS_AT_ONCE):
        part = batch[index].to(device)
        view = window(task, part, digits_only=True)
        top = packed_logits(model, part.tokens, view).softmax(-1).max(-1)
        probability[index, : view.n_outputs] = top.values.cpu()
        predicted[index, : view.n_outputs] = top.indices.cpu()
        progress.step(len(part))
    past = wanted == task.pad
    return WeighedAnswers(
        task=task,
        tokens=batch.tokens.cpu(),
        lengths=batch.lengths.cpu(),
        wanted=wanted,
        predicted=predicted.masked_fill(past, task.pad),
        probability=probability.masked_fill(past, 0.0),
    )


def offsets(found: WeighedAnswers) -> Int[Tensor, "list row"]:
    """Predicted minus wanted, from -9 to 9 of ten digits; what is predicted and no digit is off by
    ``task.n_symbols``, more than any digit can be. 0 past the end."""
    n = found.task.n_symbols
    off = torch.where(found.predicted < n, found.predicted - found.wanted, n)
    return off.masked_fill(~found.scored, 0)


# -- calibration --------------------------------------------------------------------------------


@dataclass(frozen=True)
class Bin:
    """Outputs whose probability lies above ``low``, up to ``high``."""

    low: float
    high: float
    n_outputs: int
    confidence: float
    """Their mean probability."""
    accuracy: Estimate
    """Share that is right; the interval is a bootstrap over the lists that have such outputs."""


@dataclass(frozen=True)
class Calibration:
    """How far probabilities are from the share that is right."""

    bins: tuple[Bin, ...]
    """Those that are not empty."""
    error: Estimate
    """Expected calibration error: the mean over outputs of their bin's |accuracy - confidence|."""


def calibration(found: WeighedAnswers, seed: int = 0) -> Calibration:
    """Reliability by bins of the top probability (Guo et al. 2017), teacher-forced.

    The error's interval is a percentile bootstrap over lists. It is never below 0, and chance alone
    makes it positive, so an interval close to 0 says that there is no error to be seen.
    """
    inner = torch.tensor(BIN_EDGES[1:-1])
    number = torch.bucketize(found.probability, inner)  # a bin's high end is in it
    bins, parts = [], []
    for index, (low, high) in enumerate(pairwise(BIN_EDGES)):
        here = found.scored & (number == index)
        gap = (found.right.double() - found.probability.double()).masked_fill(~here, 0).sum(1)
        parts.append(gap)
        if here.any():
            some = here.any(1)
            accuracy = clustered_rate(found.right[some], here[some], seed)
            confidence = float(found.probability[here].mean())
            bins.append(Bin(low, high, int(here.sum()), confidence, accuracy))
    return Calibration(
        tuple(bins), _calibration_error(torch.stack(parts, 1), found.scored.sum(1), seed)
    )


def _calibration_error(
    gaps: Float[Tensor, "list bin"], outputs: Int[Tensor, " list"], seed: int, draws: int = 1000
) -> Estimate:
    """From each list's sum of (right - probability) in every bin."""
    n, generator = len(gaps), stream("calibration", seed)
    drawn = torch.randint(n, (draws, n), generator=generator)
    times = torch.zeros(draws, n, dtype=gaps.dtype)  # how often a resample has a list
    times.scatter_add_(1, drawn, torch.ones_like(times))
    errors = (times @ gaps).abs().sum(1) / (times @ outputs.to(gaps.dtype))
    low, high = errors.quantile(torch.tensor([0.025, 0.975], dtype=errors.dtype)).tolist()
    return Estimate(float(gaps.sum(0).abs().sum() / outputs.sum()), low, high, n)


# -- mistakes -----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Mistake:
    """A list that is not answered right."""

    digits: tuple[int, ...]
    answer: tuple[int, ...]
    """What greedy decoding gives; of ten digits 10 is SEP, 11 BLANK."""
    wrong: tuple[int, ...]
    """Indices of outputs that are not the right token, or that lack or are too many."""
    missing: tuple[int, ...]
    """Tokens of the right answer that are not in this one, as often as they lack."""
    extra: tuple[int, ...]
    """Outputs that are not in the right answer, as often as they are too many."""

    @property
    def keeps_digits(self) -> bool:
        """Whether the answer has the right tokens, each as often: only their order is wrong."""
        return not self.missing and not self.extra

    def in_order(self, task: SortTask) -> bool:
        """Whether the answer keeps to the order of right ones (``Rule.order``) all the same: then
        it is its digits that are wrong. False where right answers keep to none."""
        steps = pairwise(self.answer)
        if task.rule.order == "descending":
            return all(a >= b for a, b in steps)
        return task.rule.order == "ascending" and all(a <= b for a, b in steps)


def mistakes(model: Transformer, found: WeighedAnswers, most: int) -> tuple[Mistake, ...]:
    """Greedy decoding of lists that go wrong; of more than ``most``, evenly spread by length."""
    wrong = (~found.exact).nonzero()[:, 0]
    wrong = wrong[found.lengths[wrong].argsort(stable=True)]
    if len(wrong) > most:
        wrong = wrong[torch.arange(most) * len(wrong) // most]
    made: list[Mistake] = []
    # In the order of the batch: what acts on the model may do so to each list in a way of its own.
    for index in wrong.sort().values.split(_LISTS_AT_ONCE):
        lists = [found.task.decode_list(tokens) for tokens in found.tokens[index]]
        decoded = greedy_decode(model, lists).lists if lists else []
        made += [
            mistake(found.task, digits, told) for digits, told in zip(lists, decoded, strict=True)
        ]
    return tuple(sorted(made, key=lambda one: len(one.digits)))


def mistake(task: SortTask, digits: tuple[int, ...], told: tuple[int, ...]) -> Mistake:
    """What is wrong with an answer."""
    right = task.answer(digits)
    missing, extra = Counter(right) - Counter(told), Counter(told) - Counter(right)
    return Mistake(
        digits,
        told,
        tuple(i for i, (a, b) in enumerate(zip_longest(right, told)) if a != b),
        tuple(sorted(missing.elements())),
        tuple(sorted(extra.elements())),
    )
