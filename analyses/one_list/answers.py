"""What a model answers to one list, and what its heads attend to while it does.

Shape glossary: ``step`` output i of the answer, ``token`` those that can be said, ``query key``
the real positions of one sequence, left padding left out.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

import numpy as np
import torch
from jaxtyping import Float

from interp.answers.decode import greedy_decode
from interp.interventions import Intervention, edits_of
from interp.passes.forward import forward
from interp.passes.packed import Window
from interp.sites import Component
from interp.task import Region, SortTask
from interp.transformer import Transformer

_PUBLISHED = SortTask()


@dataclass(frozen=True)
class Output:
    """One step of greedy decoding."""

    token: int
    expected: int
    probability: float
    runner_up: int
    runner_up_probability: float
    task: SortTask = _PUBLISHED
    """Whose tokens these are."""

    @property
    def said(self) -> str:
        """The token's name."""
        return self.task.token_name(self.token)

    @property
    def should_be(self) -> str:
        """The right token's name; ``nothing`` where the answer has ended."""
        return "nothing" if self.ended else self.task.token_name(self.expected)

    @property
    def ended(self) -> bool:
        """Whether the right answer ends before this output."""
        return self.expected == self.task.pad

    @property
    def second(self) -> str:
        """The runner-up's name."""
        return self.task.token_name(self.runner_up)

    @property
    def right(self) -> bool:
        return self.token == self.expected


@dataclass(frozen=True)
class Answer:
    """What the model says to a list, each output given the ones that it said before."""

    digits: tuple[int, ...]
    outputs: tuple[Output, ...]

    @property
    def tokens(self) -> tuple[int, ...]:
        return tuple(output.token for output in self.outputs)

    @property
    def wrong(self) -> list[int]:
        """Outputs that are not the right token of their place, counted from 0."""
        return [i for i, output in enumerate(self.outputs) if not output.right]

    @property
    def text(self) -> str:
        """``1 1 3``; a token that is no digit by its name."""
        return " ".join(output.said for output in self.outputs)

    def changed_from(self, other: Answer) -> list[int]:
        """Outputs that are another token than in ``other``, an answer to the same list.

        Where one answer ends earlier, it does so at an output that is another token.
        """
        pairs = zip(self.tokens, other.tokens, strict=False)
        return [i for i, (one, two) in enumerate(pairs) if one != two]


@dataclass(frozen=True)
class Decoded:
    """An answer with all of its probabilities."""

    answer: Answer
    probabilities: Float[np.ndarray, "step token"]
    """Each step's distribution over all tokens, given the outputs before it."""

    @property
    def of_right(self) -> list[float]:
        """Each step's probability of the right token; 0 where nothing should be said."""
        steps = zip(self.probabilities.tolist(), self.answer.outputs, strict=True)
        return [
            row[output.expected] if output.expected < len(row) else 0.0 for row, output in steps
        ]


@dataclass(frozen=True)
class Attention:
    """Every head's attention over the real positions of one sequence, with their labels."""

    pattern: Float[np.ndarray, "layer head query key"]
    labels: tuple[str, ...]
    """``in 3: 7``, ``SEP``, ``blank 4``, ``out 0: 1``"""
    emitted: tuple[str, ...]
    """What the last ``len(emitted)`` positions emit: the answer."""
    regions: tuple[Region, ...]
    """Of each position, as ``labels`` are."""
    start: int
    """The first position's number in the full sequence, left padding counted."""

    @cached_property
    def edges(self) -> tuple[int, ...]:
        """Where a new region begins (SEP, blanks, last blank, outputs), counted as ``labels``."""
        return tuple(i for i, (a, b) in enumerate(pairwise(self.regions), 1) if a is not b)

    @property
    def row_labels(self) -> list[str]:
        """Labels of the rows that emit the answer, and what each emits."""
        rows = self.labels[-len(self.emitted) :]
        return [f"{row} → {token}" for row, token in zip(rows, self.emitted, strict=True)]


def decode_list(
    model: Transformer, digits: tuple[int, ...], done: Sequence[Intervention] = ()
) -> Decoded:
    """Greedy decoding of one list under interventions (``treatment.on_list``)."""
    decoded = greedy_decode(model, [digits], interventions=done)
    n_said, right = len(decoded.lists[0]), model.task.answer(digits)
    probabilities = decoded.probabilities[0, :n_said].cpu()
    best = probabilities.topk(2)  # values and indices are [step, 2]
    expected = [*right, *[model.task.pad] * n_said][:n_said]  # PAD where nothing should be said
    outputs = tuple(
        Output(
            token=tokens[0],
            expected=wanted,
            probability=chances[0],
            runner_up=tokens[1],
            runner_up_probability=chances[1],
            task=model.task,
        )
        for wanted, chances, tokens in zip(
            expected, best.values.tolist(), best.indices.tolist(), strict=True
        )
    )
    return Decoded(Answer(digits, outputs), probabilities.numpy())


def attention_of(
    model: Transformer, answer: Answer, done: Sequence[Intervention] = ()
) -> Attention:
    """The attention of all heads and rows while the model gave that answer, under interventions."""
    return attention_along(model, answer.digits, answer.tokens, done)


def attention_along(
    model: Transformer,
    digits: tuple[int, ...],
    outputs: Sequence[int],
    done: Sequence[Intervention] = (),
) -> Attention:
    """The attention while ``outputs`` are given back, whoever said them; fewer than all will do."""
    task, length = model.task, len(digits)
    tokens = task.encode([digits]).tokens[:, : task.output_rows(length).stop]
    stop = task.prompt_len + len(outputs) - 1  # the last output is never an input
    tokens[:, task.prompt_len : stop] = torch.tensor(list(outputs[:-1]))
    tokens[:, stop:] = task.pad
    tokens = tokens.to(model.W_U.device)
    places = [(Component.PATTERN, layer) for layer in range(model.config.n_layers)]
    with torch.no_grad():
        run = forward(model, tokens, Window(task, length, 0), edits_of(model, done), keep=places)
    start = task.max_len - length  # left padding is not part of the sequence
    pattern = torch.cat([run.at(*place) for place in places])[..., : stop - start, : stop - start]
    return Attention(
        pattern=pattern.cpu().numpy(),
        labels=_labels(task, tokens[0, :stop].tolist(), start),
        emitted=tuple(map(task.token_name, outputs)),
        regions=tuple(task.region_of(p, length) for p in range(start, stop)),
        start=start,
    )


def _labels(task: SortTask, tokens: list[int], start: int) -> tuple[str, ...]:
    """Labels from position ``start`` on, with the token where the label does not say it."""
    length = task.max_len - start
    labels = task.labels(length)
    valued = {*task.region(Region.DIGITS, length), *task.region(Region.OUTPUTS, length)}
    return tuple(
        f"{labels[p]}: {task.token_name(tokens[p])}" if p in valued else labels[p]
        for p in range(start, len(tokens))
    )
