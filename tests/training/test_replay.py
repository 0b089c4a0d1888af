"""A run made again: the same bits from the seed and from a checkpoint, and one thing changed."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from interp.checkpoints import load_model, run_checkpoints
from interp.support.errors import UserError
from tests.training.test_average import SMALL
from training.course import train
from training.loop import Trainer
from training.replay import Snapshot, replayed
from training.runs import create_run


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    trainer = Trainer(SMALL)
    folder = create_run(tmp_path_factory.mktemp("runs"), SMALL, trainer)
    train(trainer, folder)
    return folder


def same(trainer: Trainer, other: Trainer) -> bool:
    return all(map(torch.equal, trainer.parameters, other.parameters))


def test_a_replay_reaches_the_bits_of_the_run(run):
    steps = []
    trainer = replayed(run, 10, lambda: steps.append(1))
    assert len(steps) == 10  # the checkpoint there keeps no optimiser any more: from the seed
    stored = load_model(run_checkpoints(run)[0]).model
    assert all(map(torch.equal, trainer.parameters, stored.parameters()))
    assert replayed(run, 20, lambda: steps.append(1)).step == 20 and len(steps) == 10
    with pytest.raises(UserError, match="--step must be 0 to 20"):
        replayed(run, 21)


def test_a_snapshot_goes_on_as_the_run_did_unless_one_thing_is_changed(run):
    trainer = replayed(run, 6)
    snapshot = Snapshot.of(trainer)
    others = {
        "same": snapshot.trainer(),
        "rate": snapshot.trainer(lr=SMALL.lr / 2),
        "beta2": snapshot.trainer(beta2=0.5),
        "clip": snapshot.trainer(clip_norm=1e-3),
        "lists": snapshot.trainer(seed=SMALL.seed + 1),
        "dropout": snapshot.trainer(dropout=0.0),
    }
    assert all(same(trainer, other) for other in others.values())  # nothing is changed yet
    for one in (trainer, *others.values()):
        one.update()
    assert [name for name, one in others.items() if same(trainer, one)] == ["same"]
    # The change is what it says: half the rate moves each weight by half as much.
    for now, half, before in zip(
        trainer.parameters, others["rate"].parameters, snapshot.trainer().parameters, strict=True
    ):
        torch.testing.assert_close((now - before) / 2, half - before, atol=1e-6, rtol=1e-3)
    assert replace(SMALL, lr=SMALL.lr / 2).learned() == others["rate"].config.learned()
