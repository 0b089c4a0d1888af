"""The explorer: ``streamlit run app.py``.

Navigation and the shared controls; the pages are in ``interp/explorer/``.
"""

from __future__ import annotations

import os
import sys
from functools import partial
from pathlib import Path

import streamlit as st

from interp.errors import UserError
from interp.explorer import controls, parts, sort
from interp.explorer.places import places_from

st.set_page_config(page_title="sortscope", page_icon=parts.ICON, layout="wide")
st.title("A transformer that taught itself to sort")

# Tests run this file inside a program with arguments of its own.
started_here = Path(sys.argv[0]).resolve() == Path(__file__).resolve()
try:
    places = places_from(sys.argv[1:] if started_here else [], os.environ)
except UserError as error:
    parts.refuse(st.container(), error)
    st.stop()

view = controls.sidebar(places)
st.navigation([st.Page(partial(sort.draw, view), title="Sort", url_path="sort")]).run()
