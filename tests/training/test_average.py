"""The average of the weights: what it is, that it changes nothing, that it survives a resume."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from interp.answers.decode import score
from interp.checkpoints import load_model, run_checkpoints
from interp.support.errors import UserError
from tests.models import stop_after
from training.course import train
from training.curves import read_curves
from training.loop import Trainer
from training.recipes import TrainConfig
from training.runs import create_run, read_metrics, resume_run

SMALL = TrainConfig(
    max_len=4, d_model=16, n_heads=2, d_head=8, d_mlp=24, batch_size=8, micro_batch=4, steps=20,
    threads=1, precision="float32", eval_lists=12, eval_every=10, log_every=5, checkpoint_every=10,
    dropout=0.1, schedule="constant",
)  # fmt: skip
DECAY = 0.8


def literal(config: TrainConfig, steps: int) -> dict[str, torch.Tensor]:
    """The average by its definition, from all weights that there were."""
    trainer, average = Trainer(replace(config, average=0.0)), None
    for t in range(steps):
        trainer.update()
        now = {k: p.detach().double() for k, p in trainer.model.named_parameters()}
        keep = min(DECAY, (t + 1) / (t + 10))
        first = {k: p.detach().double() for k, p in Trainer(config).model.named_parameters()}
        average = average or first
        average = {k: keep * average[k] + (1 - keep) * now[k] for k in now}
    assert average is not None
    return average


def test_the_average_is_as_defined_and_leaves_the_run_alone():
    plain, kept = Trainer(SMALL), Trainer(replace(SMALL, average=DECAY))
    for _ in range(6):
        plain.update()
        kept.update()
    assert kept.average is not None
    for name, value in literal(replace(SMALL, average=DECAY), 6).items():
        torch.testing.assert_close(kept.average.state()[name].double(), value, atol=1e-6, rtol=0)
    for mine, theirs in zip(plain.parameters, kept.parameters, strict=True):
        assert torch.equal(mine, theirs)  # to the bit
    # The average is not the last weights, and not the first.
    assert any(
        not torch.allclose(a, p)
        for a, p in zip(kept.average.state().values(), kept.parameters, strict=True)
    )


def test_a_resumed_run_keeps_the_same_average_to_the_bit(tmp_path, monkeypatch):
    config = replace(SMALL, average=DECAY)
    whole = Trainer(config)
    run = create_run(tmp_path, config, whole)
    train(whole, run)
    half = Trainer(config)
    part = create_run(tmp_path, config, half)
    with monkeypatch.context() as patched:
        stop_after(patched, 13, RuntimeError)
        with pytest.raises(RuntimeError, match="stopped here"):
            train(half, part)
    again = resume_run(part)
    assert again.step == 10 and again.average is not None
    train(again, part)
    assert whole.average is not None
    for name, value in whole.average.state().items():
        assert torch.equal(value, again.average.state()[name])


def test_the_averaged_model_is_logged_measured_and_opens(tmp_path):
    config = replace(SMALL, average=DECAY)
    trainer = Trainer(config)
    run = create_run(tmp_path, config, trainer)
    train(trainer, run)
    last = run_checkpoints(run)[-1]
    opened = load_model(last / "average").model
    assert trainer.average is not None
    for (name, p), mine in zip(
        opened.named_parameters(), trainer.average.model.parameters(), strict=True
    ):
        assert torch.equal(p, mine), name
    rows = read_metrics(run / "metrics.jsonl")
    curves = read_curves(rows)
    assert curves.average.steps == (0, 5, 10, 15) == curves.batch.steps
    held_out = trainer.model.task.held_out(12)
    exact = float(score(opened, held_out).exact.float().mean())
    assert [r["average/exact_match"] for r in rows if "average/exact_match" in r][-1] == exact
    plain = create_run(tmp_path, SMALL, Trainer(SMALL))
    train(Trainer(SMALL), plain)
    assert read_curves(read_metrics(plain / "metrics.jsonl")).average.steps == ()
    assert not (run_checkpoints(plain)[-1] / "average").exists()


@pytest.mark.parametrize("decay", [1.0, -0.1, float("nan")])
def test_a_decay_that_is_none_is_refused(decay):
    with pytest.raises(UserError, match="--average must be at least 0 and below 1"):
        replace(SMALL, average=decay)
