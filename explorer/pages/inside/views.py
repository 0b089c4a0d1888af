"""The last section of the page "Inside": the analyses over many lists, started by a button."""

from __future__ import annotations

import streamlit as st

from analyses.experiment import catalogue
from explorer.parts.controls import View
from explorer.parts.study import study


def many_lists(view: View) -> None:
    """A section for each study."""
    st.markdown(
        "Everything above is of one list. These run over many held-out lists, and over the model "
        "**as it is**: neither the list nor the intervention of the sidebar matters here. They "
        "start at the press of a button, and are kept."
    )
    for one in catalogue.on_page("inside"):
        study(view, one)
