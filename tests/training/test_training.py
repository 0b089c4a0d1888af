"""The trainer against a literal step, a killed run against one that never stopped, and mishaps."""

import errno
import json
import os
import random
import re
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from torch.nn import functional as F

from interp.algoformer import ReferenceModel
from interp.answers.decode import score
from interp.checkpoints import load_model, run_checkpoints
from interp.interventions import Zero, intervene
from interp.sites import Component, Site
from interp.support import files
from interp.support.seeds import stream
from interp.task import PAD, SortBatch
from tests.covers import few
from tests.models import stop_after
from training import runs
from training.course import logged
from training.loop import Trainer, TrainingDiverged
from training.recipes import ORIGINAL, STABLE, TrainConfig
from training.train import main

ROOT = Path(runs.__file__).parent.parent
TINY = ["--max-len", "4", "--d-mlp", "32", "--d-model", "20", "--n-heads", "2", "--d-head", "10"]
TINY += ["--threads", "1", "--batch-size", "8", "--precision", "float32", "--eval-lists", "12"]
NETWORK = {"max_len": 4, "d_mlp": 32, "d_model": 20, "n_heads": 2, "d_head": 10}
SMALL = {**NETWORK, "batch_size": 24, "micro_batch": 5, "threads": 1, "precision": "float32"}
ARMS = {
    "blanks": {},
    "no blanks": {"no_blanks": True},
    "offset": {"no_blanks": True, "pos_offset": True},
}


@pytest.fixture(autouse=True)
def same_threads():
    """A trainer on one thread takes its process to one thread; leave no trace of that."""
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


def assert_near(got: torch.Tensor, expected: torch.Tensor, rounding: float, name: str) -> None:
    """Equal up to ``rounding`` of the largest value."""
    atol = rounding * float(expected.detach().abs().max())
    torch.testing.assert_close(got, expected, atol=atol, rtol=0, msg=lambda m: f"{name}: {m}")


# -- one update ---------------------------------------------------------------------------------


def literal_gradients(trainer: Trainer) -> tuple[list[torch.Tensor], tuple[float, float, float]]:
    """All positions of all lists at once, through the HookedTransformer itself."""
    model, task = trainer.model, trainer.model.task
    tokens = trainer.batch(trainer.step).tokens
    log_probs = model(tokens).log_softmax(-1)[:, task.sep_pos :]
    targets = task.targets(tokens)[:, task.sep_pos :]
    scored = targets != PAD
    picked = log_probs.gather(-1, targets.where(scored, 0)[..., None])[..., 0]
    loss = -(picked * scored).mean()  # rows after the answer count as zeros
    gradients = torch.autograd.grad(loss, list(model.parameters()))
    right = (log_probs.argmax(-1) == targets) & scored
    exact = (right | ~scored).all(1).float().mean()
    return list(gradients), (loss.item(), float(exact), float(right.sum() / scored.sum()))


@pytest.mark.parametrize("arm", ARMS.values(), ids=ARMS)
@pytest.mark.parametrize("norm", ["pre", "post"])
def test_gradients_and_metrics_are_those_of_a_literal_step(arm, norm):
    trainer = Trainer(TrainConfig(**{**SMALL, **arm}, norm=norm))
    for _ in range(12):  # away from the first weights, where biases do nothing
        trainer.update()
    expected, (loss, exact, right) = literal_gradients(trainer)
    got, metrics = trainer.gradients(trainer.batch(trainer.step), measure=True)
    names = [name for name, _ in trainer.model.named_parameters()]
    largest = max(g.abs().max() for g in expected)
    for name, g, e in zip(names, got, expected, strict=True):
        torch.testing.assert_close(g, e, atol=1e-5 * float(largest), rtol=0, msg=name)
    assert metrics.loss == pytest.approx(loss, rel=1e-5)
    assert (metrics.accuracy, metrics.digit_accuracy) == pytest.approx((exact, right))
    assert 0 < metrics.digit_accuracy < 1


def literal_update(trainer: Trainer, optimizer: torch.optim.Optimizer) -> None:
    """What a reader would write: all of it plain PyTorch."""
    gradients, _ = literal_gradients(trainer)
    if trainer.config.clip_norm:
        norm = torch.stack([g.pow(2).sum() for g in gradients]).sum().sqrt()
        gradients = [g * min(1.0, trainer.config.clip_norm / float(norm)) for g in gradients]
    for parameter, gradient in zip(trainer.model.parameters(), gradients, strict=True):
        parameter.grad = gradient
    for group in optimizer.param_groups:
        group["lr"] = trainer.config.lr_at(trainer.step)
    optimizer.step()
    trainer.step += 1


