"""What a visitor has chosen: kept in the session, read from the page's address, written back to it.

    ?model=blanks&list=3,1,4,1,5&masked=yes&layer=1&head=3&corrupt=3,1,4,1,9

Widgets are keyed by the constants below, so their values live in ``st.session_state`` and a link
needs only to put them there before the first widget is drawn.
"""

from __future__ import annotations

import streamlit as st

from interp.explorer.places import Places
from interp.explorer.results import Mask

MODEL, FOLDER, LIST, CORRUPT = "model", "folder", "list", "corrupt"
MASKED, LAST_TOO, LAYER, HEAD, EVERY_ROW = "masked", "last_too", "layer", "head", "every_row"
_WIDGETS = (MODEL, FOLDER, LIST, CORRUPT, MASKED, LAST_TOO, LAYER, HEAD, EVERY_ROW)
_STARTED = "started"

OTHER = "another folder…"  # the choice that opens a field for a path
FIRST_LIST = "3,1,4,1,5,9,2,6,5,3"
LONGEST_TEXT, LONGEST_PATH = 300, 1000  # characters; 48 digits with commas and spaces take 142


def begin(places: Places) -> None:
    """Before any widget: read the link once, and keep what is not drawn this time."""
    if _STARTED in st.session_state:
        for key in _WIDGETS:
            if key in st.session_state:  # Streamlit forgets a widget that one run leaves out
                st.session_state[key] = st.session_state[key]
        return
    st.session_state[_STARTED] = True
    link = st.query_params
    choices = places.choices()
    choose_model(link.get("model") or (choices[0] if choices else ""), choices)
    st.session_state[LIST] = link.get("list", FIRST_LIST)[:LONGEST_TEXT]
    st.session_state[CORRUPT] = link.get("corrupt", "")[:LONGEST_TEXT]
    mask = link.get("masked", Mask.NONE.value)
    st.session_state[MASKED] = mask in (Mask.OUTPUTS.value, Mask.LAST_TOO.value)
    st.session_state[LAST_TOO] = mask == Mask.LAST_TOO.value
    for key in (LAYER, HEAD):
        if (text := link.get(key, "")).isascii() and text.isdigit():
            st.session_state[key] = int(text[:6])


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
