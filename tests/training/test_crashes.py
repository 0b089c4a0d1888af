"""What is kept around a run's crashes: the right states, to the bit, whenever it was stopped."""

from __future__ import annotations

import signal
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from interp.checkpoints import checkpoint_step, load_model
from interp.support.errors import UserError
from tests.models import trained_run
from tests.training.test_average import SMALL
from training.course import Stopped, train
from training.crashes import LOOKS, CrashKeeper
from training.curves import CrashWatch
from training.loop import Trainer
from training.replay import replayed, steps_again
from training.runs import AVERAGE, STATE, crash_states, create_run, resume_run

RISE, FALL = [0.0, 0.5, 0.96], [0.7]
TWO_CRASHES = [*RISE, *[1.0] * 6, *FALL, *[0.7] * 7, *[1.0] * 2, *FALL, *[0.2] * 9]
CONFIG = replace(SMALL, steps=len(TWO_CRASHES), log_every=1, checkpoint_every=100)


class Told(Trainer):
    """A real run, whose accuracy is what we say."""

    accuracies = TWO_CRASHES

    def _metrics(self, *given: Any) -> Any:
        return replace(super()._metrics(*given), accuracy=self.accuracies[self.step])


def run_of(folder: Path, **changes: Any) -> Path:
    return trained_run(folder, replace(CONFIG, **changes), Told)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return run_of(tmp_path_factory.mktemp("runs"))


def steps(run: Path) -> list[int]:
    return [checkpoint_step(folder) for folder in crash_states(run)]


def test_five_looks_before_a_crash_and_five_after_it_are_kept(run):
    assert steps(run) == list(range(9 - 5, 19 + 6))
    with_optimizer = [checkpoint_step(f) for f in crash_states(run) if (f / STATE).is_file()]
    assert with_optimizer == [4]  # the second begins where the first is kept: at 14


def test_they_are_the_states_of_the_run_and_it_is_made_again_from_them(run):
    made: list[int] = []
    for folder in crash_states(run)[::4]:
        step = checkpoint_step(folder)
        made.clear()
        again = replayed(run, step, lambda: made.append(1))
        assert len(made) == steps_again(run, step) == step - 4
        stored = load_model(folder).model
        assert all(map(torch.equal, again.parameters, stored.parameters()))
    literal = Trainer(CONFIG)  # from the seed
    while literal.step < 12:
        literal.update()
    assert all(map(torch.equal, literal.parameters, replayed(run, 12).parameters))
    assert steps_again(run, 3) == 3


@pytest.mark.parametrize(("most", "last"), [(0, None), (1, 14), (2, 24), (3, 24)])
def test_as_many_crashes_as_are_asked_for(tmp_path, most, last):
    kept = steps(run_of(tmp_path, keep_crashes=most))
    assert (kept[-1] if kept else None) == last
    with pytest.raises(UserError, match="--keep-crashes must be 0 or more, not -1"):
        replace(CONFIG, keep_crashes=-1)


def test_the_average_is_kept_with_them(tmp_path):
    run = run_of(tmp_path, average=0.9, keep_crashes=1)
    for folder in crash_states(run):
        averaged = load_model(folder / AVERAGE).model
        mean = replayed(run, checkpoint_step(folder)).average.model
        assert all(map(torch.equal, averaged.parameters(), mean.parameters()))


@pytest.mark.parametrize("stopped", [8, 9, 12, 20])
def test_a_run_that_was_stopped_keeps_what_is_still_to_come(run, tmp_path, monkeypatch, stopped):
    trainer = Told(CONFIG)
    folder = create_run(tmp_path, CONFIG, trainer)
    update = Trainer.update

    def stops(self: Trainer, measure: bool = False) -> Any:
        if self.step == stopped:
            signal.raise_signal(signal.SIGTERM)
        return update(self, measure)

    with monkeypatch.context() as stopping:
        stopping.setattr(Trainer, "update", stops)
        with pytest.raises(Stopped):
            train(trainer, folder)
    monkeypatch.setattr("training.loop.Trainer", Told)
    train(resume_run(folder), folder)
    lost = range(stopped + 1) if stopped < 9 else range(15, 20) if stopped > 14 else ()
    # States waiting in memory for a crash that came after the stop are gone, and no others.
    assert set(steps(folder)) == {s for s in steps(run) if s not in lost or stopped == 20}
    for path in crash_states(folder):
        whole = load_model(run / "crashes" / path.name).model
        assert all(map(torch.equal, load_model(path).model.parameters(), whole.parameters()))


@settings(max_examples=200, deadline=None)
@given(
    st.lists(st.sampled_from([0.0, 0.5, 0.74, 0.8, 0.95, 1.0]), max_size=40),
    st.integers(0, 3),
    st.integers(0, 40),
)
def test_which_looks_are_kept_is_what_literal_code_says(accuracies, most, seen):
    """Also where an earlier process has had the first ones."""
    crashes, highest = [], 0.0
    for look, accuracy in enumerate(accuracies):
        if highest and accuracy < highest - 0.2:
            crashes.append(look)
            highest = 0.0
        elif highest or accuracy >= 0.95:
            highest = max(highest, accuracy)
    watch = CrashWatch()
    assert [n for n, a in enumerate(accuracies) if watch.falls(a)] == crashes
    expected = {
        look
        for crash in crashes[:most]
        for look in range(crash - LOOKS, crash + LOOKS + 1)
        if seen <= look < len(accuracies) and (look >= crash or crash >= seen) and look > 0
    }
    with patch("training.crashes.Snapshot", Standing):
        keeper = Listed(Path(), most, accuracies[:seen])
        for look in range(seen, len(accuracies)):
            keeper.hold(Standing(look))
            keeper.look(accuracies[look])
    assert keeper.kept == expected


class Standing(Trainer):
    """In place of a trainer, and of what is kept of it: a step and no more."""

    def __init__(self, step: int) -> None:
        self.step = step

    @classmethod
    def of(cls, trainer: Standing) -> Standing:
        return trainer


class Listed(CrashKeeper):
    """Notes which states it would write."""

    def __init__(self, *given: Any) -> None:
        super().__init__(*given)
        self.kept: set[int] = set()

    def _write(self, state: Any, optimizer: bool) -> None:
        self.kept.add(state.step)