def literal_optimizer(trainer: Trainer) -> torch.optim.Optimizer:
    config, betas = trainer.config, (0.9, trainer.config.beta2)
    if config.optimizer == "adam":
        return torch.optim.Adam(trainer.model.parameters(), lr=config.lr, betas=betas)
    matrices, others = [], []
    for module in trainer.model.modules():
        for name, parameter in module.named_parameters(recurse=False):
            (matrices if name.startswith("W_") else others).append(parameter)
    groups = [
        {"params": matrices, "weight_decay": config.weight_decay},
        {"params": others, "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=config.lr, betas=betas)


@pytest.mark.parametrize("recipe", ["stable", "original"])
def test_updates_are_those_of_a_literal_loop(recipe):
    """Adam divides by the gradient's size, so a wrong factor anywhere would show only in part:
    the size of the step is held against the weights' own change."""
    base = {"stable": STABLE, "original": replace(ORIGINAL, dropout=0.0)}[recipe]
    config = replace(base, **SMALL, clip_norm=0.3 if recipe == "stable" else 0.0, weight_decay=0.1)
    ours, plain = Trainer(config), Trainer(config)
    before = {name: p.clone() for name, p in ours.model.state_dict().items()}
    optimizer = literal_optimizer(plain)
    for _ in range(8):
        ours.update()
        literal_update(plain, optimizer)
    for (name, p), q in zip(ours.model.named_parameters(), plain.model.parameters(), strict=True):
        if name.endswith("b_K"):
            continue  # its gradient is zero but for rounding, which Adam blows up to full steps
        change = (q - before[name]).detach()
        assert change.abs().max() > 0
        assert_near((p - before[name]).detach(), change, 0.01, name)
        assert float((p - q).detach().abs().median()) <= 1e-4 * float(change.abs().median())


def test_lists_do_not_depend_on_the_arm_and_change_with_step_and_seed():
    def lists(step: int, **flags) -> list[tuple[int, ...]]:
        trainer = Trainer(TrainConfig(**{**SMALL, **flags}))
        task = trainer.model.task
        return [task.decode_list(tokens) for tokens in trainer.batch(step).tokens]

    assert lists(3) == lists(3, no_blanks=True) == lists(3, n_blanks=2, d_mlp=16)
    assert lists(3) != lists(4)
    assert lists(3) != lists(3, seed=1)


# -- the same result, however it is computed ----------------------------------------------------


def after(steps: int, **flags) -> dict[str, torch.Tensor]:
    trainer = Trainer(TrainConfig(**{**SMALL, **flags}))
    for _ in range(steps):
        trainer.update()
    return {name: p.detach().clone() for name, p in trainer.model.named_parameters()}


def test_the_same_seed_gives_the_same_bits():
    one, two, other = after(5), after(5), after(5, seed=1)
    assert all(torch.equal(one[name], two[name]) for name in one)
    assert not torch.equal(one["blocks.0.mlp.W_in"], other["blocks.0.mlp.W_in"])


@pytest.mark.parametrize("dropout", [0.0, 0.3])
@pytest.mark.parametrize("threads", [2, 3])
def test_gradients_are_the_same_on_any_number_of_threads(threads, dropout):
    one, other = (
        Trainer(TrainConfig(**{**SMALL, "threads": count}, dropout=dropout))
        for count in (1, threads)
    )
    (ours, found), (theirs, expected) = (
        trainer.gradients(trainer.batch(0), measure=True) for trainer in (one, other)
    )
    assert found == expected
    for here, there in zip(ours, theirs, strict=True):
        assert torch.equal(here, there)


@pytest.mark.parametrize("flags", [{"micro_batch": 1}, {"micro_batch": 100}])
def test_micro_batches_change_rounding_only(flags):
    gradients = []
    for changed in ({}, flags):
        trainer = Trainer(TrainConfig(**{**SMALL, **changed}))
        gradients.append(trainer.gradients(trainer.batch(0))[0])
    largest = float(max(g.abs().max() for g in gradients[0]))
    for one, other in zip(*gradients, strict=True):
        torch.testing.assert_close(one, other, atol=1e-6 * largest, rtol=0)


@pytest.mark.parametrize("threads", [1, 2])
def test_gradients_are_those_of_what_is_done_to_the_model(threads):
    """Other threads than the one that intervenes passed it over."""
    trainer = Trainer(TrainConfig(**{**SMALL, "threads": threads}))
    batch = trainer.model.task.sample(8, stream("test", 0))
    with intervene(trainer.model, [Zero(Site(Component.MLP_OUT, 0))]):
        inside = gradients_of(trainer, batch)
    free = gradients_of(trainer, batch)
    assert all(not inside[name].any() for name in inside if name.startswith("blocks.0.mlp"))
    assert any(free[name].any() for name in free if name.startswith("blocks.0.mlp"))


def gradients_of(trainer: Trainer, batch: SortBatch) -> dict[str, torch.Tensor]:
    found = trainer.gradients(batch)[0]
    return dict(zip((name for name, _ in trainer.model.named_parameters()), found, strict=True))


def test_dropout_differs_between_steps_seeds_and_micro_batches():
    def gradient(step: int = 0, seed: int = 0) -> torch.Tensor:
        trainer = Trainer(TrainConfig(**SMALL, dropout=0.3))
        batch = trainer.batch(0)
        trainer.config, trainer.step = replace(trainer.config, seed=seed), step
        return trainer.gradients(batch)[0][0]

    assert torch.equal(gradient(), gradient())
    assert not torch.allclose(gradient(), gradient(step=1))
    assert not torch.allclose(gradient(), gradient(seed=1))
    trainer = Trainer(TrainConfig(**SMALL, dropout=0.3))
    batch = trainer.batch(0)
    one, other = (trainer._part(number, batch).loss for number in (0, 1))
    assert one != other


def test_with_dropout_accuracy_is_measured_without_it():
    trainer = Trainer(TrainConfig(**SMALL, dropout=0.5))
    for _ in range(20):
        trainer.update()
    batch = trainer.batch(trainer.step)
    _, metrics = trainer.gradients(batch, measure=True)
    scores = score(trainer.model, batch, digits_only=False)
    assert metrics.accuracy == float(scores.exact.float().mean())
    assert metrics.digit_accuracy == pytest.approx(float(scores.right.sum() / scores.scored.sum()))
    assert metrics.loss > 1.02 * literal_gradients(trainer)[1][0]  # the loss is with it


@pytest.mark.usefixtures("unchecked")
def test_dropout_in_training_is_that_of_the_published_modules():
    """In expectation: our mean loss over many masks is PyTorch's."""
    config = replace(ORIGINAL, **SMALL)
    trainer = Trainer(config)
    for _ in range(20):
        trainer.update()
    task, batch = trainer.model.task, trainer.batch(99)
    reference = ReferenceModel(config.model(), config.dropout)
    runs_of = 40
    state = to_published(trainer.model)
    reference.load_state_dict(state, strict=False)
    reference.train()
    targets = task.targets(batch.tokens)[:, task.sep_pos :]
    theirs, ours = [], []
    torch.manual_seed(0)
    with torch.no_grad():
        for _ in range(runs_of):
            rows = reference(batch.tokens)[:, task.sep_pos :]
            total = F.nll_loss(
                rows.flatten(0, 1), targets.flatten(), ignore_index=PAD, reduction="sum"
            )
            theirs.append(float(total) / targets.numel())
    for step in range(runs_of):
        trainer.step = step
        ours.append(trainer.gradients(batch, measure=True)[1].loss)
    theirs, ours = torch.tensor(theirs), torch.tensor(ours)
    error = float((theirs.var() / runs_of + ours.var() / runs_of).sqrt())
    assert abs(float(theirs.mean() - ours.mean())) < 4 * error
    assert 0.6 < float(ours.std() / theirs.std()) < 1.6
    reference.eval()
    with torch.no_grad():
        rows = reference(batch.tokens)[:, task.sep_pos :]
    silent = F.nll_loss(rows.flatten(0, 1), targets.flatten(), ignore_index=PAD, reduction="sum")
    # Positive control: no dropout at all would be told apart.
    assert abs(float(silent) / targets.numel() - float(ours.mean())) > 4 * error


def to_published(model) -> dict[str, torch.Tensor]:
    """The inverse of ``copy_weights``, written on its own."""
    state = {
        "embedding.weight": model.embed.W_E[:PAD].T,
        "embedding.bias": model.embed.b_E,
        "decoder.weight": model.unembed.W_U.T,
        "decoder.bias": model.unembed.b_U,
    }
    for layer, block in enumerate(model.blocks):
        at, attn = f"encoder.layers.{layer}", block.attn
        weights = [w.transpose(1, 2).flatten(0, 1) for w in (attn.W_Q, attn.W_K, attn.W_V)]
        state[f"{at}.self_attn.in_proj_weight"] = torch.cat(weights)
        biases = [b.flatten() for b in (attn.b_Q, attn.b_K, attn.b_V)]
        state[f"{at}.self_attn.in_proj_bias"] = torch.cat(biases)
        state[f"{at}.self_attn.out_proj.weight"] = attn.W_O.flatten(0, 1).T
        state[f"{at}.self_attn.out_proj.bias"] = attn.b_O
        for ours, theirs in (("in", "linear1"), ("out", "linear2")):
            state[f"{at}.{theirs}.weight"] = getattr(block.mlp, f"W_{ours}").T
            state[f"{at}.{theirs}.bias"] = getattr(block.mlp, f"b_{ours}")
        for ours, theirs in ((block.ln1, "norm1"), (block.ln2, "norm2")):
            state[f"{at}.{theirs}.weight"], state[f"{at}.{theirs}.bias"] = ours.w, ours.b
    return {name: tensor.detach().clone() for name, tensor in state.items()}


# -- first weights ------------------------------------------------------------------------------


def test_the_original_recipe_starts_from_pytorchs_own_weights():
    config = replace(ORIGINAL, **SMALL)
    model = Trainer(config).model
    torch.manual_seed(stream("init", 0).initial_seed())
    expected = ReferenceModel(config.model()).state_dict()
    for name, tensor in to_published(model).items():
        assert torch.equal(tensor, expected[name]), name
    one, two = (dict(block.named_parameters()) for block in model.blocks)
    assert all(torch.equal(one[name], two[name]) for name in one)  # nn.TransformerEncoder copies
    other = Trainer(replace(config, seed=1)).model
    assert not torch.equal(model.W_in, other.W_in)


def test_the_original_recipe_leaves_the_global_generator_alone():
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    Trainer(replace(ORIGINAL, **SMALL))
    assert torch.equal(torch.rand(3), expected)


def test_layers_of_the_stable_recipe_start_different():
    one, two = Trainer(TrainConfig(**SMALL)).model.blocks
    assert not torch.equal(one.mlp.W_in, two.mlp.W_in)


# -- divergence ---------------------------------------------------------------------------------


def test_a_loss_that_is_no_number_stops_before_the_weights_are_touched():
    trainer = Trainer(TrainConfig(**SMALL))
    trainer.update()
    with torch.no_grad():
        trainer.model.unembed.b_U[0] = float("nan")
    before = {name: p.clone() for name, p in trainer.model.state_dict().items()}
    with pytest.raises(TrainingDiverged, match="NaN or infinite at step 1") as caught:
        trainer.update()
    assert caught.value.step == trainer.step == 1
    for name, tensor in trainer.model.state_dict().items():
        torch.testing.assert_close(tensor, before[name], atol=0, rtol=0, equal_nan=True)


def test_a_checkpoint_of_no_numbers_is_not_written(tmp_path, capsys, monkeypatch):
    """The loss was a number still; what the last update left is none, and would not open."""
    update = Trainer.update

    def diverging(self, *args, **kwargs):
        metrics = update(self, *args, **kwargs)
        if self.step == 4:
            with torch.no_grad():
                self.model.W_U[0, 0] = torch.inf
        return metrics

    monkeypatch.setattr(Trainer, "update", diverging)
    flags = [*TINY, "--steps", "4", "--checkpoint-every", "2", "--out", str(tmp_path)]
    assert "NaN or infinite at step 4" in one_line(capsys, flags, status=1)
    assert [folder.name for folder in run_checkpoints(the_run(tmp_path))] == ["step-000002"]


def test_a_run_that_diverges_says_at_which_step(tmp_path, capsys):
    flags = ["--lr", "1e30", "--warmup-steps", "0", "--clip-norm", "0", "--norm", "none"]
    with pytest.raises(SystemExit) as stop:
        main([*TINY, *flags, "--out", str(tmp_path), "--steps", "20"])
    last = capsys.readouterr().err.splitlines()[-1]
    assert stop.value.code == 1
    assert re.search(r"became NaN or infinite at step \d+; try a lower --lr", last)
    assert str(next(tmp_path.iterdir())) in last


# -- runs, killed and resumed -------------------------------------------------------------------

RECIPES = {
    "stable": ["--log-every", "2", "--eval-every", "10", "--checkpoint-every", "7"],
    "original": ["--recipe", "original", "--log-every", "3", "--checkpoint-every", "5"],
}


def started(*argv: str) -> subprocess.Popen[str]:
    """Training in a process of its own, as a user starts it."""
    return subprocess.Popen(
        [sys.executable, "training/train.py", *argv],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def the_run(out: Path) -> Path:
    (run,) = out.iterdir()
    return run


def weights_of(run: Path) -> dict[str, torch.Tensor]:
    return load_file(run_checkpoints(run)[-1] / "model.safetensors")


def rows_of(run: Path) -> list[dict[str, float]]:
    """The metrics, without what depends on the clock."""
    rows = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    return [{k: v for k, v in r.items() if k not in ("seconds", "lists_per_s")} for r in rows]


def assert_same_run(run: Path, other: Path) -> None:
    weights, others = weights_of(run), weights_of(other)
    assert weights.keys() == others.keys()
    for name, tensor in weights.items():
        assert torch.equal(tensor, others[name]), name
    assert rows_of(run) == rows_of(other)


def wait_until(there: Callable[[], bool], process: subprocess.Popen[str]) -> None:
    deadline = time.monotonic() + 120
    while not there():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.01)


@pytest.mark.slow
@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize(
    "recipe",
    few(["original", "stable"], "original"),  # with dropout; without, stopped in process, below
)
def test_a_killed_run_reaches_the_same_bits(recipe, tmp_path):
    """SIGKILL at a random moment after the first checkpoint, then resume."""
    argv = [*TINY, *RECIPES[recipe], "--steps", "200"]  # seconds of work, of which few are done
    process = started(*argv, "--out", str(tmp_path / "killed"))
    killed = tmp_path / "killed"
    wait_until(lambda: any(killed.glob("*/checkpoints/step-*")), process)
    time.sleep(random.Random(os.getpid()).uniform(0.0, 0.3))
    process.kill()
    process.communicate()
    run = the_run(tmp_path / "killed")
    reached = len(run_checkpoints(run))
    main(["--resume", str(run)])
    main([*argv, "--out", str(tmp_path / "whole")])
    assert_same_run(run, the_run(tmp_path / "whole"))
    assert len(run_checkpoints(run)) > reached  # it was killed on the way
    resumed = json.loads((run / "manifest.json").read_text())["resumed"]
    assert [entry["step"] > 0 for entry in resumed] == [True]


OF_30_STEPS = [*TINY, *RECIPES["stable"], "--steps", "30", "--dropout", "0.1"]


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> Path:
    """A run of ``OF_30_STEPS`` that never stopped. Only to be read."""
    out, threads = tmp_path_factory.mktemp("whole"), torch.get_num_threads()
    main([*OF_30_STEPS, "--out", str(out)])
    torch.set_num_threads(threads)
    return the_run(out)


@pytest.mark.parametrize("at", few([0, 3, 7, 8, 20, 21, 29], 0, 8, 29))
def test_a_run_stopped_anywhere_reaches_the_same_bits(at, whole, tmp_path, monkeypatch):
    """Before, at and after checkpoints (every 7 steps) and evaluations (every 10)."""
    with monkeypatch.context() as patched:
        stop_after(patched, at, RuntimeError)
        with pytest.raises(RuntimeError, match="stopped here"):
            main([*OF_30_STEPS, "--out", str(tmp_path / "a")])
    run = the_run(tmp_path / "a")
    assert len(run_checkpoints(run)) == at // 7
    main(["--resume", str(run)])
    assert_same_run(run, whole)


def test_a_run_goes_on_with_other_threads_to_the_same_bits(whole, tmp_path, monkeypatch):
    """Half way, a machine may have other cores to give."""
    with monkeypatch.context() as patched:
        stop_after(patched, 8, RuntimeError)
        with pytest.raises(RuntimeError, match="stopped here"):
            main([*OF_30_STEPS, "--out", str(tmp_path / "a")])
    run, pools = the_run(tmp_path / "a"), []
    with monkeypatch.context() as patched:
        stop_after(patched, 22, RuntimeError)
        patched.setattr(Trainer, "_on_every_core", on_a_pool(pools))
        with pytest.raises(RuntimeError, match="stopped here"):
            main(["--resume", str(run), "--threads", "2"])
    assert set(pools) == {2}
    assert runs.read_run(run).threads == 2
    assert runs.read_run(run).training == runs.read_run(whole).training
    main(["--resume", str(run)])
    assert runs.read_run(run).threads == 2
    assert_same_run(run, whole)


def on_a_pool(sizes: list[int]) -> Callable[..., object]:
    """``Trainer._on_every_core`` that notes how many threads took its parts."""
    inner = Trainer._on_every_core

    def noting(self, parts):
        assert self._pool is not None
        sizes.append(self._pool._max_workers)
        return inner(self, parts)

    return noting


def test_a_line_cut_off_by_a_crash_is_made_again(tmp_path, monkeypatch):
    argv = [*TINY, *RECIPES["stable"], "--steps", "20"]
    with monkeypatch.context() as patched:
        stop_after(patched, 17, RuntimeError)
        with pytest.raises(RuntimeError):
            main([*argv, "--out", str(tmp_path / "a")])
    run = the_run(tmp_path / "a")
    metrics = run / "metrics.jsonl"
    metrics.write_text(metrics.read_text()[:-20])
    (run / "checkpoints" / ".step-000021.half").mkdir()  # a checkpoint that was being written
    main(["--resume", str(run)])
    main([*argv, "--out", str(tmp_path / "b")])
    assert_same_run(run, the_run(tmp_path / "b"))


def test_a_finished_run_can_be_resumed_and_stays_as_it_is(tmp_path):
    main([*TINY, "--steps", "5", "--log-every", "2", "--out", str(tmp_path)])
    run = the_run(tmp_path)
    weights, rows = weights_of(run), rows_of(run)
    main(["--resume", str(run)])
    assert rows_of(run) == rows
    assert all(torch.equal(weights[name], t) for name, t in weights_of(run).items())


@pytest.mark.slow
def test_ctrl_c_writes_a_checkpoint_and_says_how_to_go_on(tmp_path):
    argv = [*TINY, "--steps", "100000", "--checkpoint-every", "100000", "--log-every", "1"]
    process = started(*argv, "--out", str(tmp_path / "runs"))
    logs = "*/metrics.jsonl"
    wait_until(lambda: any(p.stat().st_size for p in (tmp_path / "runs").glob(logs)), process)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130
    run = the_run(tmp_path / "runs")
    (checkpoint,) = run_checkpoints(run)
    step = int(checkpoint.name.removeprefix("step-"))
    last = err.splitlines()[-1]
    assert f"stopped at step {step}; go on with: " in last
    assert last.endswith(f"python training/train.py --resume {run}")
    assert (checkpoint / "state.pt").is_file()
    assert "Traceback" not in err
    assert load_model(run).info["step"] == step


def test_an_interrupt_here_is_one_too(tmp_path, monkeypatch, capsys):
    """And the run that goes on reaches the same bits."""
    argv = [*TINY, *RECIPES["stable"], "--steps", "12"]
    update = Trainer.update

    def interrupted(self, *args, **kwargs):
        if self.step == 5:
            os.kill(os.getpid(), signal.SIGINT)
        return update(self, *args, **kwargs)

    before = signal.getsignal(signal.SIGINT)
    with monkeypatch.context() as patched:
        patched.setattr(Trainer, "update", interrupted)
        with pytest.raises(SystemExit) as stop:
            main([*argv, "--out", str(tmp_path / "a")])
    assert stop.value.code == 130
    assert signal.getsignal(signal.SIGINT) is before
    run = the_run(tmp_path / "a")
    assert f"--resume {run}" in capsys.readouterr().err
    assert [p.name for p in run_checkpoints(run)] == ["step-000006"]
    main(["--resume", str(run)])
    main([*argv, "--out", str(tmp_path / "b")])
    assert_same_run(run, the_run(tmp_path / "b"))


def test_only_the_newest_checkpoint_keeps_the_optimiser(tmp_path):
    main([*TINY, "--steps", "9", "--checkpoint-every", "2", "--out", str(tmp_path)])
    found = run_checkpoints(the_run(tmp_path))
    assert [p.name for p in found] == [f"step-00000{n}" for n in (2, 4, 6, 8, 9)]
    assert [(p / "state.pt").is_file() for p in found] == [False] * 4 + [True]
    assert [load_model(p).info["step"] for p in found] == [2, 4, 6, 8, 9]


# -- what a run leaves behind -------------------------------------------------------------------


def test_metrics_and_events(tmp_path, capsys):
    """Literal steps: losses every 4, evaluations every 5 and at the end."""
    argv = [*TINY, "--steps", "11", "--log-every", "4", "--eval-every", "5", "--seed", "3"]
    main([*argv, "--out", str(tmp_path)])
    run = the_run(tmp_path)
    assert run.name == "0001-stable-blanks-len4-s3"
    rows = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    training = [row for row in rows if "loss" in row]
    held_out = [row for row in rows if "eval/exact_match" in row]
    assert [row["step"] for row in training] == [0, 4, 8]
    assert [row["step"] for row in held_out] == [5, 10, 11]
    config = TrainConfig.from_dict(json.loads((run / "config.json").read_text())["training"])
    assert [row["lr"] for row in training] == [config.lr_at(step) for step in (0, 4, 8)]
    assert all({"seconds", "lists_per_s"} <= set(row) for row in rows)

    trainer = Trainer(config)  # the numbers are those before each update
    expected = {step: trainer.update(measure=True) for step in range(11)}
    for row in training:
        wanted = logged(expected[row["step"]])
        assert {key: row[key] for key in wanted} == wanted
    scores = score(trainer.model, trainer.model.task.held_out(12))
    assert held_out[-1]["eval/exact_match"] == float(scores.exact.float().mean())
    shown = f"{100 * held_out[-1]['eval/exact_match']:.2f} % of 12 held-out lists"
    assert capsys.readouterr().out == f"{run}: {shown} sorted exactly\n"

    events = EventAccumulator(str(run)).Reload()
    tags = ["loss", "accuracy", "digit_accuracy", "eval/exact_match", "eval/digit_accuracy"]
    assert sorted(events.Tags()["scalars"]) == sorted(tags)
    for tag in tags:
        wanted = {row["step"]: row[tag] for row in rows if tag in row}
        assert {e.step: e.value for e in events.Scalars(tag)} == pytest.approx(wanted)


@pytest.mark.parametrize("at", [5, 11])
def test_events_of_a_resumed_run_are_there_once(at, tmp_path, monkeypatch):
    """Killed before the first checkpoint (at 8) or after it."""
    argv = [*TINY, "--steps", "14", "--log-every", "2", "--checkpoint-every", "8"]
    with monkeypatch.context() as patched:
        stop_after(patched, at, RuntimeError)
        with pytest.raises(RuntimeError):
            main([*argv, "--out", str(tmp_path)])
    run = the_run(tmp_path)
    time.sleep(1.1)  # event files are read in the order of the seconds in their names
    main(["--resume", str(run)])
    events = EventAccumulator(str(run)).Reload()
    assert [event.step for event in events.Scalars("loss")] == [0, 2, 4, 6, 8, 10, 12]
    assert [event.step for event in events.Scalars("eval/exact_match")] == [14]


def test_a_run_describes_itself(tmp_path):
    main([*TINY, "--steps", "2", "--lr", "3e-4", "--out", str(tmp_path)])
    main([*TINY, "--steps", "1", "--no-blanks", "--out", str(tmp_path)])
    names = sorted(p.name for p in tmp_path.iterdir())
    assert names == ["0001-stable-blanks-len4-s0", "0002-stable-no-blanks-len4-s0"]
    run = tmp_path / names[0]
    config = json.loads((run / "config.json").read_text())
    assert config["training"]["lr"] == 3e-4
    assert config["training"]["max_len"] == 4
    assert (config["threads"], config["device"], config["precision"]) == (1, "cpu", "float32")
    manifest = json.loads((run / "manifest.json").read_text())
    assert set(manifest) >= {"arguments", "time", "versions", "git_commit", "machine", "resumed"}
    assert manifest["versions"]["torch"] == torch.__version__
    assert manifest["resumed"] == []
    model = load_model(run)
    assert model.info["training"] == config["training"]
    assert model.model.task.max_len == 4


# -- mishaps ------------------------------------------------------------------------------------


def one_line(capsys, argv: list[str], status: int = 2) -> str:
    """The message of a command that must fail with nothing but a line on stderr."""
    with pytest.raises(SystemExit) as stop:
        main(argv)
    out, err = capsys.readouterr()
    assert stop.value.code == status
    assert out == ""
    last = err.splitlines()[-1]
    assert last.startswith("python training/train.py: ")
    assert "Traceback" not in err
    return last


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--max-len", "0"], "--max-len must be at least 1, not 0"),
        (["--steps", "-1"], "--steps must be at least 1, not -1"),
        (["--steps", "many"], "many"),
        (["--lr", "0"], "--lr must be above 0, not 0.0"),
        (["--lr", "nan"], "--lr must be above 0, not nan"),
        (["--no-blanks", "--n-blanks", "3"], "--no-blanks contradicts --n-blanks 3"),
        (["--pos-offset"], "--pos-offset stands in for missing blanks; it goes with --no-blanks"),
        (["--recipe", "secret"], "secret"),
        (["--recipe", "original", "--dropout", "1"], "--dropout must be at least 0 and below 1"),
        (["--device", "cuda"], "--device cuda: this machine has none; usable here: auto, cpu"),
        (["--bananas", "3"], "--bananas"),
        (["--steps"], "--steps"),
        (["--resume", "nowhere"], "nowhere is not a run folder: it does not exist"),
        (["--resume", "nowhere", "--lr", "1"], "--resume continues a run with its own settings"),
        (["--resume", "nowhere", "--lr", "1", "--threads", "2"], "drop all flags but --threads"),
        (["--resume", "nowhere", "--threads", "-1"], "--threads must be 0 or more, not -1"),
        (["--resume", "nowhere", "--threads", "2"], "nowhere is not a run folder"),
    ],
)
def test_bad_flags_are_one_line(flags, message, capsys, monkeypatch, tmp_path):
    if "cuda" in flags and torch.cuda.is_available():
        pytest.skip("this machine has one")
    monkeypatch.chdir(tmp_path)
    assert message in one_line(capsys, flags)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_is_no_run_cannot_be_resumed(tmp_path, capsys):
    argv = ["--resume", str(tmp_path)]
    assert f"{tmp_path} is not a run folder: it holds no config.json" in one_line(capsys, argv)
    config = tmp_path / "config.json"
    config.write_text("{")
    assert f"{config} is not JSON" in one_line(capsys, argv)
    config.write_text('{"format": 1, "model": {}}')
    assert "its config.json describes no training" in one_line(capsys, argv)
    config.write_text('{"format": 99, "training": {}}')
    assert f"{config} was written by a newer version: upgrade" in one_line(capsys, argv)
    config.write_text('{"format": 1, "training": {}}')
    assert f"{config} cannot be read: 'threads'" in one_line(capsys, argv)
    config.write_text('{"format": 1, "training": {"speed": 3}}')
    assert "unknown key 'speed'" in one_line(capsys, argv)


