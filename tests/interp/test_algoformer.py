"""Weights of the original code: what is imported computes the same, what is not is a message."""

import math
import os
import pickle
from pathlib import Path

import pytest
import torch

from interp.algoformer import ReferenceModel
from interp.checkpoints import load_model, save_model
from interp.checkpoints.__main__ import main
from interp.config import ModelConfig
from interp.imports import Told
from interp.imports import import_weights as import_told
from interp.support.errors import UserError
from interp.support.seeds import stream
from interp.task import PAD, SortTask

ARMS = {"blanks": SortTask(), "no blanks": SortTask(n_blanks=0), "offset": SortTask(48, 0, 49)}
ARGUMENTS = {"blanks": {}, "no blanks": {"n_blanks": 0}, "offset": {}}
D_MODEL, D_MLP = 20, 24

all_arms = pytest.mark.parametrize("arm", ARMS)


def reference(
    task: SortTask, n_layers: int = 2, n_heads: int = 5, norm: str = "post"
) -> ReferenceModel:
    """The published network in small, with random weights everywhere."""
    config = ModelConfig(
        task=task,
        n_layers=n_layers,
        d_model=D_MODEL,
        n_heads=n_heads,
        d_head=D_MODEL // n_heads,
        d_mlp=D_MLP,
        norm=norm,
    )
    model = ReferenceModel(config)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            parameter.normal_(0.0, 0.4, generator=stream("test", name))
            parameter.add_(1.0 if "norm" in name and name.endswith("weight") else 0.0)
    return model.eval()


