"""Background jobs: they go on by themselves, in turn, can be ended, and say what went wrong."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from analyses.experiment import catalogue
from analyses.logit_lens import EXPERIMENT
from analyses.ship.shipped import Shipped, path_of, shipped, source_of
from explorer.server.jobs import Job, Jobs, State, jobs
from explorer.server.store import Store, store
from interp.checkpoints import load_bare, shipped_models
from interp.support.errors import UserError
from interp.support.progress import Progress
from tests.covers import few
from tests.pages import captions, open_page, run_job

shipped_only = pytest.mark.skipif("blanks" not in shipped_models(), reason="no model is shipped")


class Gate:
    """A computation that waits until it is let go, and then takes its steps."""

    def __init__(self) -> None:
        self.begun, self.open = threading.Event(), threading.Event()

    def __call__(self, progress: Progress) -> str:
        progress.begin(4, "steps")
        self.begun.set()
        assert self.open.wait(20)
        for _ in range(4):
            progress.step()
        return "result"


def test_jobs_run_in_turn_and_their_results_are_kept() -> None:
    server, kept, gate = Jobs(), Store(), Gate()
    first = server.start("a", "First", gate, kept)
    assert gate.begun.wait(20)
    second = server.start("b", "Second", lambda progress: "other", kept)
    assert server.start("a", "First", gate, kept) is first  # not twice
    assert (first.state, second.state) == (State.RUNNING, State.WAITING)
    assert "waits until another" in second.words
    assert server.under_way() == [first, second]
    gate.open.set()
    server.wait()
    assert (first.state, second.state) == (State.DONE, State.DONE)
    assert first.seconds > 0
    assert kept.get("a", lambda: "again") == "result"
    assert kept.get("b", lambda: "again") == "other"
    assert server.under_way() == [] and server.get("a") is None


def test_a_job_ends_when_it_is_cancelled_and_may_be_started_again() -> None:
    server, kept, gate = Jobs(), Store(), Gate()
    job = server.start("a", "First", gate, kept)
    waiting = server.start("b", "Second", gate, kept)
    assert gate.begun.wait(20)
    server.cancel("a")
    server.cancel("b")
    gate.open.set()
    server.wait()
    assert (job.state, waiting.state) == (State.CANCELLED, State.CANCELLED)
    assert not kept.has("a") and not kept.has("b")
    server.start("a", "First", gate, kept)
    server.wait()
    assert kept.has("a")


def test_a_job_that_is_let_go_while_it_pauses_computes_nothing() -> None:
    server, kept, gate = Jobs(), Store(), Gate()
    job = server.start("a", "First", gate, kept, 600.0)
    server.cancel("a")
    server.wait()
    assert job.state is State.CANCELLED and not gate.begun.is_set()
    gate.open.set()
    server.start("a", "First", gate, kept, 0.05)
    server.wait()
    assert kept.get("a", lambda: "again") == "result"


def test_at_the_end_nothing_runs_on() -> None:
    """A process that ends while a thread computes would be aborted."""
    running, later, began, kept = Jobs(), [], threading.Event(), Store()

    def steps(progress: Progress) -> None:
        progress.begin(10_000, "steps")
        began.set()
        while True:
            time.sleep(0.01)
            progress.step()

    job = running.start("a", "A", steps, kept)
    waiting = running.start("b", "B", lambda progress: later.append(1), kept)
    assert began.wait(10)
    running.end()
    assert job.state is State.CANCELLED
    assert waiting.state is State.WAITING and not later
    assert running._thread is None
    Jobs().end()  # of nothing


@pytest.mark.parametrize(
    ("error", "said"),
    [(UserError("no such thing"), "no such thing"), (KeyError("x"), "it failed: KeyError")],
)
def test_what_went_wrong_is_said(error: Exception, said: str) -> None:
    def wrong(progress: Progress) -> None:
        raise error

    server, kept = Jobs(), Store()
    server.start("a", "First", wrong, kept)
    server.wait()
    job = server.get("a")
    assert job is not None and (job.state, job.error) == (State.FAILED, said)
    assert not kept.has("a")


def test_the_time_to_go_is_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: clock[0])
    job = Job("a", "Probing", lambda progress: None, Store(), State.RUNNING)
    job.begin(50, "fitting")
    assert job.words == "Probing: fitting …"
    clock[0] = 110.0
    job.step(10)  # a fifth in ten seconds
    assert job.words == "Probing: fitting, 20 %, about 40 s to go"
    clock[0] = 115.0
    assert job.words.endswith("about 35 s to go")


# -- on a page ----------------------------------------------------------------------------------


@pytest.fixture(autouse=True)
def _own_results() -> Iterator[None]:
    """Other tests find nothing computed, and nothing of theirs is found here."""
    store.clear()
    yield
    store.clear()


@shipped_only
def test_a_shipped_result_is_there_at_once_and_can_be_run_again() -> None:
    page = open_page("inside", list="3,1,4")
    page.session_state["box logit_lens"] = True
    page.run()
    there = shipped(EXPERIMENT, load_bare("blanks").hash)
    assert there is not None
    assert "\n".join(there.words) in [code.value for code in page.code]
    assert "Computed beforehand, and part of the package." in captions(page)
    again = page.button("run logit_lens")
    assert again.label == "Run again"
    before = captions(page).count("Computed beforehand")
    run_job(page, "run logit_lens")
    assert captions(page).count("Computed beforehand") == before - 1
    assert "\n".join(there.words) in [code.value for code in page.code]  # the same numbers


def test_a_job_goes_on_while_other_pages_are_looked_at(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SORTSCOPE_MODELS", str(folder))
    gate, compute = Gate(), EXPERIMENT.body.compute

    def slow(model: Any, settings: Any, seed: int, progress: Progress) -> Any:
        gate(progress)
        return compute(model, settings, seed, progress)

    monkeypatch.setattr(EXPERIMENT.body, "compute", slow)
    link = {"model": str(folder / "with"), "list": "3,1,4"}
    page = open_page("inside", **link)
    page.button("run logit_lens").click().run()
    assert gate.begun.wait(20)
    assert page.button("cancel run logit_lens").label == "Cancel"
    elsewhere = open_page("sort", **link)
    assert "**Under way:** The logit lens" in captions(elsewhere).replace("\\", "")
    gate.open.set()
    jobs().wait()
    again = open_page("inside", **{**link, "list": "2,7"})
    assert not [b for b in again.button if b.key == "run logit_lens"]


# -- what is shipped ----------------------------------------------------------------------------


@shipped_only
@pytest.mark.parametrize("name", few(["logit_lens", "transplant_blanks"], "transplant_blanks"))
@pytest.mark.slow
def test_shipped_results_are_what_the_command_computes(name: str) -> None:
    one, loaded = catalogue.experiment(name), load_bare("blanks")
    there = shipped(one, loaded.hash)
    assert there is not None
    now = one.outcome(one.compute(loaded.model))
    assert there.words == now.words
    assert there.is_current
    assert len(there.figure.data) == len(now.figure.data)


@shipped_only
def test_results_of_other_settings_seeds_or_weights_are_not_taken_for_these() -> None:
    hash_ = load_bare("blanks").hash
    assert shipped(EXPERIMENT, hash_) is not None
    assert shipped(EXPERIMENT, hash_, type(EXPERIMENT.settings)(lists=7)) is None
    assert shipped(EXPERIMENT, hash_, seed=1) is None
    assert shipped(EXPERIMENT, "0" * 16) is None
    assert path_of("logit_lens", "study quick").name == "study-quick.json.gz"


def test_a_result_of_another_source_says_so() -> None:
    record = {"experiment": "logit_lens", "source": source_of("logit_lens")}
    assert Shipped(record).is_current
    assert not Shipped({**record, "source": "0" * 16}).is_current