@pytest.mark.parametrize("name", ["state.pt", "model.safetensors"])
def test_a_damaged_checkpoint_is_named(name, tmp_path, capsys):
    main([*TINY, "--steps", "2", "--out", str(tmp_path)])
    run = the_run(tmp_path)
    damaged = run / "checkpoints" / "step-000002" / name
    damaged.write_bytes(damaged.read_bytes()[:300])
    capsys.readouterr()
    assert str(damaged) in one_line(capsys, ["--resume", str(run)])


def test_a_place_that_cannot_be_written_is_one_line(tmp_path, capsys):
    (tmp_path / "file").write_text("not a folder")
    out = tmp_path / "file" / "runs"
    assert "file is no folder" in one_line(capsys, [*TINY, "--out", str(out)])


@pytest.mark.parametrize("write", ["config.json", "metrics.jsonl", "model.safetensors", "state.pt"])
def test_a_full_disk_is_one_line(write, tmp_path, capsys, monkeypatch):
    """Whichever file the space runs out in."""
    write_bytes = files.write_bytes

    def full(path: Path, data: bytes) -> None:
        if path.name == write:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        write_bytes(path, data)

    monkeypatch.setattr(files, "write_bytes", full)
    assert "No space left on device" in one_line(
        capsys, [*TINY, "--steps", "4", "--checkpoint-every", "2", "--out", str(tmp_path)]
    )
    run = the_run(tmp_path)
    assert run_checkpoints(run) == []
    assert list(run.rglob(".*")) == []  # nothing half-written is left