def table(offset: int, n_rows: int = 5000) -> torch.Tensor:
    """Sinusoids as the original code saves them: many rows, shifted after SEP if asked to."""
    rows = []
    for place in range(n_rows):
        p = place + offset if place > 48 else place
        angles = [p * math.exp(-2 * i * math.log(10_000) / D_MODEL) for i in range(D_MODEL // 2)]
        rows.append([f(a) for a in angles for f in (math.sin, math.cos)])
    return torch.tensor(rows)


def published_state(task: SortTask, pe: torch.Tensor | None = None) -> dict[str, torch.Tensor]:
    """What ``torch.save(model.state_dict())`` of the original code holds."""
    state = reference(task).state_dict()
    state["pos_encoder.pe"] = table(task.pos_offset) if pe is None else pe
    del state["pe"]
    return state


def import_weights(path: Path, **told):
    """As published, but for what is told."""
    return import_told(path, Told(published=True, **told))


def saved(folder: Path, state: object) -> Path:
    torch.save(state, folder / "model_6000.pth")
    return folder / "model_6000.pth"


# -- weights that can be read -------------------------------------------------------------------


@all_arms
def test_an_import_computes_the_same(arm, tmp_path):
    task = ARMS[arm]
    model = import_weights(saved(tmp_path, published_state(task)), **ARGUMENTS[arm])
    assert model.task == task  # the offset was read off the table
    tokens = task.held_out(48).tokens
    real = tokens != PAD
    with torch.no_grad():
        ours, theirs = model(tokens).log_softmax(-1)[real], reference(task)(tokens)[real]
    assert theirs.std() > 0.5
    torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=0)


@pytest.mark.parametrize("shape", [(5000, 1, D_MODEL), (1, 5000, D_MODEL), (146, D_MODEL)])
def test_the_table_may_have_any_shape(shape, tmp_path):
    rows = max(shape[0], shape[1] if len(shape) == 3 else 0)
    state = published_state(SortTask(48, 0, 49), table(49, rows).reshape(shape))
    assert import_weights(saved(tmp_path, state)).task == SortTask(48, 0, 49)
    state = published_state(SortTask(), table(0, rows).reshape(shape))
    assert import_weights(saved(tmp_path, state)).task == SortTask()


def test_names_do_not_matter_where_shapes_tell(tmp_path):
    state = published_state(SortTask())
    renamed = {
        f"net.{name.replace('embedding', 'emb').replace('decoder', 'to_tokens')}": tensor
        for name, tensor in state.items()
        if name != "pos_encoder.pe"  # some versions do not save it
    }
    model = import_weights(saved(tmp_path, renamed))
    again = import_weights(saved(tmp_path, state))
    for name, tensor in again.state_dict().items():
        assert torch.equal(model.state_dict()[name], tensor)


def test_any_number_of_layers_is_read(tmp_path):
    state = reference(SortTask(), n_layers=3).state_dict()
    assert import_weights(saved(tmp_path, state)).cfg.n_layers == 3


def test_the_command_writes_a_model_that_opens(tmp_path, capsys):
    path = saved(tmp_path, published_state(SortTask(n_blanks=0)))
    argv = ["import-algoformer", str(path), str(tmp_path / "mine"), "--published", "--no-blanks"]
    with pytest.raises(SystemExit):
        main(argv)  # random weights
    assert "it does not do this task, or was read wrongly" in capsys.readouterr().err
    assert not (tmp_path / "mine").exists()
    main([*argv, "--anyway"])
    assert "lists of 1 to 48 digits, 0 blanks, position offset 0" in capsys.readouterr().out
    opened = load_model(tmp_path / "mine")
    assert opened.info["imported_from"] == "model_6000.pth"
    tokens = opened.model.task.held_out(48).tokens
    expected = reference(SortTask(n_blanks=0))(tokens)
    real = tokens != PAD
    torch.testing.assert_close(
        opened.model(tokens).log_softmax(-1)[real], expected[real], atol=1e-5, rtol=0
    )


def test_contradicting_flags_are_a_message(tmp_path, capsys):
    path = saved(tmp_path, published_state(SortTask()))
    arguments = ["import-algoformer", str(path), str(tmp_path / "mine")]
    with pytest.raises(SystemExit) as stop:
        main([*arguments, "--no-blanks", "--n-blanks", "3"])
    assert stop.value.code == 2
    assert capsys.readouterr().err.endswith("--no-blanks contradicts --n-blanks 3\n")
    assert not (tmp_path / "mine").exists()


# -- as people save them ------------------------------------------------------------------------


def optimiser(model: torch.nn.Module) -> dict:
    adam = torch.optim.Adam(model.parameters())
    sum(p.sum() for p in model.parameters()).backward()
    adam.step()
    return adam.state_dict()


@pytest.mark.parametrize("key", ["model", "state_dict", "model_state_dict", "net"])
@pytest.mark.parametrize("prefix", ["", "module.", "_orig_mod.", "model.module."])
def test_a_wrapped_state_dict_is_opened(key, prefix, tmp_path):
    state = {prefix + name: tensor for name, tensor in published_state(SortTask()).items()}
    wrapped = {
        "epoch": 3,
        key: state,
        "optimizer_state_dict": optimiser(reference(SortTask())),
        "loss": torch.tensor(0.1),
        "args": {"lr": 1e-3},
    }
    model = import_weights(saved(tmp_path, wrapped))
    plain = import_weights(saved(tmp_path, published_state(SortTask())))
    for name, tensor in plain.state_dict().items():
        assert torch.equal(model.state_dict()[name], tensor)


def test_two_sets_of_weights_are_not_chosen_between(tmp_path):
    state = published_state(SortTask())
    assert "several sets of weights, 'model', 'ema'" in refusal(
        saved(tmp_path, {"model": state, "ema": state})
    )


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float64])
def test_any_floating_point_type_opens(dtype, tmp_path):
    state = {name: tensor.to(dtype) for name, tensor in published_state(SortTask()).items()}
    state["pos_encoder.pe"] = table(0)
    model = import_weights(saved(tmp_path, state))
    assert model.W_U.dtype is torch.float32
    assert torch.equal(model.W_U, state["decoder.weight"].float().T)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float64])
@pytest.mark.parametrize("arm", ["blanks", "offset"])
def test_a_network_that_was_cast_as_a_whole_opens(arm, dtype, tmp_path):
    """Its table of positions is coarse, too; the sinusoids that it rounds are taken."""
    task = ARMS[arm]
    cast = {name: tensor.to(dtype) for name, tensor in published_state(task).items()}
    model = import_weights(saved(tmp_path, cast), **ARGUMENTS[arm])
    assert model.task == task
    network = reference(task)
    network.load_state_dict({n: t.float() for n, t in cast.items() if "pe" not in n}, strict=False)
    tokens = task.held_out(24).tokens
    real = tokens != PAD
    with torch.no_grad():
        ours, theirs = model(tokens).log_softmax(-1)[real], network(tokens)[real]
    torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=0)


