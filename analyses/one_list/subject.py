"""What experiments about one list are given, and what they give back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import plotly.graph_objects as go

from interp.answers.treatment import Treatment
from interp.transformer import Transformer


@dataclass(frozen=True)
class ListSubject:
    """One list, and the model that sorts it."""

    model: Transformer
    digits: tuple[int, ...]
    treatment: Treatment
    """What is done to the model."""
    name: str = ""
    """Of the model, for figures of more than one."""


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
