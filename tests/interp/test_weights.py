"""No NaN and no infinity comes in with weights, from wherever they come."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from interp.checkpoints import load_bare, load_model, save_model
from interp.checkpoints.__main__ import main
from interp.support.errors import UserError
from interp.weights import check_finite
from tests.models import small_model

BAD = {"NaN": torch.nan, "infinity": torch.inf, "-infinity": -torch.inf}


def names() -> list[str]:
    return [name for name, _ in small_model("post").named_parameters()]


@pytest.mark.parametrize("value", BAD.values(), ids=BAD)
@pytest.mark.parametrize("name", names())
def test_one_bad_number_in_any_tensor_is_refused_by_name(name: str, value: float) -> None:
    weights = dict(small_model("post").state_dict())
    check_finite(weights, "here")  # as it is, with the -inf of TransformerLens
    weights[name] = weights[name].clone()
    weights[name].view(-1)[-1] = value
    with pytest.raises(UserError, match=rf"^here: {name} holds .*\(1 of [\d,]+ numbers\)"):
        check_finite(weights, "here")


def test_what_a_closed_score_becomes_is_checked_too() -> None:
    weights = dict(small_model().state_dict())
    weights["blocks.1.attn.IGNORE"] = torch.tensor(-1e5)
    with pytest.raises(UserError, match=r"blocks\.1\.attn\.IGNORE must be -inf"):
        check_finite(weights, "here")


@pytest.mark.parametrize("load", [load_model, load_bare])
@pytest.mark.parametrize("value", BAD.values(), ids=BAD)
def test_no_model_opens_with_such_weights(load, value: float, tmp_path: Path) -> None:
    model = small_model()
    with torch.no_grad():
        model.blocks[1].mlp.W_in[3, 4] = value
    write_anyway(tmp_path / "m", model)
    with pytest.raises(UserError, match=r"model.safetensors: blocks.1.mlp.W_in holds"):
        load(tmp_path / "m")


@pytest.mark.parametrize("value", BAD.values(), ids=BAD)
def test_no_model_is_saved_with_such_weights(value: float, tmp_path: Path) -> None:
    """It was, and did not open."""
    model = small_model()
    with torch.no_grad():
        model.W_U[3, 4] = value
    with pytest.raises(UserError, match=r"the model: unembed\.W_U holds"):
        save_model(tmp_path / "m", model)
    assert not (tmp_path / "m").exists()


def test_numbers_beyond_float32_are_infinite_here(tmp_path: Path) -> None:
    write_anyway(tmp_path / "m", small_model(), {"unembed.W_U": 1e300})
    with pytest.raises(UserError, match=r"unembed.W_U holds infinity \(1 of"):
        load_model(tmp_path / "m")


def write_anyway(folder: Path, model, first: dict[str, float] | None = None) -> None:
    """As an older version, or another program, may have written it."""
    from safetensors.torch import save

    save_model(folder, small_model())
    state = {name: tensor.contiguous() for name, tensor in model.state_dict().items()}
    for name, value in (first or {}).items():
        state[name] = state[name].double()
        state[name].view(-1)[0] = value
    (folder / "model.safetensors").write_bytes(save(state))


def test_a_command_says_it_in_one_line(tmp_path: Path, status, capsys) -> None:
    model = small_model()
    with torch.no_grad():
        model.embed.W_E[0, 0] = torch.nan
    write_anyway(tmp_path / "m", model)
    from training.evaluate import main as evaluate

    assert status(evaluate, ["--model", str(tmp_path / "m"), "--lists", "2"]) == 2
    assert capsys.readouterr().err.count("\n") == 1
    assert status(main, ["list"]) == 0