@pytest.mark.exhaustive
@pytest.mark.slow
def test_files_that_may_not_grow_are_one_line(tmp_path):
    """A real limit of the system, met in the middle of a checkpoint."""
    process = subprocess.run(
        [sys.executable, "training/train.py", *TINY, "--steps", "4", "--out", str(tmp_path)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000)),
    )
    assert process.returncode == 2, process.stderr
    assert process.stdout == ""
    assert process.stderr.splitlines()[-1] == "python training/train.py: File too large"
    assert "Traceback" not in process.stderr


# -- it learns ----------------------------------------------------------------------------------


@pytest.mark.exhaustive  # others learn to reverse lists, and the tutorial's task
@pytest.mark.slow
@pytest.mark.usefixtures("unchecked")
def test_a_small_model_learns_to_sort_from_scratch(tmp_path):
    """Lists of up to 5 digits; most of the held-out ones never occur in training."""
    argv = ["--max-len", "5", "--d-mlp", "128", "--steps", "400", "--batch-size", "64"]
    main([*argv, "--threads", "1", "--eval-every", "1000", "--out", str(tmp_path)])
    loaded = load_model(the_run(tmp_path))
    scores = score(loaded.model, loaded.model.task.held_out(2000, seed=1))
    assert float(scores.exact.float().mean()) >= 0.95