def test_a_coarse_table_of_something_else_is_refused(tmp_path):
    state = published_state(SortTask(), (table(0) + 0.01 * torch.eye(20).repeat(250, 1)))
    cast = {name: tensor.to(torch.bfloat16) for name, tensor in state.items()}
    assert "not the published sinusoids" in refusal(saved(tmp_path, cast))


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize("heads", [2.5, True, "5"])
def test_what_is_told_is_taken_at_its_word(heads, tmp_path):
    """2.5 heads were 2."""
    with pytest.raises(UserError, match="heads cannot be"):
        import_told(saved(tmp_path, published_state(SortTask())), told(heads=heads))


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("name", ["encoder.layers.1.linear1.bias", "decoder.weight"])
def test_nan_and_infinity_are_refused_by_name(name, value, tmp_path):
    state = published_state(SortTask())
    state[name].view(-1)[3] = value
    assert f"{name} holds" in refusal(saved(tmp_path, state))


# -- what is not part of the network, and what weights do not tell --------------------------------

UNKNOWN = {
    "a last norm": {
        "encoder.norm.weight": torch.ones(D_MODEL),
        "encoder.norm.bias": torch.ones(20),
    },
    "a norm elsewhere": {"norm_in.weight": torch.ones(D_MODEL), "norm_in.bias": torch.ones(20)},
    "half a norm": {"encoder.norm.weight": torch.ones(D_MODEL)},
    "a second head": {"value.weight": torch.ones(12, D_MODEL), "value.bias": torch.ones(12)},
    "another Linear": {"mix.weight": torch.ones(D_MODEL, 30), "mix.bias": torch.ones(D_MODEL)},
    "a scale": {"scale": torch.tensor(2.0)},
    "another table": {"segment.weight": torch.ones(3, D_MODEL)},
    "a second stack": {"decoder.layers.0.linear1.weight": torch.ones(D_MLP, D_MODEL)},
    "a part of a layer": {"encoder.layers.1.norm3.weight": torch.ones(D_MODEL)},
    "a counter": {"steps": torch.tensor(3)},
}


@pytest.mark.parametrize("kind", UNKNOWN)
def test_no_tensor_is_left_out(kind, tmp_path):
    message = refusal(saved(tmp_path, published_state(SortTask()) | UNKNOWN[kind]))
    named = {
        "a second stack": "more than one stack of layers: decoder., encoder.",
        "a part of a layer": "layer 1 has an unknown norm3.weight",
        "a second head": "more than one Linear layer that value.weight could be",
        "a counter": "steps holds int64",
        "a last norm": "a LayerNorm after the last layer",
    }
    assert named.get(kind, f"no part of the published network: {min(UNKNOWN[kind])}") in message


def told(**changes) -> Told:
    return Told(
        **{
            "heads": 5,
            "norm": "post",
            "activation": "relu",
            "max_len": 48,
            "n_blanks": 49,
        }
        | changes
    )


@pytest.mark.parametrize(
    ("heads", "norm", "task"),
    [
        (4, "post", SortTask(20, 21)),
        (2, "pre", SortTask(20, 0)),
        (5, "pre", SortTask(7, 3)),
        (1, "post", SortTask(48, 49)),
    ],
)
def test_what_is_told_is_what_is_imported(heads, norm, task, tmp_path):
    network = reference(task, n_heads=heads, norm=norm)
    path = saved(tmp_path, network.state_dict())
    model = import_told(
        path, told(heads=heads, norm=norm, max_len=task.max_len, n_blanks=task.n_blanks)
    )
    assert model.task == task and model.config.norm == norm
    tokens = task.held_out(40).tokens
    real = tokens != PAD
    with torch.no_grad():
        ours, theirs = model(tokens).log_softmax(-1)[real], network(tokens)[real]
    torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=0)


@pytest.mark.parametrize("name", ["heads", "norm", "activation", "max_len", "n_blanks"])
def test_what_is_not_told_is_asked_for(name, tmp_path):
    path = saved(tmp_path, published_state(SortTask()))
    with pytest.raises(UserError, match=rf"give --{name.replace('_', '-')}, or --published"):
        import_told(path, told(**{name: None}))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"activation": "gelu"}, "the activation gelu cannot be held here, only relu"),
        ({"heads": 3}, "not 3 heads wide"),
        ({"heads": 0}, "not 0 heads wide"),
        ({"norm": "pre"}, "ends with a LayerNorm"),
        ({"n_blanks": 100_000}, "take 100,097 positions; the most are 4,096"),
        ({"max_len": 0}, "the maximum length must be at least 1"),
        ({"max_len": 1200, "n_blanks": 1600}, "its table of positions has 3000 rows"),
    ],
)
def test_what_cannot_be_is_refused(changes, message, tmp_path):
    path = saved(tmp_path, published_state(SortTask(), table(0, 3000)))
    changes = {"n_blanks": changes.get("max_len", 48) + 1} | changes
    with pytest.raises(UserError, match=message):
        import_told(path, told(**changes))


