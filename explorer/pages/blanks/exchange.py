"""The part of the page "Blanks" that puts another list's blanks in, and sees whose answer comes."""

from __future__ import annotations

import random
from dataclasses import replace

import streamlit as st

from analyses.one_list import blanks as experiment
from analyses.one_list.blanks import body
from analyses.one_list.blanks.result import Exchange
from explorer.pages.blanks.parts import SEED, answer_row, attributed, cells, everywhere
from explorer.parts.controls import View
from explorer.parts.elements import refuse
from explorer.parts.one_list import about_list, kept
from explorer.parts.panel import panel
from explorer.parts.speech import says
from explorer.server import session
from interp.answers.kinds import Act
from interp.answers.treatment import Treatment
from interp.support.errors import UserError
from interp.task import spaced, typed

LIST_B = "blanks_list_b"


def exchange(view: View, digits: tuple[int, ...], blanks: tuple[int, ...]) -> None:
    st.header("Exchanged with list B")
    st.markdown(
        "While the model answers list A, the one in the sidebar, the chosen blanks get the keys "
        "and values that they have in list B's run, from layer 1 on (in layer 0 they are the "
        "same for every list), as if a piece of its KV cache were spliced in."
    )
    treatment = Treatment(Act.TRANSPLANT, blanks, _list_b(view, digits))
    with st.spinner(says("Sorting with the blanks of list B")):
        found = kept(
            ("blanks exchanged", view.opened.hash, digits, treatment, SEED),
            lambda _: body.exchange(view.opened.model, digits, treatment, SEED),
        )
    answer_row(f"List A: {spaced(found.a)}", found.runs.as_it_is.answer, "blanks list a")
    answer_row(f"List B: {spaced(found.b)}", found.other.answer, "blanks list b")
    _followed(found, "A with these blanks from B", "blanks from b")
    n = found.runs.n_control
    _followed(found, f"Control: A with {n} other positions from B", "blanks control from b")
    _self_check(found)
    everywhere(treatment, "blanks exchange everywhere")
    _exchange_panel(view, found, treatment)


def _list_b(view: View, digits: tuple[int, ...]) -> tuple[int, ...]:
    """The list in its field; while there is none that fits, a random one."""
    model = view.opened.model
    other = body.other_list(model, digits, SEED)
    session.from_link(LIST_B, "b", "")
    field, button = st.columns([3, 1], vertical_alignment="bottom")
    text = field.text_input(
        "List B, as long as list A; empty for a random one",
        key=LIST_B,
        placeholder=typed(other),
        max_chars=session.LONGEST_TEXT,
    ).strip()
    button.button("Another random list", key="blanks another b", on_click=_another, args=(view,))
    link = ""
    if text:
        try:
            read = model.task.parse(text)
            Treatment(Act.TRANSPLANT, (0,), read).check(model.config, len(digits))
            other, link = read, typed(read)
        except UserError as error:
            refuse(st.container(), f"{error}. Until it is, list B is {spaced(other)}, at random.")
    session.write_link(b=link)
    return other


def _another(view: View) -> None:
    if view.digits is not None:
        drawn = body.other_list(view.opened.model, view.digits, random.randrange(1, 10**6))
        session.put(LIST_B, typed(drawn))


def _followed(found: Exchange, name: str, key: str) -> None:
    run = found.runs.control if "control" in key else found.runs.blanks
    with st.container(key=key, gap="small"):
        st.markdown(f"**{name}** · {says(found.tally(run))}")
        st.html(cells(attributed(run.answer, found.follows(run)), f"Outputs: {name}"))


def _self_check(found: Exchange) -> None:
    mark, words = "✓", "no bit changes"
    if found.self_change:
        mark, words = "✗", "this should be 0: do not trust what is above"
    st.markdown(
        f"**Check: A's own blanks put into A** · {mark} largest change of any logit: "
        f"{found.self_change:g} ({words})."
    )


def _exchange_panel(view: View, found: Exchange, treatment: Treatment) -> None:
    shown = body.show_exchange(found, treatment, view.opened.task)
    there, settings = replace(view, treatment=treatment), experiment.BlanksSettings()
    panel(
        shown.figure,
        "blanks_exchange",
        about_list(there, experiment.EXPERIMENT, settings, SEED),
        shown.rows,
        "for every output in which the sorted lists differ, how probable list A's digit and list "
        "B's digit are: filled with the chosen blanks from B, open with as many other positions "
        "from B. This is one pair of lists; many pairs are below.",
        "that an output that stays with A does without its blanks: what all lists' blanks have in "
        "common is not exchanged, and the output rows' own layer 0 goes on reading list A.",
    )
