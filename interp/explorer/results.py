"""The numbers that the page shows, computed by the library and kept for the next visitor.

Each is cached by the model's content hash, the list and the switches. ``_opened`` (the underscore
keeps it out of the key) is the model itself; everything that runs it holds its lock.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

import numpy as np
import streamlit as st
from jaxtyping import Float

from interp.explorer.models import OpenModel
from interp.lazy import lazy_import
from interp.task import BLANK, TOKEN_LABELS, Region, SortTask

if TYPE_CHECKING:
    import plotly.graph_objects as go
    import torch

    from interp.interventions import Intervention
    from interp.stats import Estimate
else:
    go = lazy_import("plotly.graph_objects")
    torch = lazy_import("torch")

SAMPLE = 500  # held-out lists: enough for an interval of a few percent, in about a second


class Mask(StrEnum):
    """Which attention to the blanks is closed. The values are those of the page's address."""

    NONE = "no"
    """The model as it was trained."""
    OUTPUTS = "yes"
    """Outputs after the first may not attend to any blank: the published test."""
    LAST_TOO = "last-too"
    """Also the last blank, which emits the first output, may not attend to the other blanks."""

    @property
    def words(self) -> str:
        return {
            Mask.NONE: "nothing is masked",
            Mask.OUTPUTS: "blanks masked for the outputs after the first",
            Mask.LAST_TOO: "blanks masked for all outputs, the last blank's row too",
        }[self]

    def interventions(self, task: SortTask) -> Sequence[Intervention]:
        """What this does to a model."""
        from interp.ablation import published_mask

        return [] if self is Mask.NONE else published_mask(task, self is Mask.LAST_TOO)


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


def answer(opened: OpenModel, digits: tuple[int, ...], mask: Mask) -> Answer:
    """The greedy answer to a list."""
    return _answer(opened.hash, digits, mask, opened)


@st.cache_data(max_entries=500, show_spinner=False)
def _answer(hash_: str, digits: tuple[int, ...], mask: Mask, _opened: OpenModel) -> Answer:
    from interp.decode import greedy_decode

    with _opened.using() as model:
        decoded = greedy_decode(model, [digits], interventions=mask.interventions(model.task))
    best = decoded.probabilities[0].topk(2)  # values and indices are [step, 2]
    rows = zip(sorted(digits), best.values.tolist(), best.indices.tolist(), strict=True)
    return Answer(digits, tuple(Output(t[0], e, p[0], t[1], p[1]) for e, p, t in rows))


def exact_match(opened: OpenModel, mask: Mask) -> Estimate:
    """The share of ``SAMPLE`` held-out lists that are sorted without a mistake."""
    return _exact_match(opened.hash, mask, opened)


@st.cache_data(max_entries=100, show_spinner=False)
def _exact_match(hash_: str, mask: Mask, _opened: OpenModel) -> Estimate:
    from interp.decode import score
    from interp.stats import wilson

    with _opened.using() as model:
        batch = model.task.held_out(SAMPLE)
        scores = score(model, batch, interventions=mask.interventions(model.task))
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


def attention(opened: OpenModel, said: Answer, mask: Mask) -> Attention:
    """The attention while the model gave that answer, under the mask."""
    return _attention(opened.hash, said, mask, opened)


@st.cache_data(max_entries=50, show_spinner=False)
def _attention(hash_: str, said: Answer, mask: Mask, _opened: OpenModel) -> Attention:
    from interp.interventions import intervene
    from interp.sites import pattern_hook

    task, length = _opened.task, len(said.digits)
    prompt = task.encode([said.digits]).tokens[:, : task.prompt_len]
    outputs = torch.tensor([[output.token for output in said.outputs]])
    tokens = torch.cat([prompt, outputs[:, :-1]], dim=1)  # the last output is never an input
    with _opened.using() as model:
        names = [pattern_hook(layer) for layer in range(model.cfg.n_layers)]
        with torch.no_grad(), intervene(model, mask.interventions(task)):
            _, cache = model.run_with_cache(tokens, names_filter=names)
    start = task.max_len - length  # left padding is not part of the sequence
    pattern = torch.cat([cache[name] for name in names])[..., start:, start:]
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


@dataclass(frozen=True)
class Patching:
    """What ``analyses.patch_blanks`` has to show for one pair of lists."""

    figure: go.Figure | None
    """None where the model gets one of the two answers wrong: then there is no effect to share."""
    words: tuple[str, ...]


def patching(opened: OpenModel, clean: tuple[int, ...], corrupt: tuple[int, ...]) -> Patching:
    """Activation patching between two lists, in both directions.

    Raises:
        UserError: if the two cannot be compared.
    """
    return _patching(opened.hash, clean, corrupt, opened)


@st.cache_data(max_entries=50, show_spinner=False)
def _patching(
    hash_: str, clean: tuple[int, ...], corrupt: tuple[int, ...], _opened: OpenModel
) -> Patching:
    from analyses import patch_blanks
    from interp.pairs import make_pairs

    pairs = make_pairs(_opened.task, [clean], [corrupt])
    with _opened.using() as model:
        result = patch_blanks.patch_pairs(model, pairs)
    drawn = patch_blanks.figure(result) if result.understood.any() else None
    return Patching(drawn, tuple(patch_blanks.summary(result)))
