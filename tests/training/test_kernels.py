"""Which kernels compute a run, how they come to be there, and what if they cannot."""

import json
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from interp.checkpoints import read_weights, run_checkpoints
from interp.passes import kernels
from interp.passes.kernels import pick_kernel
from interp.support.errors import UserError
from training.loop import Trainer, TrainingDiverged
from training.recipes import ORIGINAL, STABLE, TrainConfig
from training.runs import read_run
from training.train import main

TINY = ["--max-len", "4", "--d-mlp", "32", "--d-model", "20", "--n-heads", "2", "--d-head", "10"]
TINY += ["--threads", "1", "--batch-size", "8", "--micro-batch", "3", "--eval-lists", "12"]
TINY += ["--precision", "float32", "--dropout", "0.2", "--checkpoint-every", "2"]
CPU = torch.device("cpu")

needs_kernels = pytest.mark.skipif(
    kernels.missing() is not None, reason=f"no native kernels: {kernels.missing()}"
)


@pytest.fixture(autouse=True)
def same_threads():
    """A trainer on one thread takes its process to one thread; leave no trace of that."""
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


@pytest.fixture
def none_here(monkeypatch):
    """A machine on which nothing was built and nothing can be."""
    monkeypatch.setattr(kernels, "_tried", [])
    monkeypatch.setenv("TORCH_EXTENSIONS_DIR", "/dev/null/nowhere")


def the_run(out: Path) -> Path:
    (run,) = out.iterdir()
    return run


def last_weights(run: Path) -> dict[str, torch.Tensor]:
    return read_weights(run_checkpoints(run)[-1])


# -- the choice ---------------------------------------------------------------------------------


@needs_kernels
def test_auto_is_native_for_long_runs_on_a_cpu():
    assert pick_kernel("auto", CPU, pays=True)[0] == "native"
    assert pick_kernel("auto", CPU, pays=False)[0] == "plain"
    assert pick_kernel("native", CPU, pays=False)[0] == "native"
    assert pick_kernel("plain", CPU, pays=True)[0] == "plain"
    assert pick_kernel("auto", torch.device("cuda"), pays=True)[0] == "plain"
    with pytest.raises(UserError, match="for a CPU, not for cuda"):
        pick_kernel("native", torch.device("cuda"), pays=True)


def test_the_recipes_at_full_length_pay_and_small_ones_do_not():
    from training.loop import _pays

    assert _pays(ORIGINAL)
    assert _pays(STABLE)
    assert not _pays(TrainConfig(max_len=10, steps=600))  # the README's: a few minutes
    assert not _pays(TrainConfig(max_len=4, d_mlp=32, steps=10))


@pytest.mark.parametrize(
    ("compiler", "words"),
    [
        ("no-such-compiler", "there is no C++ compiler no-such-compiler"),
        (sys.executable, "could not build them"),  # it runs, and complains
        ("c++", "/dev/null"),  # nowhere to put them
    ],
)
def test_a_machine_without_is_told_why(compiler, words, none_here, monkeypatch, tmp_path):
    monkeypatch.setenv("CXX", compiler)
    if compiler == "c++":
        monkeypatch.setattr(kernels.shutil, "which", lambda name: name)
    else:
        monkeypatch.setenv("TORCH_EXTENSIONS_DIR", str(tmp_path))
    name, said = pick_kernel("auto", CPU, pays=True)
    assert name == "plain"
    assert "no native ones: " in said
    assert words in said
    assert "\n" not in said
    with pytest.raises(UserError, match="--kernel native: "):
        pick_kernel("native", CPU, pays=True)


def test_a_build_that_fails_leaves_nothing_and_says_so(none_here, monkeypatch, tmp_path):
    monkeypatch.setenv("TORCH_EXTENSIONS_DIR", str(tmp_path))

    def build(folder: Path) -> Path:
        (folder / "kernels.o").write_bytes(b"half")
        raise OSError("no space left\n")

    monkeypatch.setattr(kernels, "_build", build)
    monkeypatch.setattr(kernels.shutil, "which", lambda name: name)
    assert kernels.missing() == "they could not be built: no space left"
    assert list((tmp_path / "sortscope").iterdir()) == []


def test_what_is_compiled_depends_on_sources_flags_and_machine(monkeypatch, tmp_path):
    monkeypatch.setenv("TORCH_EXTENSIONS_DIR", str(tmp_path))
    names = {kernels._cached()}
    assert names == {kernels._cached()}
    monkeypatch.setattr(kernels, "_processor", lambda: "another")
    names.add(kernels._cached())
    monkeypatch.setattr(kernels, "_FLAGS", ("-O0",))
    names.add(kernels._cached())
    monkeypatch.setenv("CXX", "clang++")
    names.add(kernels._cached())
    assert len(names) == 4
    assert all(tmp_path in name.parents for name in names)


# -- runs ---------------------------------------------------------------------------------------


