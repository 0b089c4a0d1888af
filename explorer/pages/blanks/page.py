"""The page "Blanks": take blanks away, or put another list's in, and see what comes out."""

from __future__ import annotations

from typing import TYPE_CHECKING

import streamlit as st

from explorer.pages.blanks import choice as blanks_choice
from explorer.pages.blanks.exchange import exchange
from explorer.pages.blanks.many import many
from explorer.pages.blanks.parts import COMMAND, SEED, STYLE, answer_row, everywhere
from explorer.parts.controls import View
from explorer.parts.elements import plain, wait_for_list
from explorer.parts.panel import about, panel
from explorer.server import session
from explorer.server.models import OpenModel
from explorer.server.places import Places
from interp.answers.treatment import ABLATIONS, Act, Treatment

if TYPE_CHECKING:
    from analyses.one_list.blanks.result import Beside, Sample

KIND = "blanks_kind"

_WELCOME = (
    "Between the list and its answer stand {} BLANK tokens, which mean nothing. Does the model "
    "need them, and is it what they *hold* that it needs? Choose some, take them away, and compare "
    "with as many other positions; then give the model the blanks of another list, and see whose "
    "answer comes out."
)
_KINDS = {
    Act.MASK: (
        "mask",
        "Outputs may not look at these positions, and their attention spreads over the rest. What "
        "the positions hold goes, and with it a place for attention to rest (the attention sink).",
    ),
    Act.MASK_KEPT: (
        "mask, other weights kept",
        "Attention to these positions becomes zero and all other weights stay as they were: what "
        "the positions hold goes, the resting place stays.",
    ),
    Act.ZERO: (
        "zero",
        "Keys and values of these positions become zero, an input that no list ever makes.",
    ),
    Act.MEAN: (
        "mean",
        "Keys and values of these positions become their average over 64 random lists of this "
        "length, from layer 1 on: what is special to this list goes, what all lists share stays.",
    ),
    Act.RESAMPLE: (
        "resample",
        "Keys and values of these positions are those of one random other list of this length, "
        "from layer 1 on: as a real list would leave them.",
    ),
}
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
    _workbench(view, view.digits)
    many(view)


@st.fragment
def _workbench(view: View, digits: tuple[int, ...]) -> None:
    """One fragment and none inside it: what has not changed comes from the cache."""
    st.header("Which blanks", divider="gray")
    blanks = blanks_choice.choose(view.opened.model.config)
    if not blanks:
        st.info("Choose at least one blank.")
        return
    _take_away(view, digits, blanks)
    exchange(view, digits, blanks)


# -- taken away ---------------------------------------------------------------------------------


def _take_away(view: View, digits: tuple[int, ...], blanks: tuple[int, ...]) -> None:
    st.header("Taken away", divider="gray")
    treatment = Treatment(_kind(), blanks)
    with st.spinner("Sorting, three times"):
        runs = _beside(view.opened.hash, digits, treatment, SEED, view.opened)
    answer_row("As it is", runs.as_it_is.answer, "blanks as it is")
    what = treatment.words(view.opened.task)
    answer_row(f"These blanks: {what}", runs.blanks.answer, "blanks ablated")
    answer_row(_control_words(runs, blanks), runs.control.answer, "blanks control")
    st.caption(
        "Each cell: the output, ✓ or ✗ with the digit that it should be, and its probability. "
        "Every output is given the ones before it, right or wrong."
    )
    everywhere(treatment, "blanks take away everywhere")
    _sample_panel(view, digits, treatment)


def _kind() -> Act:
    session.from_link(KIND, "kind", Act.MASK.value)
    kinds = [act.value for act in ABLATIONS]
    session.allow(KIND, kinds, Act.MASK.value)
    chosen = st.radio(
        "How", kinds, key=KIND, format_func=lambda kind: _KINDS[Act(kind)][0], horizontal=True
    )
    session.write_link(kind=chosen)
    st.caption(_KINDS[Act(chosen)][1])
    return Act(chosen)


def _control_words(runs: Beside, blanks: tuple[int, ...]) -> str:
    """What the control is, and whether it is as large as it should be."""
    n = runs.n_control
    words = f"Control: the same for {n} position{'' if n == 1 else 's'} that are no blanks"
    if n < len(blanks):
        words += f" (all that this list has; the blanks are {len(blanks)})"
    return words


def _sample_panel(view: View, digits: tuple[int, ...], treatment: Treatment) -> None:
    from analyses.one_list.blanks.body import LISTS, sample_seen

    st.subheader("On a sample of lists")
    with st.spinner(f"Scoring {LISTS} lists, three times"):
        found = _sample(view.opened.hash, treatment, LISTS, SEED, view.opened)
    seen = sample_seen(found, treatment, view.opened.model)
    shown = ",".join(str(digit) for digit in digits)
    panel(
        seen.figure,
        "blanks_sample",
        about(view, f"{COMMAND} --list {shown} --do {treatment.text}", of_list=False, seed=SEED),
        seen.rows,
        f"how many of {LISTS} random lists (seed {SEED}; a few lengths, up to the longest) come "
        "out without a mistake, and how many of their digits are right when each is given the "
        "right ones before it. The control does the same to as many positions that are no blanks, "
        f"or to all that a short list has: {found.control_positions:.0f} on average, beside "
        f"{len(treatment.blanks)} blanks. Intervals: 95 %, Wilson for lists and a bootstrap over "
        "lists for digits.",
        (_MASKS_NOT if treatment.act in (Act.MASK, Act.MASK_KEPT) else "") + _NOT,
    )


@st.cache_data(max_entries=500, show_spinner=False)
def _beside(
    hash_: str, digits: tuple[int, ...], treatment: Treatment, seed: int, _opened: OpenModel
) -> Beside:
    from analyses.one_list.blanks.body import beside

    return beside(_opened.model, digits, treatment, seed)


@st.cache_data(max_entries=500, show_spinner=False)
def _sample(hash_: str, treatment: Treatment, lists: int, seed: int, _opened: OpenModel) -> Sample:
    from analyses.one_list.blanks.body import sample

    return sample(_opened.model, treatment, lists, seed)
