"""Lists of a visitor's own, in place of those that an experiment samples.

given = own_lists(view, experiment)     # None: none were uploaded; UserError says what is wrong
"""

from __future__ import annotations

import re

import streamlit as st

from analyses.experiment import Experiment
from analyses.experiment.given import Given, read_given
from explorer.parts.controls import View
from explorer.parts.elements import plain
from interp.support.errors import UserError
from interp.task import Task

MOST_BYTES = 1 << 20
MOST_LISTS = 2000
"""More would keep the server from other visitors for too long; the command takes any number."""
_LONGEST_NAME = 60


def own_lists(view: View, experiment: Experiment) -> Given | None:
    """The lists of the file that the visitor has uploaded for this experiment.

    Raises:
        UserError: for what is no such file, or lists that the experiment does not take.
    """
    if experiment.own_lists is None:
        return None
    task = view.opened.task
    with st.popover("Lists of your own", icon=":material/upload_file:"):
        st.caption(
            plain(
                f"A text file with a list of {task.lengths_words} on each line, as 3,1,4 or 314; "
                f"or JSON. At most {MOST_LISTS:,} lists. {experiment.own_lists.rest}"
            )
        )
        file = st.file_uploader(
            "File of lists",
            type=["txt", "csv", "json"],
            max_upload_size=MOST_BYTES >> 20,
            key=f"lists {experiment.name}",
        )
    if file is None:
        return None
    given = given_in(file.name, file.getvalue(), task, experiment)
    rest = experiment.own_lists.rest
    st.caption(plain(f"Of the {len(given)} lists in {given.source}, and no others. {rest}"))
    return given


def given_in(name: str, data: bytes, task: Task, experiment: Experiment) -> Given:
    """The lists in the bytes of a file.

    Raises:
        UserError: as :func:`own_lists` does.
    """
    source = re.sub(r"[^\w. -]", "_", name)[-_LONGEST_NAME:]
    if len(data) > MOST_BYTES:
        raise UserError(f"{source} has {len(data):,} bytes; a page takes at most {MOST_BYTES:,}")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise UserError(f"{source} is no text in UTF-8") from None
    given = read_given(source, text, task)
    if len(given) > MOST_LISTS:
        raise UserError(f"{source} holds {len(given):,} lists; a page takes at most {MOST_LISTS:,}")
    experiment.for_lists(experiment.settings, given)  # raises
    return given
