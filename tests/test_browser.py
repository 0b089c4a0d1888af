"""The page as a visitor meets it: a real server, and Chromium without a window.

Needs the ``playwright`` package and a Chromium that is already installed (Debian's ``chromium``);
without them these tests are skipped and say so.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

import pytest

from benchmarks.browser import WAIT_MS, Server, chromium_path, serve, settle
from benchmarks.browser import chromium as a_browser
from interp.checkpoints import shipped_models
from tests.explorer import small_models

pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
pytestmark = pytest.mark.skipif(chromium_path() is None, reason="no chromium on this machine")
shipped = pytest.mark.skipif("blanks" not in shipped_models(), reason="no model is shipped yet")


@dataclass
class Visitor:
    """One browser window, with all that it asked for and complained of."""

    page: Any
    requests: list[str] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)

    def text(self, selector: str) -> str:
        """The text of the one element that this selects, once it is there."""
        element = self.page.locator(selector)
        element.first.wait_for(timeout=WAIT_MS)
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
        pattern = re.compile(rf"^\s*{re.escape(text)}\s*$")
        self.page.locator(selector).filter(has_text=pattern).first.wait_for(timeout=WAIT_MS)

    def settle(self) -> None:
        """Until the server has nothing more to draw."""
        settle(self.page)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Small untrained models, to open by path."""
    folder = tmp_path_factory.mktemp("models")
    small_models(folder)
    return folder


@pytest.fixture(scope="module")
def server(folder: Path) -> Iterator[Server]:
    """The page, with leave to open ``folder``."""
    # One thread: on a busy machine two wait for each other longer than they work.
    with serve(["--models", str(folder)], threads=1) as running:
        yield running


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    with a_browser() as browser:
        yield browser


@pytest.fixture
def visitor(chromium: Any, server: Server) -> Iterator[Visitor]:
    """A fresh window; at the end nothing may have gone wrong, nor left the machine."""
    context = chromium.new_context(viewport={"width": 1280, "height": 900})
    found = Visitor(context.new_page())
    found.page.on("request", lambda request: found.requests.append(request.url))
    found.page.on("websocket", lambda socket: found.requests.append(socket.url))
    found.page.on("pageerror", lambda error: found.complaints.append(str(error)))
    found.page.on(
        "console",
        lambda said: found.complaints.append(said.text) if said.type == "error" else None,
    )
    yield found
    context.close()
    hosts = {urlsplit(url).hostname for url in found.requests if not url.startswith("data:")}
    assert hosts <= {"localhost", None}  # None: blob: addresses, made in the page itself
    assert not found.complaints
    assert "Traceback" not in server.log.read_text()


def small(folder: Path) -> str:
    return quote(str(folder / "with"), safe="")


@shipped
def test_a_visitor_types_a_list_and_reads_the_sorted_answer(
    visitor: Visitor, server: Server
) -> None:
    visitor.page.goto(server.address)
    visitor.list_field.wait_for(timeout=WAIT_MS)
    visitor.type_list("5,3,8,1,9,2")
    visitor.wait_for(".st-key-answer code", "1 2 3 5 8 9")
    assert "✓ Sorted." in visitor.text(".st-key-answer")
    visitor.page.get_by_text("Mask the blanks").click()
    visitor.text(".st-key-masked_answer code")
    rates = visitor.page.locator('[data-testid="stMetricValue"]')
    rates.nth(1).wait_for(timeout=WAIT_MS)
    whole, masked = (float(rates.nth(i).inner_text().split()[0]) for i in range(2))
    assert whole > 97
    assert masked < whole - 20
    assert "masked=yes" in visitor.page.url
    visitor.settle()


def test_a_link_a_mistake_and_a_mask(visitor: Visitor, server: Server, folder: Path) -> None:
    """On a small untrained model: what does not need a model that sorts."""
    link = f"{server.address}/?model={small(folder)}&list=3,1,2&head=1"
    visitor.page.goto(link)
    before = visitor.text(".st-key-answer code")
    assert "✗ Not sorted." in visitor.text(".st-key-answer")
    visitor.text(".js-plotly-plot")
    assert visitor.page.get_by_role("radiogroup", name="Head").get_by_label("1").is_checked()
    visitor.page.get_by_text("Mask the blanks").click()
    visitor.text(".st-key-masked_answer code")
    assert visitor.text(".st-key-answer code") == before
    visitor.type_list("3,12,5")
    said = visitor.text('[data-testid="stSidebar"] [role="alert"]')
    assert "'12' is not a digit from 0 to 9" in said
    visitor.type_list("2 1 0")
    visitor.text(".st-key-masked_answer code")
    visitor.settle()
    assert visitor.page.locator('[data-testid="stException"]').count() == 0
    assert "list=2+1+0" in visitor.page.url.replace("%20", "+")


@pytest.mark.parametrize(
    "text", ["![](//e.co/x)", "<img src=//e.co>", "<svg onload=alert(1)>", "[a](http://e.co)"]
)
def test_odd_text_in_a_link_is_shown_and_nothing_else(
    visitor: Visitor, server: Server, text: str
) -> None:
    typed = quote(text, safe="")
    visitor.page.goto(f"{server.address}/?model={typed}&list={typed}&corrupt={typed}&head={typed}")
    alerts = visitor.page.locator('[data-testid="stSidebar"] [role="alert"]')
    alerts.nth(1).wait_for(timeout=WAIT_MS)
    visitor.settle()
    assert text in alerts.nth(0).inner_text().replace("\u2060", "")
    assert visitor.page.locator('[role="alert"]').locator("img, svg[onload], a").count() == 0


def test_two_visitors_see_their_own_masks(chromium: Any, visitor: Visitor, server: Server) -> None:
    other = chromium.new_context().new_page()
    link = f"{server.address}/?model={small(folder)}&list=3,1,2"
    visitor.page.goto(link)
    other.goto(f"{link}&masked=last-too")
    visitor.text(".st-key-answer code")
    other.locator(".st-key-masked_answer code").wait_for(timeout=WAIT_MS)
    visitor.type_list("2,1,3")
    visitor.settle()
    assert visitor.page.locator(".st-key-masked_answer").count() == 0
    assert other.get_by_role("textbox", name="List to sort").input_value() == "3,1,2"
    assert other.locator(".st-key-masked_answer").count() == 1
    other.context.close()
