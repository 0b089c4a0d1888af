"""Buttons that save a figure as it is drawn: PNG, or SVG and PDF, which print at any size."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import streamlit as st

_HTML = """<button type="button" data-format="png">Picture (PNG)</button>
<button type="button" data-format="svg">Picture (SVG)</button>
<button type="button" data-format="pdf" title="In the dialogue that opens, choose to save as PDF"
>Print or PDF</button>"""
_CSS = """
button {font: inherit; font-size: .875rem; color: inherit; background: transparent;
  padding: 0 .75rem;
  border: 1px solid color-mix(in srgb, currentColor 25%, transparent); border-radius: .5rem;
  min-height: 2.5rem; cursor: pointer; margin: 0 .5rem .5rem 0;}
button:hover, button:focus-visible {border-color: currentColor;}
"""


def pictures(key: str) -> None:
    """Draw the buttons for the figure of that key, which knows what its files are called."""
    place = "st-key-" + re.sub(r"[^a-zA-Z0-9_-]", "-", key.strip())
    _component()(key=f"pictures {key}", data={"place": place})


@cache
def _component() -> Callable[..., Any]:
    """Registered with the server once, when it is first drawn."""
    script = Path(__file__).with_name("pictures.js").read_text(encoding="utf-8")
    return st.components.v2.component("sortscope_pictures", html=_HTML, css=_CSS, js=script)
