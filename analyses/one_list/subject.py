"""What experiments about one list are given, and what they give back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import plotly.graph_objects as go

from analyses.one_list.answers import Attention, Decoded, attention_of, decode_list
from interp.answers.treatment import Treatment
from interp.interventions import Intervention
from interp.transformer import Transformer

NOTHING = Treatment()


@dataclass(frozen=True, eq=False)
class ListSubject:
    """One list, and the model that sorts it."""

    model: Transformer
    digits: tuple[int, ...]
    treatment: Treatment = NOTHING
    """What is done to the model."""
    name: str = ""
    """Of the model, for figures of more than one."""
    _runs: dict[int, ListRun] = field(default_factory=dict, init=False, repr=False)

    def run(self, seed: int = 0) -> ListRun:
        """The model's answer under the treatment, worked out once, however many ask for it.

        Args:
            seed: of the lists behind a mean or a resample.
        """
        return self._runs.setdefault(seed, ListRun(self, seed))

    @property
    def as_it_is(self) -> ListSubject:
        """The same, and nothing done."""
        return replace(self, treatment=NOTHING)


@dataclass(frozen=True, eq=False)
class ListRun:
    """A subject's run: each part is computed when it is first asked for."""

    subject: ListSubject
    seed: int

    @cached_property
    def interventions(self) -> Sequence[Intervention]:
        one = self.subject
        return one.treatment.on_list(one.model, one.digits, self.seed)

    @cached_property
    def decoded(self) -> Decoded:
        """Greedy decoding, each output given those that the model said before."""
        return decode_list(self.subject.model, self.subject.digits, self.interventions)

    @cached_property
    def attention(self) -> Attention:
        """The attention along that answer."""
        return attention_of(self.subject.model, self.decoded.answer, self.interventions)


@dataclass(frozen=True, eq=False)
class TwoModels:
    """Two models, A and B, and one list for both."""

    a: ListSubject
    b: ListSubject


@dataclass(frozen=True)
class Shown:
    """What there is to see of one list."""

    figure: go.Figure
    rows: Sequence[Mapping[str, Any]]
    """The numbers behind the figure, a row each."""
    words: Sequence[str]
    """Lines that say what it shows."""


# What an experiment's body states of its result (see analyses.experiment), for one that is Shown.


def figure(shown: Shown) -> go.Figure:
    return shown.figure


def rows(shown: Shown) -> list[dict[str, Any]]:
    return [dict(row) for row in shown.rows]


def summary(shown: Shown) -> list[str]:
    return list(shown.words)


def to_json(shown: Shown) -> dict[str, Any]:
    return {"rows": rows(shown)}
