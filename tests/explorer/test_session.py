"""What is taken for the reader's choice: not what a browser says that has not drawn a click yet."""

from __future__ import annotations

from typing import Any

import pytest

from explorer.server import session
from explorer.server.places import Places

STEP = "a page's own"


@pytest.fixture
def state(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """After a page was drawn."""
    drawn = {session.LIST: "3,1", session.DO: "", STEP: 0}
    empty = {session._PUT: {}, session._KEPT: {STEP: True}, session._DRAWING: False}
    found = {**drawn, **empty, session._LAST: dict(drawn), session._STARTED: ""}
    monkeypatch.setattr(session.st, "session_state", found)
    monkeypatch.setattr(session.st, "query_params", {})
    return found


def drawn_anew() -> None:
    """All of the page, as far as the session is concerned."""
    with session.visit(Places(())):
        pass


def test_a_question_changes_nothing_in_the_sidebar(state: dict[str, Any]) -> None:
    session.put(session.DO, "mask:1")
    state[session.DO] = ""  # as the browser still says
    session.put_back()
    assert state[session.DO] == "mask:1"
    state[session.LIST] = "1"
    session.put_back()
    assert state[session.LIST] == "3,1"


def test_of_other_fields_a_question_changes_back_nothing_that_was_set(
    state: dict[str, Any],
) -> None:
    session.put(STEP, 2)
    session.put(STEP, 3)
    for stale in (0, 2, 0):
        state[STEP] = stale
        session.put_back()
        assert state[STEP] == 3
    state[STEP] = 1  # the reader's, told with the question
    session.put_back()
    assert state[STEP] == 1


def test_what_was_drawn_may_be_taken_back(state: dict[str, Any]) -> None:
    session.put(STEP, 3)
    session.put_back()  # the browser says 3
    state[STEP] = 0
    session.put_back()
    assert state[STEP] == 0


def test_a_drawing_takes_what_was_set_and_what_the_reader_chose(state: dict[str, Any]) -> None:
    session.put(session.DO, "mask:1")
    state[session.DO] = ""
    drawn_anew()
    assert state[session.DO] == "mask:1"
    state[session.DO] = ""  # now it is the reader's
    drawn_anew()
    assert state[session.DO] == ""
    session.put(session.DO, "mask:1")
    state[session.DO] = "zero:2"
    drawn_anew()
    assert state[session.DO] == "zero:2"


def test_a_drawing_that_was_left_does_not_end_it(state: dict[str, Any]) -> None:
    session.put(session.DO, "mask:1")
    with pytest.raises(KeyboardInterrupt), session.visit(Places(())):
        raise KeyboardInterrupt
    state[session.DO] = ""
    drawn_anew()
    assert state[session.DO] == "mask:1"


def test_what_is_part_of_a_drawing_is_no_question(state: dict[str, Any]) -> None:
    session.put(session.DO, "mask:1")
    state[session.DO] = ""
    with session.within_a_drawing():
        session.put_back()
        assert state[session.DO] == ""
    session.put_back()
    assert state[session.DO] == "mask:1"
