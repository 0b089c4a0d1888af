"""The explorer put together: what the server was started with, the sidebar, and the pages."""

from __future__ import annotations

import importlib
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import streamlit as st
from streamlit.navigation.page import StreamlitPage

from explorer.parts import elements as parts
from explorer.parts.speech import is_sorting
from explorer.parts.style import SHEET
from explorer.server import session
from explorer.server.places import Places, places_from
from explorer.server.preload import preload_others, preload_tables
from interp.support.errors import UserError
from interp.support.lazy import lazy_import

if TYPE_CHECKING:
    from explorer.parts import controls
else:
    # They open models, and PyTorch with them, for which what Home says first does not wait.
    controls = lazy_import("explorer.parts.controls")

HOME = "home"
"""The path of the first page, which is served at the address without a path."""


@dataclass(frozen=True)
class Page:
    """One of the explorer's pages: ``draw(view, places)`` of its module."""

    title: str
    path: str
    """In the page's address."""
    icon: str
    elsewhere: str = ""
    """The title where another task than the published one is open; empty for the same."""
    published_alone: str = ""
    """What of the page is of the published task alone, where that is all of it."""

    @property
    def module(self) -> str:
        return f"explorer.pages.{self.path}.page"

    def draw(self, places: Places, links: Mapping[str, StreamlitPage]) -> None:
        """Import the page's module, and let it draw; a first page need not wait for the others."""
        title = self.title if is_sorting() else self.elsewhere or self.title
        st.set_page_config(page_title=f"{title} · sortscope")
        module = importlib.import_module(self.module)
        if self.path == HOME:  # says something before a model is open
            module.draw(lambda: controls.sidebar(places), links)
            return
        preload_tables()
        if (view := controls.sidebar(places)) is not None:
            if self.published_alone and not is_sorting():
                self._say_why_not(view)
            else:
                module.draw(view, places)
        else:
            st.info("No model can be opened. Train one with `python training/train.py`.")

    def _say_why_not(self, view: controls.View) -> None:
        st.title(self.title)
        st.info(
            f"{self.published_alone} of the published task alone. The right answer of the model "
            f"that is open is {view.opened.task.rule.words}: the pages Patch and Attention are of "
            "every task."
        )


PAGES = (
    Page("Home", HOME, ":material/home:"),
    Page("Tour", "tour", ":material/tour:", published_alone="The tour is"),
    Page(
        "Algorithm",
        "algorithm",
        ":material/account_tree:",
        published_alone="The programs that a model is compared with here are",
    ),
    Page("Sort", "sort", ":material/sort:", elsewhere="Answer"),
    Page("Attention", "attention", ":material/visibility:"),
    Page("Patch", "patch", ":material/grid_on:"),
    Page("Blanks", "blanks", ":material/space_bar:"),
    Page("Inside", "inside", ":material/biotech:"),
    Page("Training", "training", ":material/timeline:"),
    Page("Compare", "compare", ":material/compare:"),
    Page(
        "Truth",
        "truth",
        ":material/fact_check:",
        published_alone="The models whose algorithm is known are",
    ),
)


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
    with session.visit(places):
        if only is None:
            st.html(SHEET)
            _chosen(places).run()
        else:
            next(page for page in PAGES if page.path == only).draw(places, {})
    preload_others(page.module for page in PAGES)


def _chosen(places: Places) -> StreamlitPage:
    """The navigation, and the page that its address or a click asks for."""
    links: dict[str, StreamlitPage] = {}
    for page in PAGES:
        links[page.path] = st.Page(
            partial(page.draw, places, links),
            title=page.title if is_sorting() else page.elsewhere or page.title,
            url_path=page.path,
            icon=page.icon,
            default=page.path == HOME,
        )
    return st.navigation(list(links.values()), position="top")
