"""The sidebar, the same on every page: the model, the list, and what is intervened on."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import streamlit as st

from explorer.parts.background import under_way
from explorer.parts.copy_link import copy_link
from explorer.parts.elements import plain, refuse
from explorer.parts.importing import import_box
from explorer.parts.speech import says, speak_of
from explorer.server import session
from explorer.server.menu import TRIED, words_of, wrong_list
from explorer.server.models import OpenModel, open_model
from explorer.server.places import Places
from interp.answers.kinds import ABLATIONS, Act
from interp.answers.treatment import Treatment
from interp.rules import SORT
from interp.support.errors import UserError
from interp.task import SortTask, typed

if TYPE_CHECKING:
    from streamlit.delta_generator import DeltaGenerator

_LAST_OPENED = "last_opened"  # the name of this visitor's last model that could be opened
_NONE_WRONG = "none_wrong"  # a list that it gets wrong was asked for, and there is none
_FITS = 24  # characters of a choice
_TRIED = 5  # models tried in place of one that cannot be opened


@dataclass(frozen=True)
class View:
    """What a page is to show."""

    opened: OpenModel
    digits: tuple[int, ...] | None
    """None while what is typed is no list."""
    treatment: Treatment
    """What is done to the model; nothing, where what was asked for cannot be done."""

    @property
    def words(self) -> str:
        """What is done, in plain words."""
        return self.treatment.words(self.opened.task)


def sidebar(places: Places) -> View | None:
    """Draw the controls and read them; None while there is no model at all."""
    opened = _model(places)
    if opened is None:
        return None
    if speak_of(opened.task):
        session.draw_again()
    digits = _list(opened)
    treatment = _treatment(opened, digits)
    import_box()
    with st.sidebar:
        copy_link()
    under_way()
    session.write_link(
        model=session.wanted(),
        list=st.session_state[session.LIST],
        do=treatment.text or st.session_state[session.DO],
    )
    return View(opened, digits, treatment)


# -- the model ----------------------------------------------------------------------------------


def _model(places: Places) -> OpenModel | None:
    """The chosen model; if it cannot be opened, a message and the last one that could."""
    choices = places.choices()
    if st.session_state[session.MODEL] not in (*choices, session.OTHER):  # its folder is gone
        session.choose_model(st.session_state[session.MODEL], choices)
    st.sidebar.selectbox(
        "Model",
        [*choices, session.OTHER],
        key=session.MODEL,
        format_func=lambda name: _short(name, words_of(places, name)),
    )
    if st.session_state[session.MODEL] == session.OTHER:
        st.sidebar.text_input(
            "Folder of a run, a checkpoint or an imported model",
            key=session.FOLDER,
            placeholder="runs/0001-stable-blanks-s0",
            max_chars=session.LONGEST_PATH,
        )
    message = st.sidebar.container()
    with st.spinner("Opening the model; the first one takes some seconds"):
        opened = _first_that_opens(places, message)
    if opened is not None:
        st.session_state[_LAST_OPENED] = opened.name
        shown = "Open" if opened.name == session.wanted() else "Still shown"
        st.sidebar.caption(f"{shown}: {plain(opened.name)}; {opened.words}")
    return opened


def _short(name: str, words: str) -> str:
    """A name that fits the sidebar, with what it is; all of a path stands below the field."""
    shown = name if len(name) <= _FITS else f"…/{Path(name).name}"
    return f"{shown} · {words}" if words else shown


def _first_that_opens(places: Places, message: DeltaGenerator) -> OpenModel | None:
    wanted, last = session.wanted(), st.session_state.get(_LAST_OPENED, "")
    for name in dict.fromkeys([wanted, last, *places.choices()[:_TRIED]]):
        try:
            if name:
                return open_model(places, name)
        except UserError as error:
            if name == wanted:
                refuse(message, error)
    return None


# -- the list -----------------------------------------------------------------------------------


def _list(opened: OpenModel) -> tuple[int, ...] | None:
    task = opened.task
    if st.session_state[session.LIST] == session.FIRST_LIST:  # ours, so it is for us to make it fit
        session.put(session.LIST, typed(task.example))
    st.sidebar.text_input(
        "List to sort" if task.rule == SORT else f"List: answered with {task.rule.words}",
        key=session.LIST,
        max_chars=session.LONGEST_TEXT,
        help=f"{task.lengths_words} from 0 to {task.n_symbols - 1}, like {task.symbols.example}",
    )
    message = st.sidebar.container()
    columns = st.sidebar.columns(2)
    for number, (words, make) in enumerate(PRESETS.items()):
        columns[number % 2].button(
            says(words), key=f"preset {words}", on_click=_type, args=(make, task), width="stretch"
        )
    columns[len(PRESETS) % 2].button(
        "One it fails",
        on_click=_type_wrong,
        args=(opened,),
        width="stretch",
        help="A list that this model gets wrong: a random one, or where there is none, one of few "
        f"different {task.symbols.word}s.",
    )
    if st.session_state.pop(_NONE_WRONG, False):
        st.sidebar.caption(says(f"✓ It sorts all lists that were tried: {TRIED} of each kind."))
    try:
        return task.parse(st.session_state[session.LIST])
    except UserError as error:
        refuse(message, error)
        return None


def _type(make: Callable[[SortTask], list[int]], task: SortTask) -> None:
    session.put(session.LIST, typed(make(task)))


def _type_wrong(opened: OpenModel) -> None:
    found = wrong_list(opened)
    if found is None:
        st.session_state[_NONE_WRONG] = True
    else:
        session.put(session.LIST, typed(found))


def _random(task: SortTask) -> list[int]:
    return random.choices(task.alphabet, k=random.randint(1, task.max_len))


def _reversed(task: SortTask) -> list[int]:
    return list(reversed(task.alphabet))[: task.max_len]


def _repeats(task: SortTask) -> list[int]:
    two = random.sample(task.alphabet, 2)
    return random.choices(two, k=min(16, task.max_len))


def _one_digit(task: SortTask) -> list[int]:
    return [random.choice(task.alphabet)]


def _longest(task: SortTask) -> list[int]:
    return random.choices(task.alphabet, k=task.max_len)


PRESETS: dict[str, Callable[[SortTask], list[int]]] = {
    "Random": _random,
    "Reversed": _reversed,
    "Many repeats": _repeats,
    "One digit": _one_digit,
    "Longest": _longest,
}
"""Lists at the press of a button, each made for the model that is open."""


# -- the intervention ---------------------------------------------------------------------------


def _treatment(opened: OpenModel, digits: tuple[int, ...] | None) -> Treatment:
    masked = _mask(opened.task)
    st.sidebar.text_input(
        "Other intervention",
        key=session.DO,
        placeholder="zero:3-10",
        max_chars=session.LONGEST_TEXT,
        on_change=_unmask,
        help=f"Set by the pages Patch and Blanks, or typed: {', '.join(ABLATIONS[:-1])} or "
        f"{ABLATIONS[-1]} and blanks counted from 0 (zero:3-10); transplant:0-47:3,1,4 for the "
        "blanks of the list 3 1 4; patch:v.1.2:53:3,1,9 for one place (values of "
        "head 1.2, position 53).",
    )
    message = st.sidebar.container()
    try:
        treatment = masked or Treatment.parse(st.session_state[session.DO], opened.task)
        treatment.check(opened.model.config, None if digits is None else len(digits))
    except UserError as error:
        refuse(message, error)
        treatment = Treatment()
    st.sidebar.caption(f"**Intervened on:** {plain(treatment.words(opened.task))}.")
    if treatment:
        st.sidebar.button("Stop intervening", on_click=session.choose, args=(Treatment(),))
    return treatment


def _unmask() -> None:
    if st.session_state[session.DO].strip():
        st.session_state[session.MASKED] = False


def _mask(task: SortTask) -> Treatment:
    if task.n_blanks == 0:
        st.sidebar.toggle("Mask the blanks", key="no blanks to mask", disabled=True)
        st.sidebar.caption("This model was trained without blanks: there is nothing to mask.")
        return Treatment()
    default = Treatment(Act.MASK, tuple(range(task.n_blanks)))
    if st.session_state[session.DO].strip() in (default.text, f"{Act.MASK}:all"):
        session.choose_mask()
    masked = st.sidebar.toggle(
        "Mask the blanks",
        key=session.MASKED,
        help="No output may attend to any blank, in any layer: the mask of every page.",
    )
    as_published = st.sidebar.toggle(
        "As published: not the last blank's row",
        key=session.AS_PUBLISHED,
        disabled=not masked,
        help="The last blank emits the first output. The published test leaves its row alone, so "
        "that the first output stays as it is.",
    )
    if not masked:
        return Treatment()
    return Treatment(Act.PUBLISHED) if as_published else default
