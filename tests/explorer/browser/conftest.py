"""A real server and a real browser, for whole visits. Without Playwright or Chromium these tests
are skipped, and say so.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from benchmarks.browser import Server, serve
from benchmarks.browser import chromium as a_browser
from tests.explorer.browser.visitor import Visitor, a_window, complaint, empty
from tests.pages import small_models
from training.train import main as train


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Small untrained models, to open by path."""
    folder = tmp_path_factory.mktemp("models")
    small_models(folder)
    return folder


@pytest.fixture(scope="session")
def run(folder: Path) -> Path:
    """A run of a few steps, with its checkpoints."""
    flags = "--max-len 3 --n-blanks 2 --d-model 8 --n-heads 2 --d-head 4 --d-mlp 8 --steps 4"
    more = "--batch-size 4 --micro-batch 4 --checkpoint-every 2 --eval-lists 6 --threads 1"
    train([*flags.split(), *more.split(), "--out", str(folder)])
    return next(folder.glob("*-len3-*"))


@pytest.fixture(scope="session")
def server(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """The page, with leave to open ``folder``, started where nothing is. One for all tests, as one
    serves all visitors."""
    # One thread: on a busy machine two wait for each other longer than they work.
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    with serve(["--models", str(folder)], folder=elsewhere) as running:
        yield running


@pytest.fixture(scope="module")  # no longer: Playwright's event loop is in the way of any other
def chromium() -> Iterator[Any]:
    with a_browser() as browser:
        yield browser


@pytest.fixture(scope="module")
def window(chromium: Any) -> Iterator[Any]:
    """One for a whole file: in a new one, every page compiles its scripts anew, for seconds."""
    with a_window(chromium) as page:
        yield page


@pytest.fixture(scope="module")
def _another(chromium: Any) -> Iterator[Any]:
    with a_window(chromium) as page:
        yield page


@pytest.fixture
def colleague(_another: Any) -> Iterator[Any]:
    """An empty window with cookies and storage of its own, beside the visitor's; also one for a
    whole file."""
    yield _another
    empty(_another)


@pytest.fixture
def visitor(window: Any, server: Server) -> Iterator[Visitor]:
    """An empty window; at the end nothing may have gone wrong, nor left the machine."""
    found = Visitor(window)
    heard: dict[str, Callable[[Any], None]] = {
        "request": lambda request: found.requests.append(request.url),
        "websocket": lambda socket: found.requests.append(socket.url),
        "pageerror": lambda error: found.complaints.append(str(error)),
        "console": lambda said: found.complaints.extend(complaint(said)),
    }
    for event, hear in heard.items():
        window.on(event, hear)
    yield found
    empty(window)
    for event, hear in heard.items():
        window.remove_listener(event, hear)
    hosts = {urlsplit(url).hostname for url in found.requests if not url.startswith("data:")}
    assert hosts <= {"localhost", None}  # None: blob: addresses, made in the page itself
    assert not found.complaints
    assert "Traceback" not in server.log.read_text()