def test_an_offset_contradicts_blanks(tmp_path):
    path = saved(tmp_path, published_state(SortTask(48, 0, 49)))
    assert "then there are no blanks" in refusal(path, n_blanks=49)
    assert import_told(path, told(max_len=None, n_blanks=None)).task == SortTask(48, 0, 49)


def test_an_import_that_computes_something_else_is_not_handed_over(tmp_path, monkeypatch):
    import interp.imports

    def carelessly(model, state):
        from interp.algoformer import copy_weights

        copy_weights(model, state)
        with torch.no_grad():
            model.blocks[1].ln2.b.zero_()

    monkeypatch.setattr(interp.imports, "copy_weights", carelessly)
    path = saved(tmp_path, published_state(SortTask()))
    assert "its log-probabilities would be off by" in refusal(path)


def test_the_explorer_finds_an_import_where_the_command_says(tmp_path, capsys, monkeypatch):
    from explorer.server.places import places_from

    monkeypatch.chdir(tmp_path)
    path = saved(tmp_path, published_state(SortTask()))
    for folder in ("runs/mine", "elsewhere/mine"):
        main(["import-algoformer", str(path), folder, "--published", "--anyway"])
        said = capsys.readouterr().out.splitlines()[-1].partition("app.py")[2]
        places = places_from(said.replace(" -- ", "").split(), {})
        assert folder in places.choices()
        assert places.find(folder) == tmp_path / folder


def test_without_flags_the_command_asks(tmp_path, capsys):
    path = saved(tmp_path, published_state(SortTask()))
    with pytest.raises(SystemExit) as stop:
        main(["import-algoformer", str(path), str(tmp_path / "mine")])
    error = capsys.readouterr().err
    assert stop.value.code == 2 and error.count("\n") == 1
    assert "give --heads, --norm, --activation, --max-len, --n-blanks, or --published" in error
    assert not (tmp_path / "mine").exists()


# -- files that cannot --------------------------------------------------------------------------


