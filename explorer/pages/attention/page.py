"""The page "Attention": every head on the list at hand, one of them enlarged, and their scores.

What does not depend on the list (the head finder, the circuits of a head's weights) is drawn by
:mod:`explorer.pages.attention.views`.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from typing import get_args

import streamlit as st

from analyses.experiment import catalogue
from analyses.one_list.answers import Answer, Attention
from analyses.one_list.attention import EXPERIMENT, AttentionSettings, Keys
from analyses.one_list.attention import body as one
from analyses.one_list.attention import figure as drawn
from analyses.one_list.attention.result import heads_of, key_span
from explorer.pages.attention import views as attention_views
from explorer.parts.by_click import intervene, tools_for, touched
from explorer.parts.controls import View
from explorer.parts.elements import plain, sentences, wait_for_list
from explorer.parts.one_list import about_list, show
from explorer.parts.panel import panel
from explorer.parts.sections import sections
from explorer.parts.speech import says
from explorer.parts.study import finding
from explorer.parts.tokens import Clicked, sequence
from explorer.server import results, session
from explorer.server.models import OpenModel
from explorer.server.places import Places

_INTRO = (
    "Each layer has several heads. At every position a head looks back at earlier positions and "
    "fetches something from there. Here is where each one looks while the model answers your list."
)
_ROWS, _KEYS, _CHANGE = "attention_rows", "attention_keys", "attention_change"
_ROW_CHOICES = {"emitting": "the ones that emit the answer", "every": "every position"}
_CHANGE_CHOICES = {"no": "no", "yes": "yes, below it"}
_SECTIONS = {
    "heads": "All heads on this list",
    "one": "One head enlarged",
    "carry": "Which heads carry the answer",
    "weights": "What its weights say",
}


def draw(view: View, places: Places) -> None:
    """The whole page."""
    del places
    st.title("Where the heads look")
    st.markdown(_INTRO)
    _workbench(view, sections("attention", _SECTIONS))


@st.fragment
def _workbench(view: View, shown: Collection[str]) -> None:
    """The choice of a head, the sequence, and what is said of the head."""
    chosen = _choose_head(view.opened)
    if _of_list(view, chosen):
        st.rerun()
    finding(view, catalogue.experiment("heads.head_finder"))
    if view.digits is not None:
        answer = results.answer(view.opened, view.digits, view.treatment)
        attention = results.attention(view.opened, view.digits, view.treatment)
        if "heads" in shown:
            _overview(view, answer, attention, chosen)
        if "one" in shown:
            _enlarged(view, attention, chosen)
    if "carry" in shown:
        st.header("Which heads carry the answer")
        attention_views.studies(view)
    if "weights" in shown:
        st.header("What the weights of the head say")
        attention_views.circuits(view, chosen)


def _of_list(view: View, chosen: tuple[int, int]) -> bool:
    """The sequence, or where there is none, that a list is waited for.

    Returns:
        whether the intervention was changed by a click, so that all of the page is another.
    """
    if view.digits is None:
        wait_for_list()
        return False
    answer = results.answer(view.opened, view.digits, view.treatment)
    attention = results.attention(view.opened, view.digits, view.treatment)
    return _sequence(view, answer, attention, chosen)


def _choose_head(opened: OpenModel) -> tuple[int, int]:
    """The head that is enlarged, on this page and in its address."""
    config = opened.model.config
    session.clamp(session.LAYER, config.n_layers, config.n_layers - 1)
    session.clamp(session.HEAD, config.n_heads, 0)
    columns = st.columns([1, 2, 2], vertical_alignment="bottom")
    layer = columns[0].radio("Layer", range(config.n_layers), key=session.LAYER, horizontal=True)
    head = columns[1].radio("Head", range(config.n_heads), key=session.HEAD, horizontal=True)
    session.write_link(layer=str(layer), head=str(head))
    return layer, head


def _under(view: View) -> str:
    """What the visitor should remember of every number, in words."""
    return f" All of it under the intervention: {plain(view.words)}." if view.treatment else ""


def _sequence(view: View, said: Answer, attention: Attention, chosen: tuple[int, int]) -> bool:
    """The tokens, coloured by the attention of the head that is chosen above."""

    def on_click(clicked: Clicked) -> None:
        if clicked.step is None:
            intervene(view, clicked)

    return sequence(
        view.opened.task,
        said,
        attention,
        key="attention sequence",
        touched=touched(view),
        head=chosen,
        tools=tools_for(view),
        on_click=on_click,
    )


# -- all heads ----------------------------------------------------------------------------------


def _overview(view: View, answer: Answer, attention: Attention, chosen: tuple[int, int]) -> None:
    """All heads at a glance, beside their scores on this list."""
    left, right = st.columns([3, 2], gap="medium")
    with left:
        panel(
            drawn.overview(attention, chosen),
            "heads",
            about_list(view, EXPERIMENT, AttentionSettings()),
            lambda: one.overview_rows(attention),
            "a small picture for every head, the chosen one framed. Each line of a picture is a "
            "position that emits an output, from the first output at the top to the last; each "
            "column is a position that it looks at: the list, the separator SEP, the blanks, the "
            "outputs given back. Gaps divide these regions. The colour grows with the square root "
            f"of the attention, so that faint attention shows, too.{_under(view)}",
            "that what is looked at is used: a head may copy nothing, and attention may rest where "
            "it does no harm.",
        )
    with right:
        _scores(view, answer, attention)


def _scores(view: View, answer: Answer, attention: Attention) -> None:
    """The cheap scores, sortable by a click on a column's name."""
    rows = one.scores(attention, answer, view.opened.task)
    if (truth := view.opened.truth) is not None:
        for row, head in zip(rows, heads_of(attention), strict=True):
            row["by construction"] = "carries the answer" if head in truth.heads else "decoy"
    st.markdown("**Scores on this list** (a click on a column's name orders them)")
    attention_views.score_table(rows, "scores")
    sentences(
        "for each head (layer.head) the mean over the rows that emit: attention to each region; "
        "how spread out it is (entropy in bits: 0 is one position, 5 is like 32 positions alike); "
        "attention to what an algorithm might look for: digits equal to the one said last, to the "
        "next larger one, to the one that must be said; the position before; and the row's own "
        f"blank (output i, blank i). One list, so there is no interval.{_under(view)}",
        "that other lists look alike, or that a high score is more than chance: in a list of few "
        "digits much attention falls on the right one by itself. The head finder below scores many "
        "lists.",
    )


