"""The parameters alone compute what the hooked model does, and open without TransformerLens."""

from __future__ import annotations

import subprocess
import sys

import pytest
import torch

from interp.answers.decode import greedy_decode
from interp.checkpoints import load_bare, load_model, save_model
from interp.config import ModelConfig
from interp.model import SortTransformer
from interp.passes.bare import BareTransformer, parameter_shapes
from interp.passes.forward import forward
from interp.passes.packed import window
from interp.support.errors import UserError
from interp.task import PAD, SortTask

SIZES = {"d_model": 16, "n_heads": 2, "d_head": 8, "d_mlp": 24}
CONFIGS = [
    ModelConfig(task=SortTask(6, 4), norm="pre", **SIZES),
    ModelConfig(task=SortTask(6, 4), norm="post", embed_bias=True, **SIZES),
    ModelConfig(task=SortTask(6, 0), norm="none", positions="learned", n_layers=3, **SIZES),
    ModelConfig(task=SortTask(6, 4), sight="outputs-not-digits", **SIZES),
    ModelConfig(task=SortTask(6, 0, pos_offset=3), **SIZES),
]


@pytest.mark.parametrize("config", CONFIGS)
def test_it_computes_what_the_hooked_model_does(config, tmp_path):
    hooked = SortTransformer(config, seed=1)
    save_model(tmp_path / "model", hooked)
    bare = load_bare(tmp_path / "model")
    assert isinstance(bare.model, BareTransformer)
    batch = config.task.sample(20, torch.Generator().manual_seed(0))
    view = window(config.task, batch)
    with torch.no_grad():
        found = forward(bare.model, batch.tokens, view).logits
        expected = hooked(batch.tokens)[:, view.rows]
    read = config.task.targets(batch.tokens)[:, view.rows] != PAD
    torch.testing.assert_close(found[read], expected[read], atol=1e-5, rtol=1e-5)
    lists = [(3, 1, 2), (5,)]
    assert greedy_decode(bare.model, lists).lists == greedy_decode(hooked, lists).lists
    assert bare.hash == load_model(tmp_path / "model").hash


@pytest.mark.parametrize("config", CONFIGS)
def test_the_shapes_of_a_checkpoint(config):
    state = SortTransformer(config).state_dict()
    assert parameter_shapes(config) == {name: tuple(t.shape) for name, t in state.items()}


def test_it_opens_without_transformer_lens():
    code = (
        "import sys; from interp.checkpoints import load_bare; from interp.answers.decode import "
        "greedy_decode; greedy_decode(load_bare('no-blanks').model, [[2, 1]]); "
        "sys.exit('transformer_lens' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_weights_that_do_not_fit_their_config_are_refused(tmp_path):
    save_model(tmp_path / "model", SortTransformer(CONFIGS[0]))
    config = tmp_path / "model" / "config.json"
    config.write_text(config.read_text().replace('"d_mlp": 24', '"d_mlp": 25'))
    with pytest.raises(UserError, match=r"but the config\.json beside it asks for"):
        load_bare(tmp_path / "model")
