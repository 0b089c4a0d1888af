"""The numbers that the page shows, computed by the library and kept for the next visitor.

Each is cached by the model's content hash, the list and the treatment. ``_opened`` (the underscore
keeps it out of the key) is the model itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import streamlit as st

from analyses.one_list.answer.body import attended, told
from analyses.one_list.answer.result import Answer, Attention, Output, Told, token_name
from explorer.server.models import OpenModel
from interp.answers.treatment import Treatment

if TYPE_CHECKING:
    from interp.interventions import Intervention
    from interp.stats import Estimate

__all__ = ["Answer", "Attention", "Output", "Told", "token_name"]  # what pages draw

SAMPLE = 500  # held-out lists: enough for an interval of a few percent, in about a second


def interventions(
    opened: OpenModel, digits: tuple[int, ...], treatment: Treatment
) -> Sequence[Intervention]:
    """What the treatment does to this list; lists behind a mean run once for answer and attention.

    Raises:
        UserError: if it cannot be done to this model and list.
    """
    return _interventions(opened.hash, digits, treatment, opened)


# Not copied, for nobody changes them; few, for the lists behind a mean take 22 MB.
@st.cache_resource(max_entries=4, show_spinner=False)
def _interventions(
    hash_: str, digits: tuple[int, ...], treatment: Treatment, _opened: OpenModel
) -> Sequence[Intervention]:
    return treatment.on_list(_opened.model, digits)


def answer(opened: OpenModel, digits: tuple[int, ...], treatment: Treatment) -> Answer:
    """The greedy answer to a list."""
    return probabilities(opened, digits, treatment).answer


def probabilities(opened: OpenModel, digits: tuple[int, ...], treatment: Treatment) -> Told:
    """The greedy answer to a list, with all tokens' probabilities."""
    return _told(opened.hash, digits, treatment, opened)


@st.cache_data(max_entries=500, show_spinner=False)
def _told(hash_: str, digits: tuple[int, ...], treatment: Treatment, _opened: OpenModel) -> Told:
    return told(_opened.model, digits, interventions(_opened, digits, treatment))


def exact_match(opened: OpenModel, treatment: Treatment) -> Estimate:
    """The share of ``SAMPLE`` held-out lists that are sorted without a mistake, as the model is or
    under one of the published masks."""
    return _exact_match(opened.hash, treatment, opened)


@st.cache_data(max_entries=100, show_spinner=False)
def _exact_match(hash_: str, treatment: Treatment, _opened: OpenModel) -> Estimate:
    from interp.answers import decode

    done = treatment.on_any(_opened.task)
    return decode.exact_match(_opened.model, SAMPLE, interventions=done)


def attention(opened: OpenModel, said: Answer, treatment: Treatment) -> Attention:
    """The attention while the model gave that answer, under the treatment."""
    return _attention(opened.hash, said, treatment, opened)


@st.cache_data(max_entries=50, show_spinner=False)
def _attention(hash_: str, said: Answer, treatment: Treatment, _opened: OpenModel) -> Attention:
    return attended(_opened.model, said, interventions(_opened, said.digits, treatment))
