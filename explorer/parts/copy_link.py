"""A button that copies the page's address, which holds all that was chosen."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import streamlit as st

_HTML = '<button type="button" aria-live="polite">Copy link</button>'
_CSS = """
button {font: inherit; font-size: .875rem; color: inherit; background: transparent; width: 100%;
  border: 1px solid color-mix(in srgb, currentColor 25%, transparent); border-radius: .5rem;
  min-height: 2.25rem; cursor: pointer;}
button:hover, button:focus-visible {border-color: currentColor;}
"""


def copy_link() -> None:
    """Draw the button."""
    _component()(key="copy link")


@cache
def _component() -> Callable[..., Any]:
    """Registered with the server once, when it is first drawn."""
    script = Path(__file__).with_name("copy_link.js").read_text(encoding="utf-8")
    return st.components.v2.component("sortscope_copy_link", html=_HTML, css=_CSS, js=script)
