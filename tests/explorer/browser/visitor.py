"""A visitor of the page, in a real browser, and what these tests need to run at all."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from benchmarks.browser import WAIT_MS, chromium_path, settle
from explorer.shell import HOME, PAGES
from interp.checkpoints import shipped_models

browser_needed = pytest.mark.skipif(chromium_path() is None, reason="no chromium on this machine")
shipped = pytest.mark.skipif("blanks" not in shipped_models(), reason="no model is shipped yet")
PATHS = tuple("" if page.path == HOME else page.path for page in PAGES)
"""The address of every page, below the server's."""


def exactly(text: str) -> re.Pattern[str]:
    """For an element with this text, and nothing else."""
    return re.compile(rf"^\s*{re.escape(text)}\s*$")


@dataclass
class Visitor:
    """One browser window, with all that it asked for and complained of."""

    page: Any
    requests: list[str] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)

    def text(self, selector: str) -> str:
        """The text of the one element that this selects, once it is there."""
        element = self.page.locator(selector)
        element.first.wait_for()
        return element.first.inner_text()

    @property
    def list_field(self) -> Any:
        return self.page.get_by_role("textbox", name="List to sort")

    def type_list(self, text: str) -> None:
        box = self.list_field
        box.fill(text)
        box.press("Enter")

    def wait_for(self, selector: str, text: str) -> None:
        """Until an element with this text, and nothing else, is on the page."""
        self.page.locator(selector).filter(has_text=exactly(text)).first.wait_for()

    def open(self, address: str) -> None:
        """Until all of that page is drawn, and nothing has failed."""
        self.page.goto(address)
        self.list_field.wait_for()
        self.settle()
        assert self.page.locator('[data-testid="stException"]').count() == 0

    def go_on(self, address: str) -> None:
        """To another page of the same server, as by a step in the history: without loading the
        scripts of them all again, which takes longer than to draw most pages."""
        self.page.evaluate(_STEP, address)
        self.page.wait_for_url(lambda url: "back=" not in url)
        self.settle()
        assert self.page.locator('[data-testid="stException"]').count() == 0

    def settle(self) -> None:
        """Until the server has nothing more to draw."""
        settle(self.page)


# Past what history.js listens to, as the browser itself changes the address on Back and Forward.
_STEP = """(url) => {
    History.prototype.pushState.call(history, {}, '', url)
    dispatchEvent(new PopStateEvent('popstate', {state: {}}))
}"""


def complaint(said: Any) -> list[str]:
    """What the console says is wrong, but for two requests of every Streamlit page below the root:
    it asks for the server there first, and then at the root."""
    looks_for_server = re.search(r"/[a-z]+/_stcore/(health|host-config)$", said.location["url"])
    return [] if said.type != "error" or looks_for_server else [f"{said.text} {said.location}"]


SIZE = {"width": 1280, "height": 900}


@contextmanager
def a_window(chromium: Any, **options: Any) -> Iterator[Any]:
    """With cookies and storage of its own. Still: to paint what moves costs more than the page."""
    context = chromium.new_context(viewport=SIZE, reduced_motion="reduce", **options)
    context.set_default_timeout(WAIT_MS)
    try:
        yield context.new_page()
    finally:
        context.close()


def empty(window: Any) -> None:
    """As a new one: nothing open, and nothing kept of what was."""
    if window.url.startswith("http"):
        window.evaluate("localStorage.clear(); sessionStorage.clear()")
    window.goto("about:blank")
    window.context.clear_cookies()
    window.set_viewport_size(SIZE)
    window.emulate_media(color_scheme="light")


def small(folder: Path) -> str:
    return quote(str(folder / "with"), safe="")
