"""The parts of a page that would be too long to see at once: one of them is drawn, by choice.

    shown = sections("inside", {"lens": "Half-way", "parts": "Who writes an output"})
    if "lens" in shown:
        ...

The choice is in the address (``part=parts``). ``part=all`` draws everything, one below the other,
for who wants to search the page or to print it. What is not drawn is not computed either.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

import streamlit as st

from explorer.server import session

ALL = "all"
_IN_ADDRESS = "part"


def sections(page: str, names: Mapping[str, str]) -> Collection[str]:
    """Draw the choice; returns the parts to draw.

    Args:
        page: its path.
        names: what each part is called, by how it stands in the address; the first opens.
    """
    first, key = next(iter(names)), f"{page} part"
    words = {**names, ALL: "Everything"}
    session.choice(key, _IN_ADDRESS, list(words), first)
    chosen = st.segmented_control(
        "Part of the page",
        list(words),
        key=key,
        format_func=words.__getitem__,
        required=True,
        label_visibility="collapsed",
    )
    session.write_link(**{_IN_ADDRESS: "" if chosen == first else str(chosen)})
    return list(names) if chosen == ALL else [str(chosen)]
