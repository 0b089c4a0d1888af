"""Direct logit attribution: parts that sum to the logit, each by slow literal code."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from interp.methods.attribution import (
    Attribution,
    DirectPaths,
    Kind,
    Part,
    against_other_digits,
    difference,
    direct_paths,
    logit_of,
)
from interp.model import SortTransformer
from interp.passes.forward import Run
from interp.passes.packed import Window, window
from interp.sites import Component
from interp.task import BLANK, PAD, SortTask
from tests.models import TASK, small_model

LISTS = [[3, 1, 4, 1], [2, 2], [9], [5, 0, 5, 0, 5, 1]]
NORMS = ["pre", "post", "none"]


def attributed(model: SortTransformer, neurons: bool = False) -> tuple[DirectPaths, Attribution]:
    batch = model.task.encode(LISTS)
    view = window(model.task, batch, digits_only=True)
    target = against_other_digits(batch.tokens, view)
    paths = direct_paths(model, batch.tokens, view, target, neurons=neurons)
    return paths, paths.parts()


def frozen(x: Tensor, through: Tensor, layer_norm: object, eps: float) -> Tensor:
    """A vector through a LayerNorm without its bias, at the scale that another one has."""
    scale = (through.var(-1, unbiased=False) + eps).sqrt()
    return (x - x.mean(-1, keepdim=True)) / scale[..., None] * layer_norm.w  # type: ignore[attr-defined]


def literal_part(model: SortTransformer, run: Run, part: Part, tokens: Tensor) -> Tensor:
    """What a part writes, at every position, carried to the logits by hand."""
    layer = part.layer or 0
    block = model.blocks[layer]
    vector = {
        Kind.TOKEN: lambda: model.embed.effective()[tokens],
        Kind.POSITION: lambda: model.pos_embed.W_pos.expand(len(tokens), -1, -1),
        Kind.HEAD: lambda: run.at(Component.Z, layer)[:, :, part.head] @ block.attn.W_O[part.head],
        Kind.ATTENTION_BIAS: lambda: block.attn.b_O.expand(*tokens.shape, -1),
        Kind.MLP: lambda: run.at(Component.NEURONS, layer) @ block.mlp.W_out,
        Kind.MLP_BIAS: lambda: block.mlp.b_out.expand(*tokens.shape, -1),
    }[part.kind]()
    norm, eps = model.config.norm, model.cfg.eps
    if norm == "post":
        for later in range(layer, model.cfg.n_layers):
            skips_attention = later == layer and part.kind in (Kind.MLP, Kind.MLP_BIAS)
            if not skips_attention:
                summed = run.at(Component.RESID_PRE, later) + run.at(Component.ATTN_OUT, later)
                vector = frozen(vector, summed, model.blocks[later].ln1, eps)
            summed = run.at(Component.RESID_MID, later) + run.at(Component.MLP_OUT, later)
            vector = frozen(vector, summed, model.blocks[later].ln2, eps)
    if norm == "pre":
        final = run.at(Component.RESID_POST, model.cfg.n_layers - 1)
        vector = frozen(vector, final, model.ln_final, eps)
    return vector @ model.W_U


@pytest.mark.parametrize("n_layers", [1, 3])
@pytest.mark.parametrize("norm", NORMS)
def test_parts_sum_to_the_models_logits(norm: str, n_layers: int) -> None:
    model = small_model(norm, n_layers=n_layers)
    _, parts = attributed(model)
    batch = TASK.encode(LISTS)
    rows = TASK.output_rows()
    logits = model(batch.tokens)[:, rows.start : rows.stop, :10].detach()
    for number, values in enumerate(LISTS):
        for row, digit in enumerate(sorted(values)):
            others = [float(logits[number, row, d]) for d in range(10) if d != digit]
            wanted = float(logits[number, row, digit]) - sum(others) / 9
            assert float(parts.values[number, row].sum()) == pytest.approx(wanted, abs=1e-4)
            assert float(parts.total[number, row]) == pytest.approx(wanted, abs=1e-4)
        assert (parts.values[number, len(values) :] == 0).all()  # past the end nothing is asked


@pytest.mark.parametrize("norm", NORMS)
def test_each_part_is_what_it_writes_carried_to_the_end_by_hand(norm: str) -> None:
    model = small_model(norm)
    paths, parts = attributed(model)
    batch = TASK.encode(LISTS)
    whole = Run.from_cache(model, batch.tokens)
    rows = TASK.output_rows()
    assert len(parts.names) == 3 + 2 * (2 + 3)
    for number, part in enumerate(parts.names):
        if part.kind is Kind.CONSTANT:
            continue  # what is left, once the others are right and the sum is
        literal = literal_part(model, whole, part, batch.tokens)[:, rows.start : rows.stop]
        wanted = (literal * paths.target).sum(-1)
        torch.testing.assert_close(
            parts.values[..., number], wanted, atol=1e-4, rtol=0, msg=part.words
        )


@pytest.mark.parametrize("norm", NORMS)
def test_heads_split_by_what_they_read_and_mlps_by_neuron(norm: str) -> None:
    model = small_model(norm)
    paths, parts = attributed(model, neurons=True)
    for layer in range(2):
        by_key = paths.by_source(layer)
        for head in range(2):
            whole = parts.values[..., parts.names.index(Part(Kind.HEAD, layer, head))]
            torch.testing.assert_close(by_key[:, :, head].sum(-1), whole, atol=1e-5, rtol=1e-4)
        rows = TASK.first_output_row + torch.arange(6)
        later = torch.arange(TASK.n_ctx - 1) > rows[:, None]
        assert (by_key.transpose(1, 2)[:, :, later[:, : by_key.shape[-1]]] == 0).all()
        assert (by_key[2, 0, :, : TASK.max_len - 1] == 0).all()  # padding of the list 9
        whole = parts.values[..., parts.names.index(Part(Kind.MLP, layer))]
        torch.testing.assert_close(paths.by_neuron(layer).sum(-1), whole, atol=1e-5, rtol=1e-4)


def test_one_key_is_its_weight_times_what_its_value_writes() -> None:
    model = small_model("none")
    paths, _ = attributed(model)
    whole = Run.from_cache(model, TASK.encode(LISTS).tokens)
    row, key = TASK.first_output_row + 2, TASK.sep_pos
    weight = whole.at(Component.PATTERN, 1)[3, 1, row, key]
    value = whole.at(Component.V, 1)[3, key, 1]
    wanted = weight * (value @ model.blocks[1].attn.W_O[1] @ model.W_U) @ paths.target[3, 2]
    torch.testing.assert_close(paths.by_source(1)[3, 2, 1, key], wanted, atol=1e-5, rtol=1e-4)


def test_without_blanks_and_with_rows_that_predict_blanks() -> None:
    task = SortTask(max_len=3, n_blanks=0)
    model = small_model("pre", task=task)
    batch = task.encode([[2, 1], [0, 5, 5]])
    view = Window(task, 3, 0)  # every position is a row, also of the list itself
    target = against_other_digits(batch.tokens, view)
    assert (target[:, : task.sep_pos] == 0).all()
    parts = direct_paths(model, batch.tokens, view, target).parts()
    torch.testing.assert_close(parts.values.sum(-1), parts.total, atol=1e-4, rtol=0)
    assert (parts.total[:, task.sep_pos] != 0).all()


def test_targets_are_the_weights_they_say() -> None:
    answers = torch.tensor([[1, BLANK, PAD]])
    assert logit_of(SortTask(), answers).nonzero().tolist() == [[0, 0, 1], [0, 1, BLANK]]
    weights = difference(SortTask(), answers, torch.tensor([[2, PAD, 3]]))
    assert weights[0, 0, :3].tolist() == [0.0, 1.0, -1.0]
    assert (weights[0, 1:] == 0).all()
    task = SortTask(max_len=2, n_blanks=2)
    batch = task.encode([[7, 4], [3]])
    weights = against_other_digits(batch.tokens, window(task, batch, digits_only=False))
    assert weights.shape == (2, 4, 12)  # SEP, a blank, and rows that emit two digits
    assert (weights[:, :2] == 0).all()
    wanted = [-1 / 9] * 4 + [1.0] + [-1 / 9] * 5 + [0.0, 0.0]
    assert weights[0, 2].tolist() == pytest.approx(wanted)
    assert (weights[1, 3] == 0).all()


def test_parts_are_named() -> None:
    words = [Part(Kind.HEAD, 1, 4), Part(Kind.MLP, 0), Part(Kind.TOKEN)]
    assert [part.words for part in words] == ["head 1.4", "MLP 0", "token"]
