"""The sequence of tokens, by mouse and by keyboard: what lights up, and what a click sets."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from streamlit.proto.BackMsg_pb2 import BackMsg
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg

from analyses.one_list.answers import attention_of, decode_list
from benchmarks.browser import WAIT_MS, Server
from interp.checkpoints import load_bare
from tests.explorer.browser.visitor import Visitor, a_window, browser_needed, small

pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
pytestmark = [browser_needed, pytest.mark.slow]

DIGITS = (3, 1, 2)
BLANK_2, OUT_0, LAST_OUT = 6, 8, 10
"""Tokens counted from the first digit: 3 digits, SEP, 4 blanks, 3 outputs."""


@pytest.fixture
def pattern(folder: Path) -> np.ndarray:
    """The attention behind the page, from the library: [layer, head, query, key]."""
    model = load_bare(folder / "with").model
    return attention_of(model, decode_list(model, DIGITS).answer).pattern


@pytest.fixture
def sort(visitor: Visitor, server: Server, folder: Path) -> Visitor:
    visitor.open(f"{server.address}/sort?model={small(folder)}&list=3,1,2")
    visitor.page.locator(".sequence .token").first.wait_for()
    return visitor


def lit(visitor: Visitor) -> dict[int, int]:
    """The percentages under tokens that are coloured, by token."""
    tokens = visitor.page.locator(".sequence .token")
    shown = tokens.evaluate_all("all => all.map(el => [el.style.background, el.innerText])")
    return {
        i: int(text.split()[-1].rstrip("%"))
        for i, (background, text) in enumerate(shown)
        if background != ""
    }


def expected(weights: np.ndarray, token: int) -> dict[int, float]:
    """In percent, what a token looks at and what looks at it: of one head, or a mean of them."""
    n = len(weights)
    seen = {key: 100 * weights[token, key] for key in range(token + 1)}
    return seen | {query: 100 * weights[query, token] for query in range(token + 1, n)}


def assert_lit(visitor: Visitor, weights: np.ndarray, token: int) -> None:
    """Whole percents, from numbers that were sent to 0.4 of one; below 1 the token's number."""
    wanted, found = expected(weights, token), lit(visitor)
    strong = {i: share for i, share in wanted.items() if share >= 1.5}
    assert set(strong) <= set(found) <= {i for i, share in wanted.items() if share > 0.2}
    for i, share in strong.items():
        assert abs(found[i] - share) <= 0.9, (i, share, found[i])


def test_attention_lights_up_both_ways(sort: Visitor, pattern: np.ndarray) -> None:
    tokens = sort.page.locator(".sequence .token")
    assert lit(sort) == {}
    tokens.nth(BLANK_2).hover()
    assert_lit(sort, pattern.mean((0, 1)), BLANK_2)
    later = [i for i in lit(sort) if i > BLANK_2]
    assert later  # something looks at it
    assert "looked at by" in sort.text(".sequence output")
    sort.page.get_by_role("button", name="1.1", exact=True).click()
    tokens.nth(OUT_0).hover()
    assert_lit(sort, pattern[1, 1], OUT_0)
    sort.page.get_by_role("button", name="0.0", exact=True).click(modifiers=["Shift"])
    tokens.nth(OUT_0).hover()
    assert_lit(sort, (pattern[1, 1] + pattern[0, 0]) / 2, OUT_0)
    tokens.nth(LAST_OUT).hover()  # it is said, and not given back
    assert lit(sort) == {}
    assert "not given back as an input" in sort.text(".sequence output")


def test_by_keyboard_alone(sort: Visitor, pattern: np.ndarray) -> None:
    page, tokens = sort.page, sort.page.locator(".sequence .token")
    page.get_by_role("radio", name="look").focus()
    page.keyboard.press("Tab")  # mask
    page.keyboard.press("Enter")
    tokens.nth(0).focus()
    assert_lit(sort, pattern.mean((0, 1)), 0)
    page.keyboard.press("End")
    page.keyboard.press("Home")
    for _ in range(4):
        page.keyboard.press("ArrowRight")
    page.keyboard.press("Enter")
    page.wait_for_url("**do=mask%3A0*")
    sort.settle()
    assert "done" in (tokens.nth(4).get_attribute("class") or "")
    assert tokens.nth(4).evaluate("el => el === document.activeElement")  # one goes on from there
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Enter")
    page.wait_for_url("**do=mask%3A0-1*")
    sort.settle()
    page.keyboard.press("Enter")  # and lets it go
    page.wait_for_url(lambda url: "do=mask%3A0&" in url or url.endswith("do=mask%3A0"))
    sort.settle()
    page.keyboard.press("Escape")
    assert lit(sort) == {}
    assert page.get_by_role("radio", name="look").get_attribute("aria-checked") == "true"


def test_blanks_are_dropped_and_exchanged_by_click(sort: Visitor) -> None:
    page, tokens = sort.page, sort.page.locator(".sequence .token")
    page.get_by_role("radio", name="drop").click()
    tokens.nth(4).click()
    page.wait_for_url("**do=zero%3A0*")
    sort.settle()
    tokens.nth(7).click(modifiers=["Shift"])  # all from there
    page.wait_for_url("**do=zero%3A0-3*")
    sort.settle()
    page.get_by_role("radio", name="exchange").click()
    tokens.nth(5).click()
    page.wait_for_url("**do=transplant%3A1%3A*")
    sort.settle()
    done = page.locator(".sequence .token.done")
    assert done.count() == 1
    assert sort.text(".st-key-changed_answer")


