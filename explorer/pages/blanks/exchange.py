"""The part of the page "Blanks" that puts another list's blanks in, and sees whose answer comes."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import streamlit as st

from explorer.pages.blanks.parts import COMMAND, SEED, answer_row, attributed, cells, everywhere
from explorer.parts.controls import View
from explorer.parts.elements import refuse
from explorer.parts.panel import about, panel
from explorer.server import session
from explorer.server.models import OpenModel
from interp.answers.treatment import Act, Treatment
from interp.support.errors import UserError

if TYPE_CHECKING:
    from analyses.one_list.blanks.result import Exchange

LIST_B = "blanks_list_b"


def exchange(view: View, digits: tuple[int, ...], blanks: tuple[int, ...]) -> None:
    st.header("Exchanged with list B", divider="gray")
    st.markdown(
        "While the model answers list A, the one in the sidebar, the chosen blanks get the keys "
        "and values that they have in list B's run, from layer 1 on (in layer 0 they are the "
        "same for every list), as if a piece of its KV cache were spliced in."
    )
    treatment = Treatment(Act.TRANSPLANT, blanks, _list_b(view, digits))
    with st.spinner("Sorting with the blanks of list B"):
        found = _exchanged(view.opened.hash, digits, treatment, SEED, view.opened)
    answer_row(f"List A: {_spaced(found.a)}", found.runs.as_it_is.answer, "blanks list a")
    answer_row(f"List B: {_spaced(found.b)}", found.other.answer, "blanks list b")
    _followed(found, "A with these blanks from B", "blanks from b")
    n = found.runs.n_control
    _followed(found, f"Control: A with {n} other positions from B", "blanks control from b")
    _self_check(found)
    everywhere(treatment, "blanks exchange everywhere")
    _exchange_panel(view, found, treatment)


def _list_b(view: View, digits: tuple[int, ...]) -> tuple[int, ...]:
    """The list in its field; while there is none that fits, a random one."""
    from analyses.one_list.blanks.body import other_list

    model = view.opened.model
    other = other_list(model, digits, SEED)
    session.from_link(LIST_B, "b", "")
    field, button = st.columns([3, 1], vertical_alignment="bottom")
    typed = field.text_input(
        "List B, as long as list A; empty for a random one",
        key=LIST_B,
        placeholder=",".join(str(digit) for digit in other),
        max_chars=session.LONGEST_TEXT,
    ).strip()
    button.button("Another random list", key="blanks another b", on_click=_another, args=(view,))
    link = ""
    if typed:
        try:
            read = model.task.parse(typed)
            Treatment(Act.TRANSPLANT, (0,), read).check(model.config, len(digits))
            other, link = read, ",".join(str(digit) for digit in read)
        except UserError as error:
            refuse(st.container(), f"{error}. Until it is, list B is {_spaced(other)}, at random.")
    session.write_link(b=link)
    return other


def _another(view: View) -> None:
    import random

    from analyses.one_list.blanks.body import other_list

    if view.digits is not None:
        drawn = other_list(view.opened.model, view.digits, random.randrange(1, 10**6))
        st.session_state[LIST_B] = ",".join(str(digit) for digit in drawn)


def _spaced(digits: tuple[int, ...]) -> str:
    return " ".join(str(digit) for digit in digits)


def _followed(found: Exchange, name: str, key: str) -> None:
    said = found.runs.control if "control" in key else found.runs.blanks
    with st.container(key=key, gap="small"):
        st.markdown(f"**{name}** · {found.tally(said)}")
        st.html(cells(attributed(said.answer, found.follows(said)), f"Outputs: {name}"))


def _self_check(found: Exchange) -> None:
    mark, words = "✓", "no bit changes"
    if found.self_change:
        mark, words = "✗", "this should be 0: do not trust what is above"
    st.markdown(
        f"**Check: A's own blanks put into A** · {mark} largest change of any logit: "
        f"{found.self_change:g} ({words})."
    )


def _exchange_panel(view: View, found: Exchange, treatment: Treatment) -> None:
    from analyses.one_list.blanks.body import exchange_seen

    seen = exchange_seen(found, treatment, view.opened.model)
    panel(
        seen.figure,
        "blanks_exchange",
        about(replace(view, treatment=treatment), COMMAND, seed=SEED),
        seen.rows,
        "for every output in which the sorted lists differ, how probable list A's digit and list "
        "B's digit are: filled with the chosen blanks from B, open with as many other positions "
        "from B. This is one pair of lists; many pairs are below.",
        "that an output that stays with A does without its blanks: what all lists' blanks have in "
        "common is not exchanged, and the output rows' own layer 0 goes on reading list A.",
    )


@st.cache_data(max_entries=500, show_spinner=False)
def _exchanged(
    hash_: str, digits: tuple[int, ...], treatment: Treatment, seed: int, _opened: OpenModel
) -> Exchange:
    from analyses.one_list.blanks.body import exchange as compute

    return compute(_opened.model, digits, treatment, seed)
