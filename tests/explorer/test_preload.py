"""What pages need is imported before anybody asks for it; their scripts are loaded ahead."""

from __future__ import annotations

import gc
import os
import threading
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest
from streamlit.components.v2.bidi_component import serialization

from explorer.server import preload
from explorer.server.ahead import LATER, SOON, ahead, files
from explorer.shell import PAGES
from tests.pages import open_page, sequences

PATHS = [page.module for page in PAGES]


class Importing:
    """Stands in for the import of modules, until it is let go."""

    def __init__(self) -> None:
        self.go_on, self.imported = threading.Event(), list[str]()
        self.here: set[str] = set()
        """By the thread that runs the test."""

    def __call__(self, name: str) -> None:
        if threading.current_thread() is threading.main_thread():
            self.here.add(name)
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
    monkeypatch.setattr(preload, "_PAUSE", 0.0)
    yield found
    preload._waiting.clear()
    gc.unfreeze()


def test_it_begins_and_lets_the_server_go_on(importing: Importing) -> None:
    preload.preload()
    assert importing.imported == []
    importing.end("preload")
    assert importing.imported[0] == "explorer.shell" and all(map(find_spec, importing.imported))
    assert gc.get_freeze_count() > 0


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
    preload.preload_others(PATHS)
    assert importing.here == {"pandas", "pyarrow"}  # not beside a thread that draws
    importing.end("preload others")
    after = list(importing.imported)
    assert {*PATHS} <= {*after} and after[len(first) :][:2] == ["pandas", "pyarrow"]
    assert all(map(find_spec, {*after} - {*first}))
    preload.preload_others(PATHS)  # of the next drawing
    assert not any(one.name == "preload others" for one in threading.enumerate())
    assert importing.imported == after


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
