"""A result that takes long, on a page: started by a button, computed in the background, with a bar
that any page shows and a button that ends it.

    found = in_background(key, "Probing", compute, "Run")
    if found is None:  # not asked for, or not there yet
        return
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Any, TypeVar

import streamlit as st

from explorer.parts.elements import plain, refuse
from explorer.server import session
from explorer.server import store as stores
from explorer.server.jobs import Job, State, jobs
from interp.support.progress import Progress

T = TypeVar("T")
_EVERY = 0.7  # seconds between two looks at how far a job is


def in_background(
    key: Hashable,
    title: str,
    compute: Callable[[Progress], T],
    button: str,
    name: str,
    pause: float = 0.0,
) -> T | None:
    """The result of that key, once it is there.

    Args:
        key: everything that it depends on.
        title: what is being done, for people.
        button: the words on the button that starts it; empty to start at once, and to let go of
            what the same visitor had under way by that name.
        name: of the button on its page.
        pause: seconds before it begins, where it would keep the page from being drawn.
    """
    store = stores.store()
    if store.has(key):
        return store.get(key, _gone)
    job = jobs().get(key)
    if job is not None and job.state is State.FAILED:
        refuse(st.container(), job.error)
    if job is not None and job.state is State.FAILED and not button:
        return None  # it would fail again
    if not button:
        _let_go(key, name)
    if job is None or job.ended:
        if button:
            place = st.empty()
            if not place.button(button, key=name, icon=":material/play_arrow:"):
                return None
            place.empty()
        job = jobs().start(key, title, compute, store, pause)
    with session.within_a_drawing():
        _watch(job, name if button else "")
    return None


def _let_go(key: Hashable, name: str) -> None:
    """End what was begun at once for what this visitor does not look at any more."""
    before = st.session_state.get(f"begun {name}")
    if before not in (None, key):
        jobs().cancel(before)
    st.session_state[f"begun {name}"] = key


def _gone() -> Any:
    raise RuntimeError("the result was pushed out of the store this very moment")


@st.fragment(run_every=_EVERY)
def _watch(job: Job, name: str) -> None:
    """How far it is; when it has ended, all of the page is drawn anew.

    Args:
        name: of the button that ends it; empty for none.
    """
    session.put_back()
    if job.ended:
        st.rerun()
    if not name:
        st.progress(job.share, text=plain(job.words))
        return
    bar, cancel = st.columns([5, 1], vertical_alignment="center")
    bar.progress(job.share, text=plain(job.words))
    cancel.button("Cancel", key=f"cancel {name}", on_click=job.cancel, width="stretch")


def under_way() -> None:
    """In the sidebar: what is being computed, whichever page asked for it."""
    for job in jobs().under_way():
        st.sidebar.caption(f"**Under way:** {plain(job.words)}")
