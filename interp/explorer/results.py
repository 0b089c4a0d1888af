"""The numbers that the page shows, computed by the library and kept for the next visitor.

Each is cached by the model's content hash, the list and the treatment. ``_opened`` (the underscore
keeps it out of the key) is the model itself.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import streamlit as st
from jaxtyping import Float

from interp.explorer.models import OpenModel
from interp.lazy import lazy_import
from interp.task import BLANK, TOKEN_LABELS, Region, SortTask
from interp.treatment import Act, Treatment

if TYPE_CHECKING:
    import torch

    from interp.stats import Estimate
else:
    torch = lazy_import("torch")

SAMPLE = 500  # held-out lists: enough for an interval of a few percent, in about a second


@dataclass(frozen=True)
class Output:
    """One step of greedy decoding."""

    token: int
    expected: int
    probability: float
    runner_up: int
    runner_up_probability: float

    @property
    def right(self) -> bool:
        return self.token == self.expected


@dataclass(frozen=True)
class Answer:
    """What the model says to a list, each output given the ones that it said before."""

    digits: tuple[int, ...]
    outputs: tuple[Output, ...]

    @property
    def wrong(self) -> list[int]:
        """Outputs that are not the sorted digit of their place, counted from 0."""
        return [i for i, output in enumerate(self.outputs) if not output.right]

    @property
    def text(self) -> str:
        """``1 1 3``; a token that is no digit by its name."""
        return " ".join(token_name(output.token) for output in self.outputs)


def token_name(token: int) -> str:
    """For people: ``7``, ``SEP``, ``BLANK``."""
    return "BLANK" if token == BLANK else TOKEN_LABELS[token]


def answer(opened: OpenModel, digits: tuple[int, ...], treatment: Treatment) -> Answer:
    """The greedy answer to a list."""
    return _answer(opened.hash, digits, treatment, opened)


@st.cache_data(max_entries=500, show_spinner=False)
def _answer(
    hash_: str, digits: tuple[int, ...], treatment: Treatment, _opened: OpenModel
) -> Answer:
    from interp.decode import greedy_decode

    model = _opened.model
    done = treatment.on_list(model, digits)
    decoded = greedy_decode(model, [digits], interventions=done)
    best = decoded.probabilities[0].topk(2)  # values and indices are [step, 2]
    rows = zip(sorted(digits), best.values.tolist(), best.indices.tolist(), strict=True)
    return Answer(digits, tuple(Output(t[0], e, p[0], t[1], p[1]) for e, p, t in rows))


def exact_match(opened: OpenModel, treatment: Treatment) -> Estimate:
    """The share of ``SAMPLE`` held-out lists that are sorted without a mistake, as the model is or
    under one of the published masks."""
    return _exact_match(opened.hash, treatment, opened)


@st.cache_data(max_entries=100, show_spinner=False)
def _exact_match(hash_: str, treatment: Treatment, _opened: OpenModel) -> Estimate:
    from interp.ablation import published_mask
    from interp.decode import score
    from interp.stats import wilson

    model = _opened.model
    batch = model.task.held_out(SAMPLE)
    masks = published_mask(model.task, treatment.act is Act.PUBLISHED_LAST) if treatment else []
    scores = score(model, batch, interventions=masks)
    return wilson(int(scores.exact.sum()), len(batch))


@dataclass(frozen=True)
class Attention:
    """Every head's attention over the real positions of one sequence, with their labels."""

    pattern: Float[np.ndarray, "layer head query key"]
    labels: tuple[str, ...]
    """``in 3: 7``, ``SEP``, ``blank 4``, ``out 0: 1``"""
    emitted: tuple[str, ...]
    """What the last ``len(emitted)`` positions emit: the answer."""
    edges: tuple[int, ...]
    """Where a new region begins (SEP, blanks, last blank, outputs), counted as ``labels`` are."""

    @property
    def row_labels(self) -> list[str]:
        """Labels of the rows that emit the answer, and what each emits."""
        rows = self.labels[-len(self.emitted) :]
        return [f"{row} → {token}" for row, token in zip(rows, self.emitted, strict=True)]


def attention(opened: OpenModel, said: Answer, treatment: Treatment) -> Attention:
    """The attention while the model gave that answer, under the treatment."""
    return _attention(opened.hash, said, treatment, opened)


@st.cache_data(max_entries=50, show_spinner=False)
def _attention(hash_: str, said: Answer, treatment: Treatment, _opened: OpenModel) -> Attention:
    from interp.forward import forward
    from interp.interventions import edits_of
    from interp.packed import Window
    from interp.sites import Component

    task, length, model = _opened.task, len(said.digits), _opened.model
    tokens = task.encode([said.digits]).tokens[:, : task.prompt_len + length - 1]
    # The last output is never an input.
    tokens[:, task.prompt_len :] = torch.tensor([output.token for output in said.outputs[:-1]])
    edits = edits_of(model, treatment.on_list(model, said.digits))
    places = [(Component.PATTERN, layer) for layer in range(model.config.n_layers)]
    with torch.no_grad():
        run = forward(model, tokens, Window(task, length, 0), edits, keep=places)
    pattern = torch.cat([run.at(*place) for place in places])
    start = task.max_len - length  # left padding is not part of the sequence
    names_of = [token_name(output.token) for output in said.outputs]
    labels = _labels(task, tokens[0].tolist(), start)
    later = (Region.SEP, Region.BLANKS, Region.LAST_BLANK, Region.OUTPUTS)
    spans = [task.region(region, length) for region in later]
    edges = tuple(span.start - start for span in spans if span)
    return Attention(pattern.numpy(), labels, tuple(names_of), edges)


def _labels(task: SortTask, tokens: list[int], start: int) -> tuple[str, ...]:
    """Labels from position ``start`` on, with the token where the label does not say it."""
    length = task.max_len - start
    labels = task.labels(length)
    valued = {*task.region(Region.DIGITS, length), *task.region(Region.OUTPUTS, length)}
    return tuple(
        f"{labels[p]}: {token_name(tokens[p])}" if p in valued else labels[p]
        for p in range(start, len(tokens))
    )
