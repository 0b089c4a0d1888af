"""The page "Home": the question, what has been found, and where to go on."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

import streamlit as st
from streamlit.navigation.page import StreamlitPage

from explorer.pages.home.findings import Finding, findings
from explorer.pages.home.picture import STYLE, bars
from explorer.parts.elements import wait_for_list
from explorer.parts.speech import is_sorting
from explorer.server import models, session
from interp.support.lazy import lazy_import
from interp.task import spaced

if TYPE_CHECKING:
    from explorer.parts import tokens
    from explorer.parts.controls import View
    from explorer.server import results
    from interp.answers import treatment
else:
    # What needs PyTorch comes last on the page, and is imported when it is drawn.
    tokens = lazy_import("explorer.parts.tokens")
    results = lazy_import("explorer.server.results")
    treatment = lazy_import("interp.answers.treatment")

_FAVOURITE = "blanks"  # whose findings are shown where those of the chosen model are not shipped
_QUESTION = (
    "A small transformer taught itself to sort lists of digits. Between its input and its answer "
    "it is given 49 BLANK tokens, which mean nothing. **Does it compute in them? And how does it "
    "sort?**"
)
_CREDIT = (
    "The experiment is that of “Learning Algorithms from Scratch with a Transformer” "
    "([SiliconSloth/Algoformer](https://github.com/SiliconSloth/Algoformer), 2024), whose "
    "conclusion is that the blank tokens are key. This page repeats it, and takes the models apart."
)

_EVERY_TASK = {
    "sort": "Give it a list of your own",
    "blanks": "Take its blanks away",
    "attention": "See where its heads look",
    "patch": "Patch one place at a time",
}
"""Pages that are of every task, by their paths."""

Links = Mapping[str, StreamlitPage]
"""The other pages, by path."""


def draw(sidebar: Callable[[], View | None], links: Links) -> None:
    """The whole page; what needs no model is drawn before one is opened.

    Args:
        sidebar: draws the controls and opens the model.
    """
    if not is_sorting():
        _other_task(sidebar, links)
        return
    st.title("What does a transformer do with 49 blanks?")
    st.markdown(_QUESTION)
    _start(links)
    example = st.container()
    subject, name = _subject()
    st.header("What has been found")
    if name != session.wanted():
        st.caption(f"Of the model `{name}`; of the one that is open no findings are shipped.")
    st.html(STYLE)
    for column, found in zip(st.columns(3, gap="medium"), findings(name, subject), strict=False):
        with column.container(border=True, key=f"finding {found.page}"):
            _finding(found, links)
    st.caption(_CREDIT)
    if (view := sidebar()) is not None:
        with example:
            _example(view)


def _other_task(sidebar: Callable[[], View | None], links: Links) -> None:
    """Of a model of another task, of which nothing is shipped."""
    st.title("What does a transformer do with its blanks?")
    view = sidebar()
    if view is None:
        return
    task = view.opened.task
    blanks = f"{task.n_blanks} BLANK tokens, which mean nothing" if task.n_blanks else "no blanks"
    st.markdown(
        f"The model that is open reads lists of {task.lengths_words}; the "
        f"right answer is {task.rule.words}. Before its answer it is given {blanks}. What has "
        f"been found, and ships, is of the model `{_FAVOURITE}`, whose task is another."
    )
    _example(view)
    for path, label in _EVERY_TASK.items():
        st.page_link(links[path], label=label, icon=":material/arrow_forward:")


def _subject() -> tuple[str, str]:
    """The hash and the name of the model whose findings are shown."""
    hashes = models.shipped_hashes()
    name = session.wanted()
    name = name if name in hashes else _FAVOURITE
    return hashes.get(name, ""), name


def _start(links: Links) -> None:
    with st.container(horizontal=True, key="start"):
        if st.button("Start the tour", type="primary", icon=":material/tour:"):
            st.switch_page(links["tour"])
        if st.button("Sort a list of your own", icon=":material/sort:"):
            st.switch_page(links["sort"])


def _finding(found: Finding, links: Links) -> None:
    st.subheader(found.question, anchor=False)
    st.markdown(f"**{found.answer}**")
    st.caption(f"{found.picture}, %; the line across is the 95 % interval")
    st.html(bars(found.bars, found.picture))
    for sentence in found.words:
        st.markdown(sentence)
    st.page_link(links[found.page], label=found.link, icon=":material/arrow_forward:")
    # What colours a command takes half a second of the browser: once it is asked for.
    box = st.expander("Made by", key=f"made {found.page}", on_change="rerun")
    if box.open:
        box.code("\n".join(found.commands), language="sh", wrap_lines=True)


def _example(view: View) -> None:
    """The open model, sorting the sidebar's list now."""
    if view.digits is None:
        wait_for_list()
        return
    said = results.answer(view.opened, view.digits, treatment.Treatment())
    right = "without a mistake" if not said.wrong else f"with {len(said.wrong)} mistakes"
    st.markdown(
        f"`{view.opened.name}` reads {spaced(view.digits)} and says **{said.text}**, {right}:"
    )
    seen = results.attention(view.opened, view.digits, treatment.Treatment())
    tokens.sequence(view.opened.task, said, seen, key="home sequence")
