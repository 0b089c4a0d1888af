"""How pages look, measured: nothing cut or overlapping in a figure, and text that can be read.

``measure.js`` looks at the page as it stands. Every page is measured at the width of a phone, of a
laptop and of a large screen, in both themes.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from benchmarks.browser import WAIT_MS, Server, settle
from tests.explorer.browser.visitor import PATHS, Visitor, a_window, browser_needed, shipped

pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
pytestmark = browser_needed

MEASURE = (Path(__file__).parent / "measure.js").read_text(encoding="utf-8")
LEAST = 4.5  # contrast of text, by WCAG 2 (AA)
SIGHTS = (
    *((width, "light") for width in (1280, 400, 1920)),
    *((width, "dark") for width in (1920, 1280, 400)),
)
"""A phone, a laptop, a large screen; each differs from the one before in one thing alone, as every
figure is drawn anew for each change."""
OTHERWISE = {
    "sort": ("sort?do=mask:0-48&part=all",),
    "tour": ("tour?tour=3", "tour?tour=5"),
    **{path: (f"{path}?part=all",) for path in ("attention", "blanks", "inside")},
    **{path: (f"{path}?part=all",) for path in ("training", "compare")},
}
"""Pages that are measured where more is to be seen than when they open."""
PAGES = [each for path in PATHS for each in OTHERWISE.get(path, (path,))]


@shipped
@pytest.mark.slow
@pytest.mark.parametrize("path", PAGES)
def test_nothing_is_cut_overlaps_or_is_too_faint(
    visitor: Visitor, server: Server, path: str
) -> None:
    page = visitor.page
    page.goto(f"{server.address}/{path}")
    page.locator("h1").first.wait_for(timeout=WAIT_MS)
    settle(page, 800)
    for box in page.get_by_text("Its figure and numbers").all():
        box.click()
        settle(page, 800)
    found = {}
    for width, scheme in SIGHTS:
        page.set_viewport_size({"width": width, "height": 900})
        page.emulate_media(color_scheme=scheme)
        found[width, scheme] = look(page)
    assert {key: said for key, said in found.items() if said} == {}


TALLEST = 1600  # pixels: two screens of 800
FIRST_SEEN = ("sort", "blanks", "inside", "attention", "training", "compare", "patch", "")
BLOCK = '[data-testid="stMainBlockContainer"]'


@shipped
@pytest.mark.slow
@pytest.mark.parametrize("path", [*FIRST_SEEN, "sort?do=mask:0-48"])
def test_a_first_view_is_two_screens_at_most(visitor: Visitor, server: Server, path: str) -> None:
    page = visitor.page
    page.set_viewport_size({"width": 1280, "height": 800})
    page.goto(f"{server.address}/{path}")
    page.locator("h1").first.wait_for(timeout=WAIT_MS)
    settle(page, 800)
    height = page.locator(BLOCK).evaluate("el => el.getBoundingClientRect().height")
    assert 300 < height <= TALLEST


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
