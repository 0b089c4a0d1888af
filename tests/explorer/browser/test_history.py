"""The page's address: one entry of the history for one choice, and Back and Forward restore it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from benchmarks.browser import Server
from explorer.server.history import History, script
from tests.covers import few
from tests.explorer.browser.visitor import Visitor, a_window, browser_needed, shipped, small
from tests.pages import address, open_page

pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
pytestmark = browser_needed


@pytest.fixture(scope="module")
def browsing(chromium: Any) -> Iterator[Any]:
    with a_window(chromium) as page:
        yield page.context


@pytest.fixture
def window(browsing: Any) -> Iterator[Any]:
    """A new tab for each test: one that was used has a history."""
    page = browsing.new_page()
    yield page
    page.close()


def entries(visitor: Visitor) -> int:
    visitor.page.wait_for_timeout(300)
    visitor.settle()
    return int(visitor.page.evaluate("history.length"))


@shipped
@pytest.mark.slow
def test_a_walk_through_the_history(visitor: Visitor, server: Server) -> None:
    """Every deliberate choice is one entry, and going back shows each of them again."""
    page = visitor.page
    visitor.open(f"{server.address}/")
    start = entries(visitor)
    shown = [(page.title(), visitor.list_field.input_value(), page.url)]

    def chose(added: int = 1) -> None:
        assert entries(visitor) == start + len(shown) - 1 + added
        shown.append((page.title(), visitor.list_field.input_value(), page.url))

    page.get_by_role("button", name="Sort a list of your own").click()
    page.wait_for_url("**/sort?**")
    chose()
    visitor.type_list("5,2,8")
    page.wait_for_url("**list=5%2C2%2C8**")
    chose()
    page.get_by_text("Mask the blanks").click()
    page.wait_for_url("**do=mask**")
    chose()
    page.get_by_role("link", name="Blanks").click()
    page.wait_for_url("**/blanks?**")
    page.locator("h1", has_text="The blanks").wait_for()
    chose()
    page.get_by_role("button", name="First half").click()
    page.wait_for_url("**blanks=0-23**")
    chose()
    assert [title for title, _, _ in shown] == [
        f"{name} · sortscope" for name in ("Home", "Sort", "Sort", "Sort", "Blanks", "Blanks")
    ]
    for title, typed, url in reversed(shown[:-1]):
        page.go_back()
        visitor.settle()
        page.wait_for_url(url)  # without ``back=``, which the server takes off when it has drawn
        visitor.settle()
        assert (page.title(), visitor.list_field.input_value(), page.url) == (title, typed, url)
    page.go_forward()
    page.go_forward()
    page.wait_for_url(shown[2][2])
    visitor.settle()
    assert visitor.text(".st-key-answer code") == "2 5 8"
    assert entries(visitor) == start + len(shown) - 1


def test_quick_choices_are_not_taken_for_steps_back(
    visitor: Visitor, server: Server, folder: Any
) -> None:
    """Clicks that come before the last one's address was written: none is lost."""
    visitor.open(f"{server.address}/sort?model={small(folder)}&list=3,1,2,0,5,4")
    visitor.type_list("4,0,2")
    visitor.page.get_by_text("Mask the blanks").click()
    visitor.page.wait_for_url("**do=mask**")
    visitor.settle()
    assert visitor.list_field.input_value() == "4,0,2"
    assert "list=4%2C0%2C2&do=mask%3A0-3" in visitor.page.url


@shipped
@pytest.mark.slow
@pytest.mark.parametrize(
    "path",
    few(["home", "sort", "tour", "algorithm"], "sort"),
)
def test_every_page_has_an_address_of_its_own(visitor: Visitor, server: Server, path: str) -> None:
    visitor.open(f"{server.address}/{path}?list=31415")
    assert visitor.page.get_by_role("dialog").count() == 0
    assert visitor.page.title().lower() == f"{path} · sortscope"
    assert visitor.list_field.input_value() == "31415"
    assert "back=" not in visitor.page.url


@shipped
def test_the_tours_own_links_open(visitor: Visitor, server: Server) -> None:
    visitor.open(f"{server.address}/tour?list=2,7,1")
    visitor.page.get_by_role("link", name="Sort", exact=True).last.click()
    visitor.page.wait_for_url("**/sort?**")
    visitor.settle()
    assert visitor.page.get_by_role("dialog").count() == 0
    assert visitor.text(".st-key-answer code") == "1 2 7"


def test_the_link_is_copied(visitor: Visitor, server: Server, folder: Any) -> None:
    visitor.page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    visitor.open(f"{server.address}/sort?model={small(folder)}&list=3,1,2")
    visitor.page.get_by_role("button", name="Copy link").click()
    visitor.page.get_by_role("button", name="Copied").wait_for()
    assert visitor.page.evaluate("navigator.clipboard.readText()") == visitor.page.url


def test_an_address_holds_what_its_page_wrote_and_nothing_else(
    folder: Any, monkeypatch: Any
) -> None:
    monkeypatch.setenv("SORTSCOPE_MODELS", str(folder))
    link = {"model": str(folder / "with"), "list": "31", "cell": "v.1:3", "nonsense": "1"}
    page = open_page("sort", **link, part="step")
    assert address(page) == {"model": str(folder / "with"), "list": "31", "part": "step"}


def served(path: str, kind: bytes, body: bytes, **headers: str) -> list[Any]:
    """What a browser gets of a server that answers with this body, in two pieces."""
    sent: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        asked_whole = all(name != b"accept-encoding" for name, _ in scope["headers"])
        assert asked_whole == (path == "/sort")
        head = [(b"content-type", kind), (b"content-length", str(len(body)).encode())]
        await send({"type": "http.response.start", "status": 200, "headers": head})
        await send({"type": "http.response.body", "body": body[:9], "more_body": True})
        await send({"type": "http.response.body", "body": body[9:]})

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {"type": "http", "path": path, "headers": [(b"accept-encoding", b"gzip")]}
    scope["query_string"] = headers.get("query", "").encode()
    with pytest.raises(StopIteration):  # nothing in it waits, so one step is all of it
        History(app)(scope, None, send).send(None)  # type: ignore[arg-type,attr-defined]
    return sent


def test_the_script_is_in_every_page_and_in_nothing_else() -> None:
    start, body = served("/sort", b"text/html; charset=utf-8", b"<html><head><title>x</title>")
    assert body["body"] == b"<html><head><script>" + script() + b"</script><title>x</title>"
    assert dict(start["headers"])[b"content-length"] == str(len(body["body"])).encode()
    assert b"</script" not in script()
    for path, kind in (("/static/x.js", b"text/javascript"), ("/_stcore/health", b"text/html")):
        _, *pieces = served(path, kind, b"<html><head>")
        assert b"".join(piece["body"] for piece in pieces) == b"<html><head>"


def test_home_is_at_the_root() -> None:
    start, _ = served("/home", b"text/html", b"", query="list=31")
    assert (start["status"], dict(start["headers"])[b"location"]) == (307, b"/?list=31")
