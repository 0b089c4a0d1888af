"""Weights on disk: what is written comes back bit for bit, and what cannot be read says why."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from interp import checkpoints
from interp.checkpoints import (
    compiled_names,
    describe,
    find_checkpoint,
    load_model,
    run_checkpoints,
    save_model,
    shipped_models,
    shipped_task_models,
)
from interp.checkpoints.__main__ import main
from interp.config import ModelConfig
from interp.model import SortTransformer
from interp.support.errors import UserError
from interp.task import SortTask
from tests.models import small_model

SIZES = {"d_model": 12, "n_heads": 3, "d_head": 4, "d_mlp": 24}
ROOT = Path(checkpoints.__file__).parents[2]


def a_model(seed: int = 0, **options) -> SortTransformer:
    return SortTransformer(ModelConfig(task=SortTask(4, 5), **{**SIZES, **options}), seed=seed)


@pytest.fixture
def folder(tmp_path) -> Path:
    save_model(tmp_path / "model", a_model(), step=7, training={"lr": 0.5})
    return tmp_path / "model"


def refusal(path: Path | str) -> str:
    with pytest.raises(UserError) as caught:
        load_model(path)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def rewrite_config(folder: Path, **changes) -> None:
    path = folder / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


# -- round trips --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "options",
    [
        {"norm": "pre"},
        {"norm": "post", "embed_bias": True},
        {"norm": "none", "positions": "learned", "n_layers": 3},
        {"d_head": 7, "ln_eps": 1e-3},
    ],
)
def test_a_model_comes_back_bit_for_bit(options, tmp_path):
    model = a_model(**options)
    save_model(tmp_path / "m", model)
    loaded = load_model(tmp_path / "m").model
    assert loaded.config == model.config
    assert list(loaded.state_dict()) == list(model.state_dict())
    assert all(torch.equal(loaded.state_dict()[k], t) for k, t in model.state_dict().items())
    tokens = model.task.held_out(9).tokens
    assert torch.equal(loaded(tokens), model(tokens))
    assert not loaded.training


def test_what_is_known_about_a_model_comes_back(folder):
    loaded = load_model(folder)
    assert loaded.info["step"] == 7
    assert loaded.info["training"] == {"lr": 0.5}
    assert loaded.info["format"] == 1
    assert (loaded.folder, loaded.name) == (folder, str(folder))


def test_every_key_of_a_config_comes_back():
    config = ModelConfig(SortTask(3, 2, 0), 1, 10, 2, 5, 7, "post", "learned", True, 1e-4)
    assert ModelConfig.from_dict(json.loads(json.dumps(config.to_dict()))) == config


@pytest.mark.parametrize("inside", ["", "model.safetensors", "config.json"])
def test_a_file_of_a_checkpoint_stands_for_it(inside, folder):
    assert find_checkpoint(folder / inside) == folder


# -- the hash -----------------------------------------------------------------------------------


def test_the_hash_is_of_the_function(tmp_path):
    model = a_model()
    save_model(tmp_path / "a", model, step=1)
    save_model(tmp_path / "b", model, step=2, training={"lr": 1.0})
    one, same = load_model(tmp_path / "a").hash, load_model(tmp_path / "b").hash
    assert one == same
    assert len(one) == 16
    assert set(one) <= set("0123456789abcdef")
    with torch.no_grad():
        model.blocks[1].mlp.b_in[3] += 1e-6
    save_model(tmp_path / "c", model)
    assert load_model(tmp_path / "c").hash != one


def test_the_hash_is_of_the_architecture_too(folder):
    """The same tensors with an offset, or another epsilon, are another function."""
    before = load_model(folder).hash
    config = json.loads((folder / "config.json").read_text())
    assert config.pop("hash") == before
    model = config["model"]
    (folder / "config.json").write_text(json.dumps(config))  # as a format without it is
    rewrite_config(folder, model={**model, "ln_eps": 0.1})
    assert load_model(folder).hash != before
    rewrite_config(folder, model=dict(reversed(model.items())))  # the order of keys is nothing
    assert load_model(folder).hash == before


def test_the_hash_is_stable(tmp_path):
    """Pinned: results name models by it."""
    model = a_model()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_(torch.linspace(-1, 1, parameter.numel()).view_as(parameter).round())
    save_model(tmp_path / "m", model)
    assert load_model(tmp_path / "m").hash == "4d58804610f71d30"


# -- what cannot be opened ----------------------------------------------------------------------


def test_an_unknown_name_lists_what_is_shipped(monkeypatch, tmp_path):
    for name in ("blanks", "no-blanks"):
        save_model(tmp_path / name, a_model())
    save_model(tmp_path / "tasks" / "parity", a_model())
    monkeypatch.setattr(checkpoints, "PRETRAINED", tmp_path)
    monkeypatch.setattr(checkpoints, "SHIPPED_TASKS", tmp_path / "tasks")
    assert shipped_models() == ["blanks", "no-blanks"]
    assert shipped_task_models() == ["parity"]
    assert load_model("blanks").folder == tmp_path / "blanks"
    assert load_model("parity").folder == tmp_path / "tasks" / "parity"
    assert refusal("blnks") == (
        "no model 'blnks': give a shipped one (blanks, no-blanks, parity), a compiled one "
        "(compiled:slots, compiled:histogram, compiled:direct, compiled:sink, compiled:successor, "
        "compiled:relay, compiled:mirror, compiled:tally), a run folder or a checkpoint"
    )


def test_a_folder_without_weights_says_so(tmp_path):
    assert (
        refusal(tmp_path) == f"{tmp_path} holds no model.safetensors, and no checkpoints of a run"
    )


def test_a_newer_format_is_refused(folder):
    rewrite_config(folder, format=99)
    message = refusal(folder)
    assert message.startswith(f"{folder / 'config.json'} was written by a newer version (format 99")
    assert "upgrade sortscope" in message


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"format": None}, "is not the config of a sort transformer: it has no format number"),
        ({"format": "1"}, "is not the config of a sort transformer: it has no format number"),
        ({"model": {"d_modell": 12}}, "unknown key 'd_modell' in the model part of a config"),
        ({"model": {"task": {"len": 4}}}, "unknown key 'len' in the task part of a config"),
        ({"model": {"task": 3}}, "the task part of a config must be an object, not 3"),
        ({"model": {"d_model": "12"}}, "d_model in the model part of a config cannot be '12'"),
        ({"model": {"d_model": True}}, "d_model in the model part of a config cannot be True"),
        ({"model": {"n_layers": 0}}, "n_layers must be at least 1, not 0"),
        ({"model": None}, "the model part of a config must be an object, not None"),
        ({"model": 3}, "the model part of a config must be an object, not 3"),
    ],
)
def test_a_config_that_makes_no_sense_is_a_message(changes, message, folder):
    rewrite_config(folder, **changes)
    refused = refusal(folder)
    assert str(folder / "config.json") in refused
    assert message in refused


@pytest.mark.parametrize("text", ["", "{", "[]", "3", "\x00"])
def test_a_config_that_is_no_object_is_a_message(text, folder):
    (folder / "config.json").write_text(text)
    assert str(folder / "config.json") in refusal(folder)


def test_a_missing_config_is_a_message(folder):
    (folder / "config.json").unlink()
    assert refusal(folder) == f"cannot read {folder / 'config.json'}: No such file or directory"


@pytest.mark.parametrize("keep", [0, 5, 100, 2000, -1])
def test_truncated_weights_are_a_message(keep, folder):
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:keep])
    assert f"{path} is truncated or corrupted" in refusal(folder)


def test_weights_that_are_something_else_are_a_message(folder):
    path = folder / "model.safetensors"
    path.write_bytes(b"GIF89a" * 1000)
    assert f"{path} is truncated or corrupted" in refusal(folder)


def test_weights_that_do_not_fit_their_config_are_a_message(folder):
    path = folder / "model.safetensors"
    tensors = load_file(path)
    lacking = {name: tensor for name, tensor in tensors.items() if name != "unembed.b_U"}
    save_file(lacking, path)
    assert refusal(folder) == (
        f"{path} lacks unembed.b_U: it does not fit the config.json beside it"
    )
    save_file(tensors | {"extra": torch.zeros(2)}, path)
    assert f"{path} has an unknown tensor extra" in refusal(folder)
    save_file(tensors | {"unembed.b_U": torch.zeros(3)}, path)
    assert "unembed.b_U has shape (3,), but the config.json beside it asks for (12,)" in refusal(
        folder
    )


# -- runs ---------------------------------------------------------------------------------------


def test_a_run_stands_for_its_newest_checkpoint(folder, tmp_path):
    """By number, not by name or by date; incomplete and foreign folders are passed over."""
    run = tmp_path / "0001-stable"
    for step in ("step-999999", "step-1000000", "step-000050"):
        shutil.copytree(folder, run / "checkpoints" / step)
    (run / "checkpoints" / "step-2000000").mkdir()  # empty
    shutil.copytree(folder, run / "checkpoints" / "step-best")
    shutil.copytree(folder, run / "checkpoints" / ".step-3000000.tmp")
    assert [p.name for p in run_checkpoints(run)] == ["step-000050", "step-999999", "step-1000000"]
    assert find_checkpoint(run) == run / "checkpoints" / "step-1000000"
    assert load_model(run / "checkpoints" / "step-000050").folder.name == "step-000050"


# -- the command --------------------------------------------------------------------------------


def test_info_is_json(folder, capsys):
    main(["info", str(folder)])
    shown = json.loads(capsys.readouterr().out)
    assert shown == json.loads(json.dumps(describe(folder)))
    assert shown["hash"] == load_model(folder).hash
    assert shown["model"]["task"] == {"max_len": 4, "n_blanks": 5, "pos_offset": 0}
    assert shown["evaluation"] is None


def test_list_shows_what_is_shipped(monkeypatch, folder, tmp_path, capsys):
    monkeypatch.setattr(checkpoints, "PRETRAINED", tmp_path)
    monkeypatch.setattr(checkpoints, "SHIPPED_TASKS", tmp_path / "tasks")
    main(["list"])
    first, *compiled = capsys.readouterr().out.splitlines()
    assert first == f"{'model':20} lists of 1 to 4 digits, 5 blanks"
    assert [line.split(" compiled by hand: ")[0].strip() for line in compiled] == compiled_names()
    measured = {"exact_match": {"value": 0.9975, "low": 0.9963, "high": 0.9983, "n": 10_000}}
    (folder / "evaluation.json").write_text(json.dumps(measured))
    main(["list"])
    assert "99.75 % of lists exact [99.63, 99.83], n = 10,000" in capsys.readouterr().out


def test_a_sorter_compiled_by_hand_is_loaded_by_name():
    loaded = load_model("compiled:direct")
    assert loaded.folder is None and loaded.hash == load_model("compiled:direct").hash
    assert loaded.hash != load_model("compiled:slots").hash
    assert describe("compiled:direct")["model"] == loaded.model.config.to_dict()
    assert refusal("compiled:bubble").startswith("no compiled sorter 'bubble': there are slots")


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["info", "blnks"], "no model 'blnks'"),
        (["info"], "required"),
        (["shout"], "shout"),
        ([], "list, info, import, import-algoformer"),
        (["import-algoformer", "nothing.pth", "out"], "cannot read nothing.pth: No such file"),
    ],
)
def test_bad_input_is_one_line_and_status_2(argv, message, capsys):
    with pytest.raises(SystemExit) as stop:
        main(argv)
    out, err = capsys.readouterr()
    assert stop.value.code == 2
    assert out == ""
    assert err.count("\n") == 1
    assert err.startswith("python -m interp.checkpoints: ")
    assert message in err
    assert "---" not in err  # no frame: tyro draws one of dashes where there is no Unicode


def run(*arguments: str, code: str = "") -> subprocess.CompletedProcess[str]:
    """A process of its own, as a user starts it."""
    command = [sys.executable, *(["-c", code] if code else ["-m", *arguments])]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


def test_a_process_ends_with_status_2():
    done = run("interp.checkpoints", "info", "blnks")
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.startswith("python -m interp.checkpoints: no model 'blnks'")
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize(
    "module",
    [
        "interp.checkpoints.__main__",
        "training.train",
        "training.evaluate",
        "training.study",
        "training.ship",
        "analyses.report",
        "analyses.ship",
        "benchmarks.training",
    ],
)
def test_help_does_not_wait_for_torch(module):
    code = (
        f"import sys; from {module} import main\n"
        "try: main(['--help'])\n"
        "except SystemExit as stop: assert not stop.code\n"
        "heavy = {'torch', 'transformer_lens', 'tensorboard', 'plotly', 'streamlit'}\n"
        "heavy &= set(sys.modules)\n"
        "print('LOADED', sorted(heavy))"
    )
    done = run(code=code)
    assert "usage:" in done.stdout, done.stderr
    assert done.stdout.endswith("LOADED []\n")


def test_the_reader_of_a_list_may_leave_early():
    command = f"{sys.executable} -m interp.checkpoints info --help | head -1"
    done = subprocess.run(
        command, shell=True, cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.stdout.startswith("usage: python -m interp.checkpoints")
    assert "Traceback" not in done.stderr


def test_a_model_takes_the_place_of_nothing_but_a_model(tmp_path):
    """A folder of anything was removed, and a file."""
    model, mine = small_model(), tmp_path / "mine"
    for there in ("file", "folder"):
        if there == "folder":
            mine.mkdir()
        (mine / "thesis.txt" if there == "folder" else mine).write_text("years of work")
        with pytest.raises(UserError, match="is there already, and is no model"):
            save_model(mine, model)
        assert (mine / "thesis.txt" if there == "folder" else mine).read_text() == "years of work"
        if there == "file":
            mine.unlink()
    (mine / "thesis.txt").unlink()
    for step in (1, 2):  # into an empty folder, and in place of a model
        save_model(mine, model, step=step)
        assert load_model(mine).info["step"] == step
