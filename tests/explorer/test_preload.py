"""What pages need is imported before anybody asks for it; their scripts are loaded ahead."""

from __future__ import annotations

import asyncio
import gc
import os
import random
import subprocess
import sys
import threading
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from streamlit.components.v2.bidi_component import serialization
from streamlit.web.server.starlette.starlette_static_routes import create_streamlit_static_handler

from explorer.server import preload
from explorer.server.ahead import LATER, SOON, ahead, files
from explorer.server.whole import STATIC, Whole
from explorer.server.whole import files as sent_whole
from explorer.shell import PAGES
from tests.pages import open_page, sequences

PATHS = [page.module for page in PAGES]


class Importing:
    """Stands in for the import of modules, until it is let go."""

    def __init__(self) -> None:
        self.go_on, self.imported = threading.Event(), list[str]()
        self.here: set[str] = set()
        """By the thread that runs the test."""
        self.looking: set[bool] = set()
        """Whether Python looked for what could be thrown away while another thread imported."""

    def __call__(self, name: str) -> None:
        if threading.current_thread() is threading.main_thread():
            self.here.add(name)
        else:
            self.looking.add(gc.isenabled())
        self.go_on.wait(10)
        self.imported.append(name)

    def end(self, thread: str) -> None:
        self.go_on.set()
        next(one for one in threading.enumerate() if one.name == thread).join(10)


@pytest.fixture
def importing(monkeypatch: pytest.MonkeyPatch) -> Iterator[Importing]:
    found = Importing()
    monkeypatch.setattr(os, "environ", dict(os.environ))
    monkeypatch.setattr(preload, "import_module", found)
    monkeypatch.setattr(preload, "_START", 0.0)
    monkeypatch.setattr(preload, "_PAUSE", 0.0)
    yield found
    preload._waiting.clear()
    gc.unfreeze()


def test_it_begins_and_lets_the_server_go_on(importing: Importing) -> None:
    preload.preload()
    assert importing.imported == []
    importing.end("preload")
    assert importing.imported[0] == "explorer.shell" and all(map(find_spec, importing.imported))
    assert gc.get_freeze_count() > 0 and gc.isenabled()


@pytest.mark.parametrize(("before", "after"), [(None, "1"), ("3", "3")])
def test_a_pass_has_one_core_unless_told_otherwise(
    before: str | None, after: str, importing: Importing
) -> None:
    os.environ.pop("OMP_NUM_THREADS", None)
    if before is not None:
        os.environ["OMP_NUM_THREADS"] = before
    preload.preload()
    assert os.environ["OMP_NUM_THREADS"] == after
    importing.end("preload")


def test_the_other_pages_follow_once_when_the_first_has_been_drawn(importing: Importing) -> None:
    preload.preload()
    importing.end("preload")
    first = list(importing.imported)
    importing.here.clear()
    importing.go_on.clear()
    preload.preload_others(PATHS)
    assert importing.here == set()  # whoever looks at the first page need not wait for them
    importing.end("preload others")
    after = list(importing.imported)
    assert {*PATHS} <= {*after} and after[len(first) :][:2] == ["pandas", "pyarrow"]
    assert all(map(find_spec, {*after} - {*first}))
    preload.preload_others(PATHS)  # of the next drawing
    assert not any(one.name == "preload others" for one in threading.enumerate())
    assert importing.imported == after
    assert importing.looking == {False} and gc.isenabled()


