"""Activations without TransformerLens, and every pass that has one of its own."""

from __future__ import annotations

from typing import Any, get_args

import pytest
import torch
from transformer_lens.utilities.activation_functions import SUPPORTED_ACTIVATIONS

from interp.config import Activation, ModelConfig
from interp.interventions import Set, Zero, intervene
from interp.methods import patching
from interp.methods.circuit_run import Graph, Lists
from interp.methods.interchange import record, rerun
from interp.passes.activations import activate
from interp.passes.native import native_logits
from interp.passes.packed import Window, packed_logits, window
from interp.programs.prompts import Prompts
from interp.sites import Component, Site
from interp.support.errors import UserError
from interp.task import Task
from tests.models import TASK, small_model

PLAIN = [name for name in get_args(Activation) if name not in ("solu_ln", "xielu")]
KINDS: list[dict[str, Any]] = [
    {"activation": "gelu_new"},
    {"activation": "solu_ln"},
    {"activation": "xielu"},
    {"d_mlp": 0},
]
CLOSE = {"atol": 2e-5, "rtol": 1e-4}


class Module:
    def __init__(self, name: str) -> None:
        self.cfg = type("Config", (), {"act_fn": name})


@pytest.mark.parametrize("name", PLAIN)
def test_each_is_what_transformer_lens_has(name):
    x = torch.linspace(-6, 6, 240).view(3, -1)
    torch.testing.assert_close(
        activate(x, Module(name)), SUPPORTED_ACTIVATIONS[name](x), atol=2e-6, rtol=1e-5
    )


def test_all_that_transformer_lens_has_are_here():
    assert set(get_args(Activation)) == set(SUPPORTED_ACTIVATIONS)


@torch.no_grad()
@pytest.mark.parametrize("norm", ["pre", "post", "none"])
@pytest.mark.parametrize("kind", KINDS, ids=str)
def test_the_edges_of_a_circuit_add_up_to_the_model(kind, norm):
    """The exact pass, and the one with gradients, whose MLPs are computed apart."""
    model = small_model(norm, **kind)
    tokens = TASK.sample(3, torch.Generator().manual_seed(1), torch.full((3,), 4)).tokens
    graph, lists = Graph(model), Lists.of(model, tokens, 4)
    rows = slice(TASK.first_output_row, TASK.first_output_row + 4)
    torch.testing.assert_close(graph.run(lists).logits, model(tokens)[:, rows], **CLOSE)
    with torch.enable_grad():
        weights = torch.ones(len(graph.edges), requires_grad=True)
        logits = graph.run(lists, weights).logits
    torch.testing.assert_close(logits, model(tokens)[:, rows], **CLOSE)


@torch.no_grad()
@pytest.mark.parametrize("kind", KINDS, ids=str)
def test_a_row_that_is_computed_anew(kind):
    model = small_model(**kind)
    prompts = Prompts(((3, 1, 1, 5), (9, 9, 2, 2)), ((1,), (2, 2, 9)))
    base = record(model, prompts)
    torch.testing.assert_close(rerun(model, base, {}), base.logits, **CLOSE)


@torch.no_grad()
@pytest.mark.parametrize("kind", KINDS, ids=str)
@pytest.mark.parametrize("component", [Component.RESID_PRE, Component.ATTN_OUT, Component.MLP_OUT])
def test_patching_equals_the_hooked_model(kind, component):
    model, view = small_model(**kind), Window(TASK, 4, TASK.first_output_row)
    both = TASK.sample(2, torch.Generator().manual_seed(4), torch.full((2,), 4)).tokens
    base, donor = both[:1], both[1:]
    site = Site(component, 0, positions=(3,))
    value = model.run_with_cache(donor)[1][site.hook_name][:, 3:4]
    with intervene(model, [Set(site, value)]):
        expected = model(base)[:, view.rows]
    runs = [patching.record(model, tokens, view) for tokens in (base, donor)]
    mask = torch.zeros(1, 1, view.stop - view.start, dtype=torch.bool)
    mask[0, 0, 3 - view.start] = True
    rows = torch.tensor([TASK.first_output_row - view.start])
    found = patching.patched_logits(model, Site(component, 0), *runs, mask, rows)
    torch.testing.assert_close(found[:, 0], expected[:, 0], **CLOSE)


@torch.no_grad()
def test_an_attention_only_model_s_mlps_write_nothing():
    """Zeroing what they write changes nothing at all, and their hooks are there."""
    model = small_model(d_mlp=0)
    with torch.no_grad():
        for block in model.blocks:
            block.mlp.b_out.zero_()
    batch = TASK.held_out(6)
    logits, cache = model.run_with_cache(batch.tokens)
    assert not cache["blocks.0.hook_mlp_out"].any()
    assert cache["blocks.1.mlp.hook_post"].shape == (6, TASK.n_ctx, 0)
    with intervene(model, [Zero(Site(Component.MLP_OUT, 0)), Zero(Site(Component.MLP_OUT, 1))]):
        assert torch.equal(model(batch.tokens), logits)


def test_gradients_of_other_activations_are_autograd_s():
    model = small_model(activation="silu")
    batch = TASK.sample(4, torch.Generator().manual_seed(2), torch.full((4,), TASK.max_len))
    view = window(TASK, batch)  # without padding, whose rows say what nothing reads
    wanted = model.blocks[0].mlp.W_in
    packed = torch.autograd.grad(packed_logits(model, batch.tokens, view).square().sum(), wanted)
    plain = torch.autograd.grad(model(batch.tokens)[:, view.rows].square().sum(), wanted)
    torch.testing.assert_close(packed, plain, atol=1e-2, rtol=1e-3)


def test_what_native_kernels_do_not_have_they_refuse():
    batch = TASK.held_out(2)
    for kind in KINDS:
        with pytest.raises(UserError, match="are for MLPs of ReLU neurons"):
            native_logits(small_model(**kind), batch.tokens, window(TASK, batch))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"d_mlp": 0, "activation": "gelu"}, "there are no neurons (d_mlp 0) that could be of gel"),
        ({"d_mlp": -1}, "d_mlp must be at least 0, not -1"),
        ({"activation": "tanh"}, "activation must be one of relu, gelu"),
    ],
)
def test_what_cannot_be_is_refused(changes, words, unchecked):
    with pytest.raises(UserError) as refused:
        ModelConfig(**changes)
    assert words in str(refused.value)


def test_relu_and_any_length_are_left_out_of_hashes():
    """Models of the time before there was anything else keep theirs."""
    data = ModelConfig().to_dict()
    assert "activation" not in data and "min_len" not in data["task"]
    other = ModelConfig(Task(4, 5, min_len=3), activation="silu")
    assert other.to_dict()["activation"] == "silu"
    assert ModelConfig.from_dict(other.to_dict()) == other
