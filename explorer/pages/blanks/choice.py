"""Choosing blanks: in the sequence, or in a field for spans like ``3-10, 40``."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence

import streamlit as st

from explorer.parts.controls import View
from explorer.parts.elements import refuse
from explorer.parts.tokens import Clicked, Tool, sequence
from explorer.server import results, session
from interp.answers.kinds import Act
from interp.answers.treatment import Treatment, blank_positions
from interp.config import ModelConfig
from interp.sites import spans
from interp.support.errors import UserError

Blanks = tuple[int, ...]

SPANS = "blanks_spans"
_LAST = "blanks_last"  # the last choice that could be read
ALL, NONE = "all", "none"
_CHOOSE = Tool("choose", "choose", "Chooses it, or lets it go; with Shift, all from the last one")


def choose(view: View) -> Blanks:
    """Draw the sequence, the field and buttons; returns the blanks, counted from 0.

    While the field cannot be read, a message stands below it and the last choice stays.
    """
    config = view.opened.model.config
    n = config.task.n_blanks
    session.from_link(SPANS, "blanks", ALL)
    chosen, mistake = _read(config)
    st.session_state[_LAST] = chosen
    _sequence(view, chosen)
    field, buttons = st.columns([1, 3], vertical_alignment="bottom", gap="medium")
    field.text_input("The same as text", key=SPANS, max_chars=session.LONGEST_TEXT)
    if mistake is not None:
        refuse(st.container(), mistake)
    row = buttons.container(horizontal=True)
    for words, make in PRESETS.items():
        row.button(words, key=f"blanks {words}", on_click=_put, args=(make, n))
    session.write_link(blanks=text_of(chosen, n).replace(" ", ""))
    return chosen


def _sequence(view: View, chosen: Blanks) -> None:
    """The list and the model's own answer; a click on a blank chooses it, or lets it go."""
    task, digits = view.opened.task, view.digits or ()

    def on_click(clicked: Clicked) -> None:
        if clicked.tool == _CHOOSE.name:
            blanks = {blank for blank in clicked.blanks if 0 <= blank < task.n_blanks}
            session.put(SPANS, text_of(sorted(set(chosen) ^ blanks), task.n_blanks))

    sequence(
        task,
        results.answer(view.opened, digits, Treatment()),
        results.attention(view.opened, digits, Treatment()),
        key="blanks sequence",
        touched=blank_positions(task, chosen),
        tools=(_CHOOSE,),
        on_click=on_click,
    )


def _read(config: ModelConfig) -> tuple[Blanks, UserError | None]:
    n = config.task.n_blanks
    try:
        return parse(st.session_state[SPANS], config), None
    except UserError as error:
        last: Blanks = st.session_state.get(_LAST, tuple(range(n)))
        return tuple(blank for blank in last if blank < n) or tuple(range(n)), error


def parse(text: str, config: ModelConfig) -> Blanks:
    """The blanks of ``3-10, 40``, of ``all`` or of ``none``.

    Raises:
        UserError: if it is nothing of the kind, or the model does not have them.
    """
    text = text.strip()
    if text.lower() in ("", NONE):
        return ()
    if text.lower() == ALL:
        return tuple(range(config.task.n_blanks))
    if ":" in text:
        raise UserError(f"{text[:40]!r} is neither a number nor a span like 3-10")
    asked = Treatment.parse(f"{Act.MASK}:{text}")  # the same spans as everywhere
    asked.check(config)
    return asked.blanks


def text_of(blanks: Sequence[int], n: int) -> str:
    """What :func:`parse` takes."""
    return ALL if len(blanks) == n else spans(blanks)  # of nothing "none"


def _put(make: Callable[[int], Sequence[int]], n: int) -> None:
    session.put(SPANS, text_of(make(n), n))


def _random(n: int) -> list[int]:
    return random.sample(range(n), max(1, n // 2))


PRESETS: dict[str, Callable[[int], Sequence[int]]] = {
    "All": range,
    "None": lambda n: (),
    "All but the last": lambda n: range(n - 1),
    "First half": lambda n: range(max(1, n // 2)),
    "Every second": lambda n: range(0, n, 2),
    "Random half": _random,
}
"""Choices at the press of a button, given the number of blanks."""