# -- one head -----------------------------------------------------------------------------------


@st.fragment
def _enlarged(view: View, attention: Attention, chosen: tuple[int, int]) -> None:
    """One head, its rows and columns to choose, and what the intervention changes."""
    st.header("One head enlarged")
    settings, change = _choices(view, attention, chosen)
    show(
        view,
        EXPERIMENT,
        settings,
        "one_head",
        "how this head spreads its attention. A row is the position that looks (after the arrow: "
        "what it emits), a column is what it looks at; over all columns a row adds up to 1. "
        "Lines divide the regions: list, SEP, blanks, last blank, outputs given back. Positions "
        "before the list are padding, nothing looks at them, and they are left out. The colours "
        f"reach to the largest weight in view.{_under(view)}",
        "that what is looked at is used. The head finder below tests that.",
    )
    if not change:
        return
    show(
        view,
        EXPERIMENT,
        replace(settings, difference=True),
        "one_head_change",
        f"attention under the intervention ({plain(view.words)}) less attention without it, both "
        "along the outputs given under the intervention. Zero is in the middle of the scale; "
        "hover for the signed number.",
        "which of the changes matters for the answer.",
    )


def _choices(
    view: View, attention: Attention, head: tuple[int, int]
) -> tuple[AttentionSettings, bool]:
    """Rows, columns, and whether to compare: from the widgets, which are in the address."""
    session.from_link(_ROWS, "att_rows", "emitting")
    session.from_link(_KEYS, "att_keys", "all")
    session.from_link(_CHANGE, "att_change", "no")
    offered: list[Keys] = [k for k in get_args(Keys) if key_span(attention, k) != slice(0, 0)]
    session.allow(_ROWS, list(_ROW_CHOICES), "emitting")
    session.allow(_KEYS, offered, "all")
    session.allow(_CHANGE, list(_CHANGE_CHOICES), "no")
    columns = st.columns(3)
    rows = columns[0].radio("Rows", _ROW_CHOICES, key=_ROWS, format_func=_ROW_CHOICES.get)
    keys = columns[1].radio("Columns", offered, key=_KEYS, format_func=says, horizontal=True)
    change = columns[2].radio(
        "Compare with no intervention",
        _CHANGE_CHOICES,
        key=_CHANGE,
        format_func=_CHANGE_CHOICES.get,
        horizontal=True,
        disabled=not view.treatment,
        help="Choose an intervention at the left first.",
    )
    session.write_link(
        att_rows="" if rows == "emitting" else rows,
        att_keys="" if keys == "all" else keys,
        att_change="" if change == "no" else change,
    )
    settings = AttentionSettings(*head, every_row=rows == "every", keys=keys)
    return settings, change == "yes" and bool(view.treatment)
