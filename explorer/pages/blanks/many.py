"""The part of the page "Blanks" that takes its time: whole analyses over many lists."""

from __future__ import annotations

import streamlit as st

from analyses.experiment import catalogue
from analyses.ship.shipped import shipped
from explorer.parts.controls import View
from explorer.parts.study import study
from explorer.server import session

SIZE = "blanks_size"
SIZES = {"quick": "Fewer lists, sooner", "full": "As many as the command"}


def many(view: View) -> None:
    """The analyses: as they are shipped, or each behind a button until it has been computed."""
    st.header("On many lists")
    offered = catalogue.on_page("blanks")
    there = all(shipped(one, view.opened.hash) for one in offered)
    session.choice(SIZE, SIZE, list(SIZES), "full" if there else "quick")
    size = st.radio("How many lists", SIZES, key=SIZE, format_func=SIZES.get, horizontal=True)
    session.write_link(**{SIZE: size})
    for one in offered:
        study(view, one, quick=size == "quick")
