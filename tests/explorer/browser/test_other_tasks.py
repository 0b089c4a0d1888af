"""With a model of another task open, no page speaks of digits, nor of sorting."""

from __future__ import annotations

import re
from pathlib import Path
from urllib.parse import quote

import pytest

from benchmarks.browser import Server, settle
from tests.explorer.browser.visitor import PATHS, Visitor, browser_needed
from training.train import main as train

pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
pytestmark = [browser_needed, pytest.mark.slow]

_PUBLISHED = re.compile(r"\b(?:digits?|sort(?!scope)\w*)\b", re.IGNORECASE)
_SEEN = """() => {
    const parts = ['stMain', 'stSidebar', 'stHeader'].map(id =>
        document.querySelector(`[data-testid="${id}"]`)?.innerText ?? '')
    const drawn = [...document.querySelectorAll('.js-plotly-plot text')].map(el => el.textContent)
    const icons = [...document.querySelectorAll('[data-testid="stIconMaterial"]')]
    const drawings = icons.map(el => el.innerText)  // an icon's name stands for its drawing
    const lines = parts.join('\\n').split('\\n').filter(line => !drawings.includes(line.trim()))
    return [...lines, ...drawn].join('\\n')
}"""
"""What is to be read on a page, in its figures too."""


@pytest.fixture(scope="module")
def parity(folder: Path) -> str:
    """A run on lists of bits, of a few steps."""
    flags = "--task parity --max-len 6 --n-blanks 3 --d-model 16 --n-heads 2 --d-head 8 --d-mlp 8"
    more = "--steps 4 --batch-size 4 --micro-batch 4 --checkpoint-every 2 --eval-lists 6"
    train([*flags.split(), *more.split(), "--threads", "1", "--out", str(folder)])
    return quote(str(next(folder.glob("*-parity-*"))), safe="")


@pytest.mark.exhaustive
@pytest.mark.slow
def test_the_words_are_those_of_the_task(visitor: Visitor, server: Server, parity: str) -> None:
    """On every page, with all of its parts."""
    page, found = visitor.page, {}
    for n, path in enumerate(PATHS):
        link = f"{server.address}/{path}?model={parity}&list=1,0,1&part=all&other={parity}"
        page.goto(link) if n == 0 else visitor.go_on(link)
        page.get_by_role("textbox", name="List: answered with").wait_for()
        settle(page, 600)
        assert page.locator('[data-testid="stException"]').count() == 0
        text = page.evaluate(_SEEN)
        found[page.title()] = [line for line in text.splitlines() if _PUBLISHED.search(line)]
        assert len(text) > 400
    assert len(found) == len(PATHS)
    assert {title: lines for title, lines in found.items() if lines} == {}


def test_the_measure_finds_the_words() -> None:
    assert _PUBLISHED.search("✓ Sorted.") and _PUBLISHED.search("one digit")
    assert not _PUBLISHED.search("sortscope answers bits")
