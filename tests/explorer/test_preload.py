"""What a first page needs is imported before anybody asks for it."""

from __future__ import annotations

import threading
from importlib.util import find_spec

import pytest

from explorer.server import preload


def test_it_begins_and_lets_the_server_go_on(monkeypatch: pytest.MonkeyPatch) -> None:
    go_on, imported = threading.Event(), []

    def slow(name: str) -> None:
        go_on.wait(10)
        imported.append(name)

    monkeypatch.setattr(preload, "import_module", slow)
    preload.preload()
    assert imported == []
    go_on.set()
    next(one for one in threading.enumerate() if one.name == "preload").join(10)
    assert imported[0] == "explorer.shell" and all(map(find_spec, imported))