class Exploit:
    """A pickle of this runs a command when it is loaded without care."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self):
        return os.mkdir, (str(self.mark),)


def refusal(path: Path, **arguments) -> str:
    with pytest.raises(UserError) as caught:
        import_weights(path, **arguments)
    message = str(caught.value)
    assert str(path) in message
    assert "\n" not in message
    return message


@pytest.mark.filterwarnings("ignore:Detected pickle protocol")
@pytest.mark.parametrize("kind", ["torch.save", "old torch.save", "pickle"])
def test_a_pickle_that_would_run_code_is_not_run(kind, tmp_path):
    mark, path = tmp_path / "was executed", tmp_path / "weights.pth"
    if kind == "pickle":
        path.write_bytes(pickle.dumps(Exploit(mark)))
    else:
        state = {"layers.0.linear1.weight": Exploit(mark)}
        torch.save(state, path, _use_new_zipfile_serialization=kind == "torch.save")
    assert "cannot be opened as PyTorch weights" in refusal(path)
    assert not mark.exists()
    # Positive control: the file is what it claims to be.
    if kind == "pickle":
        pickle.loads(path.read_bytes())  # noqa: S301
    else:
        torch.load(path, weights_only=False)
    assert mark.exists()


@pytest.mark.parametrize("share", [0.0, 0.01, 0.5, 0.99])
def test_a_truncated_file_is_a_message(share, tmp_path):
    path = saved(tmp_path, published_state(SortTask()))
    data = path.read_bytes()
    path.write_bytes(data[: int(share * len(data))])
    assert "truncated" in refusal(path)


def test_other_files_are_a_message(tmp_path):
    text = tmp_path / "notes.txt"
    text.write_text("Dear diary\n")
    assert "cannot be opened as PyTorch weights" in refusal(text)
    assert "No such file" in refusal(tmp_path / "nothing.pth")
    assert "cannot read" in refusal(tmp_path)


@pytest.mark.parametrize(
    "content", [torch.zeros(3), [1, 2], {"epoch": 3}, {3: torch.zeros(2)}, None]
)
def test_what_is_no_state_dict_is_a_message(content, tmp_path):
    assert "is not a set of Algoformer weights" in refusal(saved(tmp_path, content))


def test_other_networks_are_a_message(tmp_path):
    weights = {"0.weight": torch.zeros(20, 12), "0.bias": torch.zeros(20)}
    assert "it has no keys like layers.0.self_attn" in refusal(saved(tmp_path, weights))


@pytest.mark.parametrize("name", sorted(reference(SortTask()).state_dict().keys() - {"pe"}))
def test_a_missing_tensor_is_named(name, tmp_path):
    state = published_state(SortTask())
    del state[name]
    message = refusal(saved(tmp_path, state))
    if "layers" in name:
        assert f"layer {name.split('.')[2]} lacks {name.split('.', 3)[3]}" in message
    else:
        assert "it has no pair of Linear layers for a vocabulary of 12" in message


@pytest.mark.parametrize("name", sorted(reference(SortTask()).state_dict().keys() - {"pe"}))
@pytest.mark.parametrize("change", ["longer", "scalar", "one more axis"])
def test_a_wrong_shape_is_a_message(name, change, tmp_path):
    state = published_state(SortTask())
    tensor = state[name]
    state[name] = {
        "longer": torch.cat([tensor, tensor]),
        "scalar": torch.tensor(1.0),
        "one more axis": tensor[None],
    }[change]
    assert "is not a set of Algoformer weights" in refusal(saved(tmp_path, state))


@pytest.mark.parametrize("part", ["embedding", "decoder"])
def test_linears_that_do_not_fit_the_layers_are_a_message(part, tmp_path):
    state = published_state(SortTask())
    other = torch.nn.Linear(12, 40) if part == "embedding" else torch.nn.Linear(40, 12)
    state |= {f"{part}.{name}": tensor for name, tensor in other.state_dict().items()}
    assert "is not a set of Algoformer weights" in refusal(saved(tmp_path, state))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"encoder.layers.0.extra": torch.zeros(2)}, "layer 0 has an unknown extra"),
        ({"encoder.layers.5.norm1.weight": torch.zeros(2)}, "its layers are numbered [0, 1, 5]"),
        ({"pos_encoder.pe": torch.zeros(5000, D_MODEL)}, "is not the published sinusoids"),
    ],
)
def test_odd_contents_are_a_message(change, message, tmp_path):
    state = published_state(SortTask()) | change
    assert message in refusal(saved(tmp_path, state))


@pytest.mark.parametrize("width", [24, 25])
def test_a_width_that_cannot_be_is_a_message(width, tmp_path):
    """24 does not divide into 5 heads; 25 does, but sines and cosines come in pairs."""
    layer = torch.nn.TransformerEncoderLayer(width, 1, 8)
    state = {f"encoder.layers.0.{name}": tensor for name, tensor in layer.state_dict().items()}
    state |= {"a.weight": torch.zeros(width, 12), "a.bias": torch.zeros(width)}
    state |= {"b.weight": torch.zeros(12, width), "b.bias": torch.zeros(12)}
    assert f"{width}" in refusal(saved(tmp_path, state))


def test_a_contradicting_length_is_a_message(tmp_path):
    path = saved(tmp_path, published_state(SortTask(48, 0, 49)))
    assert "shifted by 49, which fits lists of 48" in refusal(path, max_len=20)
    path = saved(tmp_path, published_state(SortTask()))
    assert "number of blanks must be at least 0" in refusal(path, n_blanks=-1)


def test_no_folder_is_made_for_a_bad_file(tmp_path, capsys):
    path = tmp_path / "bad.pth"
    path.write_text("no weights")
    with pytest.raises(SystemExit) as stop:
        main(["import-algoformer", str(path), str(tmp_path / "mine")])
    assert stop.value.code == 2
    error = capsys.readouterr().err
    assert str(path) in error
    assert error.count("\n") == 1
    assert not (tmp_path / "mine").exists()


def test_an_imported_model_can_be_saved_and_opened_again(tmp_path):
    model = import_weights(saved(tmp_path, published_state(SortTask())))
    save_model(tmp_path / "copy", model)
    tokens = SortTask().held_out(10).tokens
    assert torch.equal(load_model(tmp_path / "copy").model(tokens), model(tokens))


def test_an_import_never_replaces_a_folder(tmp_path, capsys):
    """It is named by hand, and could be any folder."""
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("years of work")
    with pytest.raises(SystemExit) as stop:
        main(["import-algoformer", str(tmp_path / "any.pth"), str(tmp_path / "mine")])
    assert stop.value.code == 2
    assert "is there already" in capsys.readouterr().err
    assert (tmp_path / "mine" / "thesis.txt").read_text() == "years of work"
