"""The explorer put together: what the server was started with, the sidebar, and the pages."""

from __future__ import annotations

import importlib
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import streamlit as st

from explorer.parts import controls
from explorer.parts import elements as parts
from explorer.parts.controls import View
from explorer.server.places import Places, places_from
from interp.support.errors import UserError


@dataclass(frozen=True)
class Page:
    """One of the explorer's pages: ``explorer.pages.<path>.page.draw(view, places)``."""

    title: str
    path: str
    """In the page's address."""
    icon: str

    def draw(self, view: View | None, places: Places) -> None:
        """Import the page's module, and let it draw; a first page need not wait for the others."""
        if view is None:
            st.info("No model can be opened. Train one with `python training/train.py`.")
            return
        drawn: Callable[[View, Places], None]
        drawn = importlib.import_module(f"explorer.pages.{self.path}.page").draw
        drawn(view, places)


PAGES = (
    Page("Algorithm", "algorithm", ":material/account_tree:"),
    Page("Sort", "sort", ":material/sort:"),
    Page("Attention", "attention", ":material/visibility:"),
    Page("Patch", "patch", ":material/grid_on:"),
    Page("Blanks", "blanks", ":material/space_bar:"),
    Page("Inside", "inside", ":material/biotech:"),
    Page("Training", "training", ":material/timeline:"),
    Page("Compare", "compare", ":material/compare:"),
    Page("Truth", "truth", ":material/fact_check:"),
    Page("Tour", "tour", ":material/tour:"),
)


_FIRST_SEEN = "sort"  # at the address without a path, wherever it stands in the navigation


def show(arguments: Sequence[str] = (), only: str | None = None) -> None:
    """The whole page.

    Args:
        arguments: what the server was started with, after ``--``.
        only: the path of the one page to show, without navigation (for tests).
    """
    st.set_page_config(page_title="sortscope", page_icon=parts.ICON, layout="wide")
    try:
        places = places_from(arguments, os.environ)
    except UserError as error:
        parts.refuse(st.container(), error)
        st.stop()
    view = controls.sidebar(places)
    if only is not None:
        next(page for page in PAGES if page.path == only).draw(view, places)
        return
    pages = [
        st.Page(
            partial(page.draw, view, places),
            title=page.title,
            url_path=page.path,
            icon=page.icon,
            default=page.path == _FIRST_SEEN,
        )
        for page in PAGES
    ]
    st.navigation(pages, position="top").run()
