"""Choosing blanks: a grid of them and a field for spans like ``3-10, 40``, which show the same."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence

import streamlit as st

from explorer.parts.elements import refuse
from explorer.server import session
from interp.answers.treatment import Act, Treatment
from interp.config import ModelConfig
from interp.sites import spans
from interp.support.errors import UserError

Blanks = tuple[int, ...]

SPANS, GRID = "blanks_spans", "blanks_grid"
_LAST = "blanks_last"  # the last choice that could be read
ALL, NONE = "all", "none"


def choose(config: ModelConfig) -> Blanks:
    """Draw grid, field and buttons; returns the blanks, counted from 0.

    While the field cannot be read, a message stands below it and the last choice stays.
    """
    n = config.task.n_blanks
    session.from_link(SPANS, "blanks", ALL)
    chosen, mistake = _read(config)
    st.session_state[_LAST], st.session_state[GRID] = chosen, list(chosen)
    st.pills(
        f"Blanks, counted from 0. The last one, {n - 1}, also emits the first output.",
        range(n),
        selection_mode="multi",
        key=GRID,
        on_change=_from_grid,
        args=(n,),
    )
    field, buttons = st.columns([1, 3], vertical_alignment="bottom", gap="medium")
    field.text_input("The same as text", key=SPANS, max_chars=session.LONGEST_TEXT)
    if mistake is not None:
        refuse(st.container(), mistake)
    row = buttons.container(horizontal=True)
    for words, make in PRESETS.items():
        row.button(words, key=f"blanks {words}", on_click=_put, args=(make, n))
    session.write_link(blanks=text_of(chosen, n).replace(" ", ""))
    return chosen


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


def _from_grid(n: int) -> None:
    st.session_state[SPANS] = text_of(st.session_state[GRID], n)


def _put(make: Callable[[int], Sequence[int]], n: int) -> None:
    st.session_state[SPANS] = text_of(make(n), n)


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
