"""What a visitor has chosen: kept in the session, read from the page's address, written back to it.

    ?model=blanks&list=3,1,4,1,5&do=zero:3-10&layer=1&head=3&corrupt=3,1,4,1,9

Widgets are keyed by the constants below, so their values live in ``st.session_state`` and a link
needs only to put them there before the first widget is drawn.
"""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st

from explorer.server.places import Places
from interp.answers.treatment import Act, Treatment

MODEL, FOLDER, LIST, CORRUPT = "model", "folder", "list", "corrupt"
MASKED, LAST_TOO, DO = "masked", "last_too", "do"
LAYER, HEAD = "layer", "head"
_SHARED = (MODEL, FOLDER, LIST, CORRUPT, MASKED, LAST_TOO, DO, LAYER, HEAD)
_STARTED, _KEPT = "started", "kept"

OTHER = "another folder…"  # the choice that opens a field for a path
FIRST_LIST = "3,1,4,1,5,9,2,6,5,3"
LONGEST_TEXT, LONGEST_PATH = 300, 1000  # characters; 48 digits with commas and spaces take 142


def begin(places: Places) -> None:
    """Before any widget: read the link once, and keep what is not drawn this time."""
    if _STARTED in st.session_state:
        for key in (*_SHARED, *st.session_state[_KEPT]):
            if key in st.session_state:  # Streamlit forgets a widget that one run leaves out
                st.session_state[key] = st.session_state[key]
        return
    st.session_state[_STARTED], st.session_state[_KEPT] = True, {}
    link = st.query_params
    choices = places.choices()
    choose_model(link.get("model") or (choices[0] if choices else ""), choices)
    st.session_state[LIST] = link.get("list", FIRST_LIST)[:LONGEST_TEXT]
    st.session_state[CORRUPT] = link.get("corrupt", "")[:LONGEST_TEXT]
    choose_text(link.get("do", "")[:LONGEST_TEXT])
    for key in (LAYER, HEAD):
        if (text := link.get(key, "")).isascii() and text.isdigit():
            st.session_state[key] = int(text[:6])


def from_link(key: str, name: str, default: str) -> None:
    """Before a page's own widget ``key`` is drawn the first time: its text, from the address.

    For text; a widget with choices wants :func:`choice`. The value lives on while other pages are
    shown.
    """
    if key not in st.session_state:
        st.session_state[key] = st.query_params.get(name, default)[:LONGEST_TEXT]
    st.session_state[_KEPT][key] = True


def allow(key: str, choices: Sequence[object], default: object) -> None:
    """Make a choice one of ``choices``, as when a link or another model brought one that is not."""
    if st.session_state.get(key) not in choices:
        st.session_state[key] = default


def choice(key: str, name: str, choices: Sequence[object], default: str) -> None:
    """As :func:`from_link`, for a radio or a select box whose choices are texts."""
    from_link(key, name, default)
    allow(key, choices, default)


def choose(treatment: Treatment) -> None:
    """Intervene so from now on; for callbacks, before any widget is drawn."""
    choose_text(treatment.text)


def choose_text(text: str) -> None:
    """As :func:`choose`; a text that is no treatment shows its mistake beside the field."""
    masks = {Act.PUBLISHED.value: False, Act.PUBLISHED_LAST.value: True}
    st.session_state[MASKED] = text in masks
    st.session_state[LAST_TOO] = masks.get(text, False)
    st.session_state[DO] = "" if text in masks else text


def choose_model(name: str, choices: list[str]) -> None:
    """Select ``name`` where it is a choice, else put it into the field for a path."""
    st.session_state[MODEL] = name if name in choices else OTHER
    st.session_state.setdefault(FOLDER, "")
    if name not in choices:
        st.session_state[FOLDER] = name[:LONGEST_PATH]


def clamp(key: str, n: int, default: int) -> None:
    """Make the choice of one of ``n`` valid, as when a smaller model is opened."""
    value = st.session_state.get(key)
    st.session_state[key] = value if isinstance(value, int) and 0 <= value < n else default


def write_link(**values: str) -> None:
    """Put ``values`` into the page's address; an empty one is taken out."""
    for key, value in values.items():
        if not value:
            st.query_params.pop(key, None)
        elif st.query_params.get(key) != value:
            st.query_params[key] = value