@needs_kernels
def test_a_native_run_records_it_and_is_resumed_to_the_bit(tmp_path):
    argv = [*TINY, "--steps", "5", "--kernel", "native"]
    main([*argv, "--out", str(tmp_path / "whole")])
    whole = the_run(tmp_path / "whole")
    assert json.loads((whole / "config.json").read_text())["kernel"] == "native"
    assert read_run(whole).kernel == "native"

    class Killed(BaseException):
        pass

    def kill(trainer: Trainer, measure: bool = False):
        if trainer.step == 3:
            raise Killed
        return update(trainer, measure)

    update = Trainer.update
    with pytest.MonkeyPatch.context() as patch, pytest.raises(Killed):
        patch.setattr(Trainer, "update", kill)
        main([*argv, "--out", str(tmp_path / "cut")])
    cut = the_run(tmp_path / "cut")
    main(["--resume", str(cut)])
    for name, expected in last_weights(whole).items():
        assert torch.equal(last_weights(cut)[name], expected), name


@needs_kernels
def test_a_run_goes_on_with_the_kernels_it_has_had(tmp_path, monkeypatch, capsys):
    """A plain one stays plain, also one from before there were others; a native one is refused
    where there are none, rather than go on with other bits."""
    for kernel in ("plain", "native"):
        out = tmp_path / kernel
        main([*TINY, "--steps", "4", "--kernel", kernel, "--out", str(out)])
    plain = the_run(tmp_path / "plain")
    for path in plain.rglob("config.json"):
        config = json.loads(path.read_text())
        config.pop("kernel", None)
        del config["training"]["kernel"]
        path.write_text(json.dumps(config))
    monkeypatch.setattr("training.loop._pays", lambda config: True)
    assert read_run(plain).as_computed().kernel == "plain"
    main(["--resume", str(plain)])
    monkeypatch.setattr(kernels, "_tried", ["there is no compiler"])
    capsys.readouterr()
    with pytest.raises(SystemExit) as stop:
        main(["--resume", str(the_run(tmp_path / "native"))])
    assert stop.value.code == 2
    assert "there is no compiler" in capsys.readouterr().err


@needs_kernels
@pytest.mark.parametrize("dropout", [0.0, 0.1])
def test_native_training_is_plain_training(dropout):
    """The same losses to rounding without dropout; with it other masks, and as good a start."""
    network = {"max_len": 6, "d_mlp": 64, "d_model": 20, "n_heads": 2, "d_head": 10}
    losses = {}
    for kernel in ("plain", "native"):
        config = TrainConfig(
            **network, dropout=dropout, threads=1, device="cpu", precision="float32",
            kernel=kernel, batch_size=64, steps=60, lr=3e-3,
        )  # fmt: skip
        trainer = Trainer(config)
        losses[kernel] = torch.tensor([trainer.update(measure=True).loss for _ in range(40)])
    apart = (losses["native"] - losses["plain"]).abs()
    if dropout:
        assert 1e-4 < apart[0] < 0.1 * losses["plain"][0]
        ends = {name: float(each[-5:].mean()) for name, each in losses.items()}
        assert ends["native"] == pytest.approx(ends["plain"], rel=0.05)
    else:
        assert apart.max() < 1e-3 * losses["plain"][0]
        assert losses["plain"][-1] < 0.9 * losses["plain"][0]


@needs_kernels
def test_divergence_is_seen():
    trainer = Trainer(
        TrainConfig(max_len=4, d_mlp=32, d_model=20, n_heads=2, d_head=10, kernel="native")
    )
    trainer.model.blocks[1].mlp.W_out.data[3, 3] = float("nan")
    with pytest.raises(TrainingDiverged):
        trainer.update()


@needs_kernels
def test_native_gradients_do_not_depend_on_the_threads():
    gradients = []
    for threads in (1, 2):
        config = TrainConfig(
            max_len=4, d_mlp=32, d_model=20, n_heads=2, d_head=10, dropout=0.3, kernel="native",
            threads=threads, batch_size=24, micro_batch=5, precision="float32",
        )  # fmt: skip
        trainer = Trainer(config)
        gradients.append(trainer.gradients(trainer.batch(0))[0])
    for one, two in zip(*gradients, strict=True):
        assert torch.equal(one, two)


@pytest.mark.parametrize("kernel", ["plain", pytest.param("native", marks=needs_kernels)])
@pytest.mark.parametrize("place", ["MLPs", "heads"])
def test_dropout_of_what_mlps_add_can_be_left_out_alone(kernel, place):
    """Of a model in which nothing but that, or nothing but the rest, can be dropped."""
    sizes = {"max_len": 4, "d_mlp": 32, "d_model": 20, "n_heads": 2, "d_head": 10, "norm": "post"}
    config = TrainConfig(**sizes, batch_size=24, precision="float32", threads=1, kernel=kernel)

    def loss(**changes) -> float:
        trainer = Trainer(replace(config, **changes))
        with torch.no_grad():
            trainer.model.embed.W_E.zero_()
            trainer.model.pos_embed.W_pos.zero_()
            for block in trainer.model.blocks:
                block.attn.W_O.zero_()
                block.mlp.W_out.zero_()
                for one in (block.ln1.b, block.ln2.b, block.attn.b_O, block.mlp.b_out):
                    one.zero_()
                added = block.mlp.b_out if place == "MLPs" else block.attn.b_O
                added.copy_(torch.linspace(-1, 2, 20))
        return float(trainer._part(0, trainer.batch(0)).loss)

    never, always = loss(), loss(dropout=0.3)
    but_mlps = loss(dropout=0.3, drop_mlp_out=False)
    assert always != pytest.approx(never, rel=1e-4)
    if place == "MLPs":
        assert but_mlps == pytest.approx(never, rel=1e-6)
    else:
        assert but_mlps != pytest.approx(never, rel=1e-4)
