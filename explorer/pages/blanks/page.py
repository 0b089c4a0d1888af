"""The page "Blanks": take blanks away, or put another list's in, and see what comes out."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace

import streamlit as st

from analyses.experiment import catalogue
from analyses.one_list import blanks as experiment
from analyses.one_list.blanks import LISTS, body
from analyses.one_list.blanks.result import ControlledAnswers
from explorer.pages.blanks import choice as blanks_choice
from explorer.pages.blanks.exchange import exchange
from explorer.pages.blanks.many import many
from explorer.pages.blanks.parts import SEED, STYLE, answer_row, everywhere
from explorer.parts.controls import View
from explorer.parts.elements import plain, wait_for_list
from explorer.parts.meaning import OWN, say_meaning
from explorer.parts.one_list import about_list, kept
from explorer.parts.panel import OF_MANY, panel
from explorer.parts.sections import sections
from explorer.parts.speech import says
from explorer.parts.study import finding
from explorer.server import session
from explorer.server.places import Places
from interp.answers.kinds import ABLATIONS, Act
from interp.answers.treatment import Treatment

KIND = "blanks_kind"

_SECTIONS = {
    "away": "Taken away",
    "exchange": "Exchanged with list B",
    "sample": "On a sample of lists",
    "many": "Over many lists",
}
_WELCOME = (
    "Between the list and its answer stand {} BLANK tokens, which mean nothing. Does the model "
    "need them, and is it what they *hold* that it needs? Choose some, take them away, and compare "
    "with as many other positions; then give the model the blanks of another list, and see whose "
    "answer comes out."
)
_MASKS_NOT = (
    "that what the blanks hold is used: a mask also takes away the place where attention rests "
    "when there is nothing to look for (the attention sink); compare with mean and resample. Nor "
)
_NOT = (
    "what a component does, or that a blank that can be spared is of no use: another may hold the "
    "same. In a short list the control is smaller than the set of blanks, and so the milder one."
)


def draw(view: View, places: Places) -> None:
    """The whole page."""
    del places
    st.title("The blanks: taken away, and exchanged")
    n_blanks = view.opened.task.n_blanks
    if n_blanks == 0:
        st.info("This model was trained without blanks, so there is nothing to take away here.")
        return
    if view.digits is None:
        wait_for_list()
        return
    st.markdown(_WELCOME.format(n_blanks))
    if view.treatment:
        st.caption(
            f"The sidebar's intervention ({plain(view.words)}) is left out here: what is chosen "
            "below is compared with nothing done at all."
        )
    st.html(STYLE)  # here, not in every row: each style makes the browser look at the whole page
    finding(view, catalogue.experiment("ablate_blanks"))
    shown = sections("blanks", _SECTIONS)
    if set(shown) - {"many"}:
        _workbench(view, view.digits, shown)
    if "many" in shown:
        many(view)


@st.fragment
def _workbench(view: View, digits: tuple[int, ...], shown: Collection[str]) -> None:
    """One fragment and none inside it: what has not changed comes from the cache."""
    blanks = blanks_choice.choose(view)
    if not blanks:
        st.info("Choose at least one blank.")
        return
    if set(shown) & {"away", "sample"}:
        treatment = Treatment(_kind(), blanks)
        if "away" in shown:
            _take_away(view, digits, treatment)
        if "sample" in shown:
            _sample_panel(view, treatment)
    if "exchange" in shown:
        exchange(view, digits, blanks)


# -- taken away ---------------------------------------------------------------------------------


def _take_away(view: View, digits: tuple[int, ...], treatment: Treatment) -> None:
    with st.spinner(says("Sorting, three times")):
        runs = kept(
            ("blanks taken away", view.opened.hash, digits, treatment, SEED),
            lambda _: body.controlled_answers(view.opened.model, digits, treatment, SEED),
        )
    answer_row("As it is", runs.as_it_is.answer, "blanks as it is")
    what = treatment.words(view.opened.task)
    answer_row(f"These blanks: {what}", runs.blanks.answer, "blanks ablated")
    answer_row(_control_words(runs, treatment.blanks), runs.control.answer, "blanks control")
    say_meaning(view)
    st.caption(
        says("Each cell: the output, ✓ or ✗ with the digit that it should be, ")
        + "and its probability; the "
        f"model is {OWN}."
    )
    everywhere(treatment, "blanks take away everywhere")


def _kind() -> Act:
    session.from_link(KIND, "kind", Act.MASK.value)
    kinds = [act.value for act in ABLATIONS]
    session.allow(KIND, kinds, Act.MASK.value)
    chosen = st.radio(
        "How",
        kinds,
        key=KIND,
        format_func=lambda text: Treatment(Act(text)).kind.way.title,
        horizontal=True,
    )
    session.write_link(kind=chosen)
    st.caption(Treatment(Act(chosen)).kind.way.explained)
    return Act(chosen)


def _control_words(runs: ControlledAnswers, blanks: tuple[int, ...]) -> str:
    """What the control is, and whether it is as large as it should be."""
    n = runs.n_control
    words = f"Control: the same for {n} position{'' if n == 1 else 's'} that are no blanks"
    if n < len(blanks):
        words += f" (all that this list has; the blanks are {len(blanks)})"
    return words


def _sample_panel(view: View, treatment: Treatment) -> None:
    st.subheader("On a sample of lists")
    with st.spinner(f"Scoring {LISTS} lists, three times"):
        found = kept(
            ("blanks sample", view.opened.hash, treatment, LISTS, SEED),
            lambda _: body.sample(view.opened.model, treatment, LISTS, SEED),
        )
    shown = body.show_sample(found, treatment, view.opened.task)
    there, settings = replace(view, treatment=treatment), experiment.BlanksSettings()
    of = about_list(there, experiment.EXPERIMENT, settings, SEED)
    panel(
        shown.figure,
        "blanks_sample",
        replace(of, digits="", intervention=OF_MANY),  # the list is in the words alone
        shown.rows,
        f"how many of {LISTS} random lists (seed {SEED}; a few lengths, up to the longest) come "
        "out without a mistake, and how many of their digits are right when each is given the "
        "right ones before it. The control does the same to as many positions that are no blanks, "
        f"or to all that a short list has: {found.control_positions:.0f} on average, beside "
        f"{len(treatment.blanks)} blanks. Intervals: 95 %, Wilson for lists and a bootstrap over "
        "lists for digits.",
        (_MASKS_NOT if treatment.kind.way.masks else "") + _NOT,
    )
