"""The store of long results: computed once, bounded, and none the worse for a failure."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import given
from hypothesis import strategies as st

from explorer.server import store as stores
from explorer.server.store import PageProgress, Store, computed
from interp.support.progress import Progress

WAIT = 10.0  # seconds after which a thread that should have come is given up


class Bar:
    """What ``st.empty()`` gives, and what was shown in it."""

    def __init__(self) -> None:
        self.shown: list[tuple[float, str]] = []
        self.emptied = False

    def progress(self, share: float, text: str) -> None:
        self.shown.append((share, text))

    def empty(self) -> None:
        self.emptied = True


def test_a_result_is_computed_once_and_kept() -> None:
    store, calls = Store(), []
    for _ in range(3):
        assert store.get("a", lambda: calls.append(1) or "result") == "result"  # type: ignore[func-returns-value]
    assert len(calls) == 1
    assert store.has("a") and not store.has("b")


def test_a_result_that_is_none_is_kept_too() -> None:
    store = Store()
    assert store.get("a", lambda: None) is None
    assert store.get("a", lambda: 1) is None


def test_many_who_ask_at_once_wait_for_the_first() -> None:
    store, go, calls = Store(), threading.Event(), []

    def compute() -> object:
        calls.append(threading.get_ident())
        assert go.wait(WAIT)
        return object()

    with ThreadPoolExecutor(8) as pool:
        asked = [pool.submit(store.get, "a", compute) for _ in range(8)]
        while not calls:
            time.sleep(0.001)
        assert not any(one.done() for one in asked)
        go.set()
        results = [one.result(WAIT) for one in asked]
    assert len(calls) == 1
    assert all(one is results[0] for one in results)


def test_different_results_do_not_wait_for_each_other() -> None:
    store, both = Store(), threading.Barrier(2, timeout=WAIT)

    def compute() -> int:
        return both.wait()  # breaks unless both are being computed

    with ThreadPoolExecutor(2) as pool:
        asked = [pool.submit(store.get, key, compute) for key in "ab"]
        assert sorted(one.result(WAIT) for one in asked) == [0, 1]


def test_a_failure_leaves_the_key_free() -> None:
    store = Store()

    def fail() -> int:
        raise ValueError("no luck")

    for _ in range(2):
        with pytest.raises(ValueError, match="no luck"):
            store.get("a", fail)
        assert not store.has("a")
        assert not store._under_way
    assert store.get("a", lambda: 7) == 7
    assert not store._under_way


def test_who_waits_for_a_failure_tries_in_turn_and_never_two_at_once() -> None:
    store, go = Store(), threading.Event()
    guard, running, most, calls = threading.Lock(), 0, 0, 0

    def compute() -> int:
        nonlocal running, most, calls
        with guard:
            running, calls = running + 1, calls + 1
            most, number = max(most, running), calls
        assert go.wait(WAIT)
        time.sleep(0.005)
        with guard:
            running -= 1
        if number <= 3:
            raise ValueError("no luck")
        return number

    def ask() -> int | None:
        try:
            return store.get("a", compute)
        except ValueError:
            return None

    with ThreadPoolExecutor(8) as pool:
        asked = [pool.submit(ask) for _ in range(8)]
        while not calls:
            time.sleep(0.001)
        go.set()
        results = [one.result(WAIT) for one in asked]
    assert sorted(results, key=str) == [4] * 5 + [None] * 3
    assert (calls, most) == (4, 1)
    assert not store._under_way


@given(st.lists(st.integers(0, 6), max_size=40), st.integers(1, 4))
def test_the_least_recently_used_go_first(keys: list[int], most: int) -> None:
    store, recent = Store(most), list[int]()
    for key in keys:
        store.get(key, lambda: None)
        recent = [*(one for one in recent if one != key), key][-most:]
        assert [one for one in range(7) if store.has(one)] == sorted(recent)


def test_a_bar_shows_how_far_it_is_and_goes(monkeypatch: pytest.MonkeyPatch) -> None:
    own, bars = Store(), []

    def empty() -> Bar:
        bars.append(Bar())
        return bars[-1]

    monkeypatch.setattr(stores, "store", lambda: own)
    monkeypatch.setattr(stores.st, "empty", empty)

    def compute(progress: Progress) -> int:
        progress.begin(1000, "patching")
        for _ in range(1000):
            progress.step()
        return 5

    assert computed("a", compute, "Working") == 5
    (bar,) = bars
    assert bar.emptied
    assert [text for _, text in bar.shown][:3] == [
        "Working …",
        "Working: patching …",
        "Working … 1 %",
    ]
    shares = [share for share, _ in bar.shown[2:]]
    assert shares == sorted(shares) and shares[-1] == 1.0
    assert len(shares) == 100  # not a message for each of a thousand steps
    assert computed("a", compute, "Working") == 5
    assert len(bars) == 1  # what is there shows without a bar


def test_a_bar_goes_after_a_failure_too(monkeypatch: pytest.MonkeyPatch) -> None:
    own, bar = Store(), Bar()
    monkeypatch.setattr(stores, "store", lambda: own)
    monkeypatch.setattr(stores.st, "empty", lambda: bar)

    def fail(progress: object) -> int:
        raise ValueError("no luck")

    with pytest.raises(ValueError, match="no luck"):
        computed("a", fail, "Working")
    assert bar.emptied and not own.has("a")


def test_progress_never_passes_the_end() -> None:
    bar = Bar()
    progress = PageProgress(bar, "Working")
    progress.begin(2, "one")
    progress.step(5)
    progress.begin(0, "nothing to do")
    progress.step()
    assert [share for share, _ in bar.shown] == [0.0, 1.0, 0.0, 1.0]