def test_a_blank_dropped_beside_the_heads_is_dropped_on_the_whole_page(
    visitor: Visitor, server: Server, folder: Path
) -> None:
    """There, a choice of a head draws a part of the page anew, and a click on a blank all of it."""
    page = visitor.page
    visitor.open(f"{server.address}/attention?model={small(folder)}&list=3,1,2")
    page.get_by_role("radiogroup", name="Head").get_by_text("1", exact=True).click()
    page.wait_for_url("**head=1*")
    visitor.settle()
    page.get_by_role("radio", name="drop").click()
    page.locator(".sequence .token").nth(5).click()
    page.wait_for_url("**do=zero%3A1*")
    visitor.settle()
    assert "head=1" in page.url
    assert page.locator(".sequence .token.done").count() == 1
    assert "blank 1: keys and values zero" in page.locator('[data-testid="stSidebar"]').inner_text()


def test_the_answer_plays_and_the_page_follows(sort: Visitor) -> None:
    page = sort.page
    page.get_by_text("Step by step", exact=True).click()
    page.wait_for_url("**part=step*")
    sort.settle()
    page.get_by_role("button", name="▶ Play").click()
    page.locator(".sequence .token.unsaid").first.wait_for()
    page.wait_for_url("**step=2*")
    sort.settle()
    assert page.locator(".sequence .token.unsaid").count() == 0
    assert "as output 2" in page.locator('[data-testid="stMain"]').inner_text()
    page.get_by_role("button", name="One output back").click()
    page.wait_for_url("**step=1*")
    sort.settle()
    assert page.locator(".sequence .token.unsaid").count() == 1
    assert "as output 1" in page.locator('[data-testid="stMain"]').inner_text()


def test_blanks_are_chosen_by_click(visitor: Visitor, server: Server, folder: Path) -> None:
    visitor.open(f"{server.address}/blanks?model={small(folder)}&list=3,1,2&blanks=none")
    visitor.page.locator(".sequence .token").nth(5).click()
    visitor.page.wait_for_url("**blanks=1*")
    visitor.settle()
    assert visitor.page.locator(".st-key-blanks-ablated").count() == 1
    visitor.page.locator(".sequence .token").nth(7).click(modifiers=["Shift"])
    visitor.page.wait_for_url("**blanks=1-3*")
    visitor.settle()


class Slow:
    """Between the page and its server: while ``holds``, the page hears nothing but how often it is
    to ask how far a computation is, as when it is still busy drawing. Once it has asked, it asks
    again right behind every click."""

    def __init__(self, page: Any) -> None:
        self.holds, self.asked = False, 0
        self.page, self._held, self._part = page, list[Any](), ""
        page.route_web_socket("**/_stcore/stream", self._between)

    def _between(self, browser: Any) -> None:
        self._browser, server = browser, browser.connect_to_server()

        def to_server(data: bytes) -> None:
            server.send(data)
            sent = (message := BackMsg.FromString(data)).rerun_script
            if sent.is_auto_rerun:
                self.asked, self._part = self.asked + self.holds, sent.fragment_id
            elif self._part and sent.fragment_id:
                fields = [w for w in sent.widget_states.widgets if not w.json_trigger_value]
                sent.fragment_id, sent.is_auto_rerun = self._part, True
                del sent.widget_states.widgets[:]
                sent.widget_states.widgets.extend(fields)
                server.send(message.SerializeToString())

        def to_browser(data: bytes) -> None:
            asks = ForwardMsg.FromString(data).WhichOneof("type") == "auto_rerun"
            (self._held.append if self.holds and not asks else browser.send)(data)

        browser.on_message(to_server)
        server.on_message(to_browser)

    def wait(self, questions: int) -> None:
        """Until the page has asked so often while it heard nothing."""
        for _ in range(WAIT_MS // 100):
            if self.asked >= questions:
                return
            self.page.wait_for_timeout(100)
        raise AssertionError(f"the page asked {self.asked} times")

    def let_go(self) -> None:
        self.holds = False
        for data in self._held:
            self._browser.send(data)


@pytest.fixture
def slow(chromium: Any) -> Iterator[Slow]:
    with a_window(chromium) as page:
        yield Slow(page)


# While rates are computed a page asks how far that is, and with every question it says what its
# fields hold: until it has drawn what was clicked, that is what stood there before.


def test_what_is_masked_by_click_outlives_questions(
    slow: Slow, server: Server, folder: Path
) -> None:
    page, visitor = slow.page, Visitor(slow.page)
    visitor.open(f"{server.address}/sort?model={small(folder)}&list=3,2,2,1")
    page.get_by_role("radio", name="mask").click()
    slow.holds = True
    page.locator(".sequence .token").nth(6).click()  # the second blank
    slow.wait(questions=2)
    slow.let_go()
    page.wait_for_url("**do=mask%3A1")
    page.get_by_text("Whole list right: under the mask").wait_for()
    visitor.settle()
    assert page.url.endswith("do=mask%3A1")
    for blank, done in ((2, "1-2"), (3, "1-3"), (1, "2-3")):
        page.locator(".sequence .token").nth(5 + blank).click()
        page.wait_for_url(f"**do=mask%3A{done}")
        visitor.settle()
