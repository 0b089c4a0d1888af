"""How pages look, measured: every page opens, on two screens at most; nothing in it is cut or
overlaps, and all of its text can be read.

``measure.js`` looks at the page as it stands. Every page is measured at the width of a phone, of a
laptop and of a large screen, and in both themes. A theme changes colours alone, so that the dark
one is measured at one width; at which, goes around.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from benchmarks.browser import Server, settle
from tests.covers import few
from tests.explorer.browser.visitor import PATHS, Visitor, a_window, browser_needed, shipped

pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
pytestmark = browser_needed

MEASURE = (Path(__file__).parent / "measure.js").read_text(encoding="utf-8")
LEAST = 4.5  # contrast of text, by WCAG 2 (AA)
WIDTHS = (1280, 400, 1920)
"""A laptop, a phone, a large screen."""
TALLEST = 1600  # pixels: two screens of 800
BLOCK = '[data-testid="stMainBlockContainer"]'
TALL = ("tour?tour=3", "tour?tour=5", "algorithm", "truth")
"""Pages that are read from top to bottom, as long as they are."""
STEPS = {"tour": ("tour?tour=3", "tour?tour=5")}
PAGES = [each for path in PATHS for each in STEPS.get(path, (path,))]


@shipped
@pytest.mark.slow
@pytest.mark.parametrize("path", few(PAGES, "sort", "patch"))
def test_a_page_opens_is_not_long_and_nothing_is_cut_overlaps_or_is_too_faint(
    visitor: Visitor, server: Server, path: str
) -> None:
    page = visitor.page
    page.set_viewport_size({"width": 1280, "height": 800})
    page.goto(f"{server.address}/{path}")
    page.locator("h1").first.wait_for()
    settle(page, 800)
    _assert_well_opened(page, TALLEST if path not in TALL else None)
    if path == "sort":
        page.get_by_text("Mask the blanks").click()
        page.wait_for_url("**do=mask**")
        settle(page, 800)
        _assert_well_opened(page, TALLEST)
    everything = page.get_by_text("Everything", exact=True)
    if everything.count():  # where more is to be seen than when it opens
        everything.click()
        page.wait_for_url("**part=all**")
        settle(page, 800)
    for box in page.get_by_text("Its figure and numbers").all():
        box.click()
        settle(page, 800)
    assert {key: said for key, said in _looks(page, PAGES.index(path)) if said} == {}


def _assert_well_opened(page: Any, tallest: int | None) -> None:
    assert page.locator("h1").count() == 1
    assert page.locator('[data-testid="stException"]').count() == 0
    complaints = page.locator('[data-testid="stMain"] [data-testid="stAlertContentError"]')
    assert complaints.count() == 0
    height = page.locator(BLOCK).evaluate("el => el.getBoundingClientRect().height")
    assert 300 < height <= (tallest or float("inf"))


def _looks(page: Any, number: int) -> Iterator[tuple[tuple[int, str], list[str]]]:
    """What is wrong at each width, and in the dark at the last of them: another one for the next
    page. Every figure is drawn anew for each change."""
    widths = [*WIDTHS[number % 3 :], *WIDTHS[: number % 3]]
    for width, scheme in (*((width, "light") for width in widths), (widths[-1], "dark")):
        page.set_viewport_size({"width": width, "height": 900})
        page.emulate_media(color_scheme=scheme)
        yield (width, scheme), look(page)


def look(page: Any) -> list[str]:
    """What is wrong with a page that is at rest; figures are drawn anew a moment after the rest."""
    found: list[str] = []
    for _ in range(4):
        page.wait_for_timeout(700)
        settle(page)
        found = page.evaluate(f"({MEASURE})({LEAST})")
        if not found:
            break
    return found


BAD = """<main data-testid="stMain" style="background:#fff">
<p style="color:#777">3.7 to one is {}</p><p style="color:#999">faint</p>
<p style="color:#000;opacity:.4">faint too</p><p style="color:#333">dark enough</p>
<p style="width:40px;overflow:hidden;white-space:nowrap">much too long for its box</p>
<div class="js-plotly-plot" style="width:300px"><svg width="300" height="100" overflow="visible">
<g class="xtick"><text x="10" y="20" style="fill:#000">one label</text></g>
<g class="xtick"><text x="40" y="22" style="fill:#000">another</text></g>
<g class="xtick"><text x="10" y="95" transform="rotate(-40,10,95)">turned</text></g>
<g class="xtick"><text x="45" y="95" transform="rotate(-40,45,95)">beside</text></g>
<text class="xtitle" x="260" y="90" style="fill:#000">beyond the end</text></svg></div></main>"""


def test_what_is_wrong_is_found(chromium: Any) -> None:
    """The measure itself, on a page that is bad in known ways."""
    with a_window(chromium) as page:
        page.set_viewport_size({"width": 800, "height": 600})
        page.set_content(BAD)
        found = page.evaluate(f"({MEASURE})({LEAST})")
    kinds = [text.split(":")[0].split()[0] for text in found]
    assert sorted(kinds) == ["contrast"] * 3 + ["cut"] * 2 + ["overlap"]
    text = "\n".join(found)
    assert "overlap: one label | another" in text
    assert "cut: beyond the end" in text
    assert "cut: much too long" in text
    assert "faint too" in text and "dark enough <" not in text and "turned |" not in text