def test_only_a_page_with_figures_waits_for_what_draws_tables(
    importing: Importing, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Plotly fails where pandas is half imported, so nobody draws one meanwhile."""
    monkeypatch.setenv("SORTSCOPE_MODELS", "")
    importing.go_on.set()
    seen = []
    for path in (None, "sort"):
        assert not open_page(path, list="3,1,2").exception
        seen.append({name for name in importing.imported if name in ("pandas", "pyarrow")})
    assert seen == [set(), {"pandas", "pyarrow"}]


def test_what_home_says_first_does_not_wait_for_pytorch() -> None:
    """In a process of its own, for here it is imported."""
    code = (
        "import sys, explorer.shell, explorer.pages.home.page as home, explorer.server.session\n"
        "assert not {'torch', 'pandas'} & {*sys.modules}, 'imported'\n"
        "from explorer.server import models\n"
        "(hash_,) = [models.shipped_hashes()['blanks']]\n"
        "assert len(list(home.findings('blanks', hash_))) == 3\n"
        "assert 'torch' not in sys.modules, 'for the findings'\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_page_that_no_server_draws_imports_nothing(importing: Importing) -> None:
    preload.preload_others(PATHS)
    assert not any(one.name == "preload others" for one in threading.enumerate())


def test_the_scripts_that_are_loaded_ahead_are_those_of_this_streamlit() -> None:
    script = ahead().decode()
    for kind in (*SOON, *LATER):
        assert [name for name in files([kind]) if f'"{name}"' in script], kind
    assert list(files(["NoSuchElement"])) == []


def test_no_sequence_asks_for_what_draws_tables(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Streamlit imports pandas and pyarrow for all but these, half a second of the first page."""
    monkeypatch.setenv("SORTSCOPE_MODELS", str(folder))
    asked: list[object] = []

    def keep(one: object) -> bool:
        asked.append(one)
        return False

    monkeypatch.setattr(serialization, "is_dataframe_like", keep)
    page = open_page("sort", model=str(folder / "with"), list="3,1,2", part="answer")
    assert len(sequences(page)) == 1 and len(asked) > 10
    assert {type(one) for one in asked} <= {str, int, bool, tuple, type(None)}


STREAMLIT = create_streamlit_static_handler(str(STATIC), None)


def asked(app: Any, path: str, method: str = "GET", **headers: str) -> tuple[Any, ...]:
    """Status, headers and body of an ASGI application's answer, and in how many pieces it came."""
    sent: list[dict[str, Any]] = []

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    async def receive() -> dict[str, Any]:
        await asyncio.Event().wait()  # a visitor who stays
        raise AssertionError

    pairs = [(name.encode(), value.encode()) for name, value in headers.items()]
    about = {"type": "http", "method": method, "path": path, "root_path": "", "headers": pairs}
    asyncio.run(app(about, receive, send))
    start, *pieces = sent
    body = b"".join(piece.get("body", b"") for piece in pieces)
    return start["status"], dict(start["headers"]), body, len(pieces)


@pytest.mark.parametrize("ending", [".js", ".css", ".woff2"])
def test_a_file_that_is_sent_whole_is_the_one_that_streamlit_sends(ending: str) -> None:
    paths = sorted(path for path in sent_whole() if path.endswith(ending))
    for path in random.Random(0).sample(paths, 3):
        status, about, body, pieces = asked(Whole(STREAMLIT), path)
        as_it_was, before, same, _ = asked(STREAMLIT, path)
        assert (status, body, pieces) == (as_it_was, same, 1)
        assert about[b"cache-control"] == before[b"cache-control"]
        assert about[b"content-length"] == before[b"content-length"]
        kind, was = about[b"content-type"], before[b"content-type"]
        assert kind == was.partition(b";")[0].replace(b"application/java", b"text/java")


@pytest.mark.parametrize(
    ("path", "asks"),
    [
        ("/", {}),
        ("/sort", {}),
        ("/static/js/no.such.js", {}),
        ("/static/js/../../index.html", {}),
        ("/favicon.png", {}),
        ("a script", {"method": "HEAD"}),
        ("a script", {"range": "bytes=0-9"}),
    ],
)
def test_all_else_is_left_to_streamlit(path: str, asks: dict[str, str]) -> None:
    path = min(sent_whole()) if path == "a script" else path
    assert asked(Whole(STREAMLIT), path, **asks) == asked(STREAMLIT, path, **asks)


def test_what_is_no_request_for_a_file_is_passed_on() -> None:
    seen: list[str] = []

    async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
        seen.append(scope["type"])

    for about in ({"type": "lifespan"}, {"type": "websocket", "path": min(sent_whole())}):
        asyncio.run(Whole(app)(about, None, None))  # type: ignore[arg-type]
    assert seen == ["lifespan", "websocket"]
