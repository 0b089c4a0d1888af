"""What a visitor has chosen: kept in the session, read from the page's address, written back to it.

    ?model=blanks&list=3,1,4,1,5&do=zero:3-10&layer=1&head=3&corrupt=3,1,4,1,9

Widgets are keyed by the constants below, so their values live in ``st.session_state`` and a link
needs only to put them there before the first widget is drawn. The address is written once, when
all of a page is drawn, and holds what that page wrote and nothing else. Back and Forward bring a
number of their own with the address (``explorer/server/history.js``): then all is read anew.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

import streamlit as st

from analyses.experiment.subjects import OfList
from explorer.server.places import Places
from interp.answers.kinds import Act

if TYPE_CHECKING:  # it imports PyTorch, for which the first page does not wait
    from interp.answers.treatment import Treatment

MODEL, FOLDER, LIST, CORRUPT = "model", "folder", "list", "corrupt"
MASKED, AS_PUBLISHED, DO = "masked", "as_published", "do"
LAYER, HEAD = "layer", "head"
_SIDEBAR = (MODEL, FOLDER, LIST, MASKED, AS_PUBLISHED, DO)
_SHARED = (*_SIDEBAR, CORRUPT, LAYER, HEAD)
BACK = "back"  # in the address, for as long as it takes to be read
_STARTED = "started"  # the number of the last step back or forward
_KEPT = "kept"  # keys of the pages' own widgets
_LAST = "last"  # what was chosen when a page was last drawn, or since then by a click
_PUT = "put"  # fields that a click set since then, with all that they held before
_AGAIN = "again"  # while a drawing is left for another
_LINK = "link"  # the address to be
_DRAWING = "drawing"  # while a whole page is drawn, or what shows how far a job is with its part

OTHER = "another folder…"  # the choice that opens a field for a path
FIRST_LIST = OfList.list
LONGEST_TEXT, LONGEST_PATH = 300, 1000  # characters; 48 digits with commas and spaces take 142


@contextmanager
def visit(places: Places) -> Iterator[None]:
    """One drawing of a whole page: read the address before, and write it after."""
    _begin(places)
    st.session_state[_LINK], st.session_state[_DRAWING] = {}, True
    try:
        yield
        st.session_state[_PUT] = {}
    finally:
        st.session_state[_DRAWING] = False
        if not st.session_state.pop(_AGAIN, False):
            _publish()


def draw_again() -> None:
    """Leave this drawing of the page, of which the address is not to know, and begin anew."""
    st.session_state[_AGAIN] = True
    st.rerun()


def _begin(places: Places) -> None:
    """Read a link that was opened, or gone back to; keep what is not drawn this time."""
    moved = st.query_params.get(BACK, "")
    if _STARTED in st.session_state and moved in ("", st.session_state[_STARTED]):
        last = st.session_state[_LAST]
        for key in (*_SHARED, *st.session_state[_KEPT]):
            # Streamlit forgets a widget that one run leaves out, and all of them when a part that
            # draws itself anew does so while its page is being left.
            if key in st.session_state or key in last:
                st.session_state[key] = st.session_state.get(key, last.get(key))
        for key, before in st.session_state[_PUT].items():
            if st.session_state.get(key) in before:
                st.session_state[key] = last[key]
        return
    for key in (LAYER, HEAD, *st.session_state.get(_KEPT, {})):
        st.session_state.pop(key, None)
    st.session_state[_STARTED], st.session_state[_KEPT] = moved, {}
    st.session_state[_LAST], st.session_state[_PUT] = {}, {}
    link = st.query_params
    choices = places.choices()
    choose_model(link.get("model") or (choices[0] if choices else ""), choices)
    put(LIST, link.get("list", FIRST_LIST)[:LONGEST_TEXT])
    st.session_state[CORRUPT] = link.get("corrupt", "")[:LONGEST_TEXT]
    choose_text(link.get("do", "")[:LONGEST_TEXT])
    for key in (LAYER, HEAD):
        if (text := link.get(key, "")).isascii() and text.isdigit():
            st.session_state[key] = int(text[:6])


def _publish() -> None:
    link, keys = st.session_state[_LINK], (*_SHARED, *st.session_state[_KEPT])
    st.session_state[_LAST] |= {k: st.session_state[k] for k in keys if k in st.session_state}
    if dict(st.query_params) != link:
        st.query_params.from_dict(link)


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


def put(key: str, value: object) -> None:
    """Set what a field holds; for callbacks, before any widget is drawn.

    With whatever it asks, the browser says what its fields hold. Until it has drawn this one, that
    is what stood there before, also in questions that it asks by itself (:func:`put_back`). So what
    stood there is remembered until all of the page is drawn, and not taken for the reader's choice.
    """
    st.session_state[_PUT].setdefault(key, set()).add(st.session_state.get(key))
    st.session_state[key] = st.session_state[_LAST][key] = value


def put_back() -> None:
    """Undo what a question that the browser asks by itself says of fields: it changes nothing.

    Of the sidebar that is all that is not as it was drawn, for where the reader changes it, all of
    the page is drawn; of other fields, what stood there before a click.
    """
    if st.session_state[_DRAWING]:
        return
    last, before = st.session_state[_LAST], st.session_state[_PUT]
    for key in {*_SIDEBAR, *before} & last.keys():
        said = st.session_state.get(key)
        if said == last[key]:
            before.pop(key, None)  # it has been drawn
        elif key in _SIDEBAR or said in before[key]:
            before.setdefault(key, set()).add(said)
            st.session_state[key] = last[key]


@contextmanager
def within_a_drawing() -> Iterator[None]:
    """What is drawn in here is drawn as a part of another, and not for a question of its own."""
    whole = st.session_state[_DRAWING]
    st.session_state[_DRAWING] = True
    try:
        yield
    finally:
        st.session_state[_DRAWING] = whole


def choose(treatment: Treatment) -> None:
    """Intervene so from now on; for callbacks, before any widget is drawn."""
    choose_text(treatment.text)


def choose_text(text: str) -> None:
    """As :func:`choose`; a text that is no treatment shows its mistake beside the field."""
    published = text == Act.PUBLISHED.value
    put(MASKED, published)
    put(AS_PUBLISHED, published)
    put(DO, "" if published else text)


def choose_mask() -> None:
    """Mask all blanks for all outputs, by the switch."""
    put(MASKED, True)
    put(AS_PUBLISHED, False)
    put(DO, "")


def choose_model(name: str, choices: list[str]) -> None:
    """Select ``name`` where it is a choice, else put it into the field for a path."""
    put(MODEL, name if name in choices else OTHER)
    st.session_state.setdefault(FOLDER, "")
    if name not in choices:
        put(FOLDER, name[:LONGEST_PATH])


def clamp(key: str, n: int, default: int) -> None:
    """Make the choice of one of ``n`` valid, as when a smaller model is opened."""
    value = st.session_state.get(key)
    st.session_state[key] = value if isinstance(value, int) and 0 <= value < n else default


def wanted() -> str:
    """The name or the path of the model that is chosen."""
    choice: str = st.session_state[MODEL]
    return st.session_state[FOLDER].strip() if choice == OTHER else choice


def write_link(**values: str) -> None:
    """Put ``values`` into the page's address; an empty one is taken out.

    While a whole page is drawn they are gathered; when a part of it is drawn anew they are written.
    """
    link = st.session_state[_LINK]
    for key, value in values.items():
        link.pop(key, None)
        if value:
            link[key] = value
    if not st.session_state[_DRAWING]:
        _publish()
