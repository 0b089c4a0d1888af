"""The numbers that the page shows, computed by the library and kept for the next visitor.

Each is cached by the model's content hash, the list and the treatment. ``_opened`` (the underscore
keeps it out of the key) is the model itself.
"""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st

from analyses.one_list.answers import Answer, Attention, Decoded
from analyses.one_list.subject import ListSubject
from explorer.server.models import OpenModel
from explorer.server.store import list_store
from interp.answers import decode
from interp.answers.kinds import Act
from interp.answers.treatment import Treatment, blank_positions
from interp.interventions import Intervention, Mask
from interp.stats import Estimate
from interp.support.progress import SILENT, Progress

SAMPLE = 500  # held-out lists: enough for an interval of a few percent, in about a second


def subject(opened: OpenModel, digits: tuple[int, ...], treatment: Treatment) -> ListSubject:
    """A list, and what is done to the model: what all experiments on it start from.

    The lists behind a mean run once for all of them.
    """
    return _subject(opened.hash, digits, treatment, opened)


# Not copied, for nobody changes them; few, for the lists behind a mean take 22 MB.
@st.cache_resource(max_entries=4, show_spinner=False)
def _subject(
    hash_: str, digits: tuple[int, ...], treatment: Treatment, _opened: OpenModel
) -> ListSubject:
    return ListSubject(_opened.model, digits, treatment, _opened.name)


def answer(opened: OpenModel, digits: tuple[int, ...], treatment: Treatment) -> Answer:
    """The greedy answer to a list.

    Raises:
        UserError: if the treatment cannot be done to this model and list.
    """
    return _decoded(opened.hash, digits, treatment, opened).answer


@st.cache_data(max_entries=500, show_spinner=False)
def _decoded(
    hash_: str, digits: tuple[int, ...], treatment: Treatment, _opened: OpenModel
) -> Decoded:
    return subject(_opened, digits, treatment).run().decoded


def attention(opened: OpenModel, digits: tuple[int, ...], treatment: Treatment) -> Attention:
    """The attention while the model gave its answer, under the treatment."""
    return _attention(opened.hash, digits, treatment, opened)


@st.cache_data(max_entries=50, show_spinner=False)
def _attention(
    hash_: str, digits: tuple[int, ...], treatment: Treatment, _opened: OpenModel
) -> Attention:
    return subject(_opened, digits, treatment).run().attention


def exact_match(opened: OpenModel, treatment: Treatment, progress: Progress = SILENT) -> Estimate:
    """The share of ``SAMPLE`` held-out lists that are answered without a mistake, as the model is
    or under a mask of blanks (see :func:`is_of_any_list`). Kept for all visitors.

    Args:
        progress: gets a step a list; what it raises ends the scoring.
    """
    key = ("exact match", opened.hash, treatment)
    return list_store().get(key, lambda: _exact_match(opened, treatment, progress))


def _exact_match(opened: OpenModel, treatment: Treatment, progress: Progress) -> Estimate:
    task = opened.task
    if treatment.act is Act.MASK:  # rows that a list does not have are not scored
        rows = range(task.first_output_row, task.n_ctx)
        done: Sequence[Intervention] = [Mask(rows, blank_positions(task, treatment.blanks))]
    else:
        done = treatment.on_any(task)
    return decode.exact_match(opened.model, SAMPLE, interventions=done, progress=progress)


def is_of_any_list(treatment: Treatment) -> bool:
    """Whether it is the same for every list, so that :func:`exact_match` takes it: masks are."""
    return treatment.of_any_list or treatment.act is Act.MASK
