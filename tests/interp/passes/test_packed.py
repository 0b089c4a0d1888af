"""The fast forward pass against the model it stands in for: values, gradients, dropout, masks."""

import math
from dataclasses import dataclass, field
from functools import partial
from typing import ClassVar

import pytest
import torch
from torch.nn import functional as F

from interp.answers.ablation import published_mask
from interp.config import ModelConfig
from interp.model import SortTransformer
from interp.passes.packed import (
    _BLOCK_ROWS,
    Dropout,
    _BlockedMLP,
    length_sorted,
    packed_logits,
    window,
)
from interp.support.seeds import stream
from interp.task import PAD, SortBatch, SortTask
from tests.models import as_matrix

TASKS = {
    "blanks": SortTask(5, 6),
    "no blanks": SortTask(5, 0),
    "offset": SortTask(5, 0, 6),
    "one blank": SortTask(5, 1),
    "length 1": SortTask(1, 0),
}

all_tasks = pytest.mark.parametrize("task", TASKS.values(), ids=TASKS)
all_norms = pytest.mark.parametrize("norm", ["pre", "post", "none"])


def a_model(task: SortTask, norm: str = "pre", **options) -> SortTransformer:
    """Every parameter random, biases and gains included."""
    sizes = {"d_model": 12, "n_heads": 3, "d_head": 4, "d_mlp": 24}
    model = SortTransformer(ModelConfig(task=task, norm=norm, **{**sizes, **options}))
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            parameter.normal_(0.0, 0.4, generator=stream("test", name))
            parameter.add_(1.0 if name.endswith(".w") else 0.0)
    return model


def some_lists(task: SortTask, n_lists: int = 11) -> SortBatch:
    return task.sample(n_lists, stream("test", "lists"))


def assert_near(got: torch.Tensor, expected: torch.Tensor, rounding: float = 2e-5) -> None:
    """Equal up to float32 rounding, relative to the largest value."""
    atol = rounding * float(expected.detach().abs().max())
    torch.testing.assert_close(got, expected.to(got.dtype), atol=atol, rtol=0)


# -- values -------------------------------------------------------------------------------------


@all_tasks
@all_norms
@pytest.mark.parametrize("digits_only", [True, False])
def test_logits_are_those_of_the_model(task, norm, digits_only):
    model, batch = a_model(task, norm, embed_bias=norm == "post"), some_lists(task)
    view = window(task, batch, digits_only)
    real = (batch.tokens != PAD)[:, view.rows]
    expected = model(batch.tokens)[:, view.rows]
    got = packed_logits(model, batch.tokens, view)
    assert got.shape[1] == (0 if digits_only else task.n_blanks) + int(batch.lengths.max())
    assert_near(got[real], expected[real])


@pytest.mark.parametrize("n_layers", [1, 3])
def test_any_number_of_layers(n_layers):
    task = TASKS["blanks"]
    model, batch = a_model(task, n_layers=n_layers), some_lists(task)
    for digits_only in (True, False):
        view = window(task, batch, digits_only)
        real = (batch.tokens != PAD)[:, view.rows]
        expected = model(batch.tokens)[:, view.rows]
        assert_near(packed_logits(model, batch.tokens, view)[real], expected[real])


def test_a_window_is_cut_to_its_longest_list():
    task = SortTask(48, 49)
    batch = task.encode([[1, 2], [3, 4, 5], [6]])
    everything, digits = window(task, batch), window(task, batch, digits_only=True)
    assert (everything.start, everything.stop, everything.rows) == (45, 100, slice(48, 100))
    assert (digits.start, digits.stop, digits.rows) == (45, 100, slice(97, 100))


def test_groups_hold_every_list_once_longest_first():
    task = SortTask(9, 0)
    batch = task.sample(50, stream("test", 0))
    groups = list(length_sorted(batch, 7))
    assert sorted(i for group in groups for i in group.tolist()) == list(range(50))
    lengths = [batch.lengths[i].item() for group in groups for i in group]
    assert lengths == sorted(lengths, reverse=True)
    assert len(list(length_sorted(batch[:3], 7))) == 3  # no empty group


# -- gradients ----------------------------------------------------------------------------------


def the_loss(logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    return F.cross_entropy(logits.flatten(0, 1), targets.flatten(), ignore_index=PAD)


@all_tasks
@all_norms
@pytest.mark.parametrize("positions", ["sinusoidal", "learned"])
def test_gradients_are_those_of_the_model(task, norm, positions):
    model, batch = a_model(task, norm, positions=positions), some_lists(task)
    targets = task.targets(batch.tokens).where(task.scored(batch.tokens), PAD)
    expected = torch.autograd.grad(the_loss(model(batch.tokens), targets), list(model.parameters()))
    view = window(task, batch)
    loss = the_loss(packed_logits(model, batch.tokens, view), targets[:, view.rows])
    got = torch.autograd.grad(loss, list(model.parameters()))
    scale = max(float(g.abs().max()) for g in expected)
    for (name, _), g, e in zip(model.named_parameters(), got, expected, strict=True):
        torch.testing.assert_close(
            g, e, atol=2e-5 * scale, rtol=0, msg=lambda m, n=name: f"{n}: {m}"
        )
        # A key's bias adds the same to every score of a query, so it has no effect at all.
        idle = name.endswith("b_K") or (task.max_len == 1 and "blocks.1.attn" in name)
        assert idle or "embed" in name or e.abs().max() > 1e-4 * scale, (
            f"{name}: nothing to compare"
        )


@pytest.mark.parametrize("rows", [1, _BLOCK_ROWS, 2 * _BLOCK_ROWS + 7])
def test_the_blocked_mlp_is_an_mlp(rows):
    """In float64 by autograd, for rows that fill blocks and rows that do not."""
    inputs = [(rows, 6), (6, 10), (10,), (10, 6), (6,)]
    inputs = [torch.randn(s, generator=stream("test", i)) for i, s in enumerate(inputs)]
    upstream = torch.randn(rows, 6, generator=stream("test", "grad"))

    def plain(x, w_in, b_in, w_out, b_out):
        return (x @ w_in + b_in).relu() @ w_out + b_out

    results = []
    for f, kind in (
        (plain, torch.float64),
        (lambda *a: _BlockedMLP.apply(*a, None), torch.float32),
    ):
        leaves = [x.to(kind).requires_grad_() for x in inputs]
        out = f(*leaves)
        results.append([out, *torch.autograd.grad(out, leaves, upstream.to(kind))])
    for expected, got in zip(*results, strict=True):
        assert_near(got, expected, 1e-5)


def test_dropout_inside_the_blocked_mlp_is_a_mask_on_the_hidden_units():
    """Value and gradients equal those of autograd with the masks that were drawn."""

    class Kept(Dropout):
        masks: ClassVar[list[torch.Tensor]] = []

        def mask(self, like: torch.Tensor) -> torch.Tensor:
            self.masks.append(super().mask(like))
            return self.masks[-1]

    generator = torch.Generator().manual_seed(0)
    shapes = ((300, 8), (8, 12), (12,), (12, 8), (8,))  # 300 rows: two blocks
    x, w_in, b_in, w_out, b_out = inputs = [
        torch.randn(*s, generator=generator, dtype=torch.float64).requires_grad_() for s in shapes
    ]
    dropout = Kept(0.3, stream("test", 0))
    ours = _BlockedMLP.apply(*inputs, dropout)
    hidden = torch.relu(x @ w_in + b_in) * torch.cat(dropout.masks)
    expected = hidden @ w_out + b_out
    weights = torch.randn(ours.shape, generator=generator, dtype=torch.float64)
    torch.testing.assert_close(ours, expected)
    for got, wanted in zip(
        torch.autograd.grad(ours, inputs, weights),
        torch.autograd.grad(expected, inputs, weights),
        strict=True,
    ):
        torch.testing.assert_close(got, wanted)
    assert set(torch.cat(dropout.masks).unique().tolist()) == {0.0, dropout.scale}


def test_a_hidden_unit_at_exactly_zero_has_no_slope():
    """PyTorch's convention for ReLU; a model compiled by hand has such units."""
    x = torch.tensor([[0.0], [1.0]]).requires_grad_()
    one, zero = torch.ones(1, 1), torch.zeros(1)
    _BlockedMLP.apply(x, one, zero, one, zero, None).sum().backward()
    assert x.grad.tolist() == [[0.0], [1.0]]


# -- dropout ------------------------------------------------------------------------------------


def test_dropout_keeps_the_mean():
    drop = Dropout(0.3, stream("test", 0))
    dropped = drop(torch.full((200_000,), 2.0))
    kept = dropped != 0
    assert kept.float().mean() == pytest.approx(0.7, abs=0.005)
    assert dropped[kept].unique().tolist() == pytest.approx([2 / 0.7], rel=1e-4)
    assert dropped.mean() == pytest.approx(2.0, abs=0.02)


def test_a_dropout_stream_gives_the_same_masks_again():
    x = torch.ones(1000)
    once, again = (Dropout(0.5, stream("test", 1))(x) for _ in range(2))
    assert torch.equal(once, again)
    assert not torch.equal(once, Dropout(0.5, stream("test", 2))(x))


@all_norms
def test_no_dropout_is_dropout_of_nothing(norm):
    task = TASKS["blanks"]
    model, batch = a_model(task, norm), some_lists(task)
    view = window(task, batch)
    real = (batch.tokens != PAD)[:, view.rows]
    none = packed_logits(model, batch.tokens, view)
    zero = packed_logits(model, batch.tokens, view, Dropout(0.0, stream("test", 0)))
    assert_near(zero[real], none[real])


@dataclass(frozen=True)
class Recorder(Dropout):
    """Changes nothing, and notes what it was given (of an MLP's hidden units: asked to mask)."""

    seen: list[torch.Tensor] = field(default_factory=list)

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        self.seen.append(x)
        return x

    def mask(self, like: torch.Tensor) -> torch.Tensor:
        self.seen.append(like.clone())
        return torch.ones_like(like)


@all_norms
def test_dropout_is_where_the_published_encoder_has_it(norm):
    """On the embedding, then in each layer: pattern, attention output, hidden units, MLP output."""
    task = TASKS["blanks"]
    model = a_model(task, norm)
    batch = task.sample(6, stream("test", 0), lengths=torch.full((6,), 5))  # no left padding
    view = window(task, batch)
    recorder = Recorder(0.0, stream("test"))
    packed_logits(model, batch.tokens, view, recorder)
    _, cache = model.run_with_cache(batch.tokens)
    names = ["hook_embed"]
    for layer in range(2):
        parts = ("attn.hook_pattern", "hook_attn_out", "mlp.hook_post", "hook_mlp_out")
        names += [f"blocks.{layer}.{part}" for part in parts]
    assert len(recorder.seen) == len(names)
    cache_of = {**cache, "hook_embed": cache["hook_embed"] + cache["hook_pos_embed"]}
    for name, seen in zip(names, recorder.seen, strict=True):
        expected = cache_of[name]
        rows = view.rows if name.startswith("blocks.1") else slice(view.stop)  # what is computed
        expected = expected[..., rows, :]
        if name.endswith("pattern"):
            expected = expected[..., : view.stop]
        assert_near(seen.view(expected.shape), expected)


def test_dropout_does_not_drop_the_same_units_everywhere():
    task = SortTask(5, 6)
    model = a_model(task, d_mlp=400)
    batch = task.sample(8, stream("test", 0), lengths=torch.full((8,), 5))
    view = window(task, batch)
    logits = [
        packed_logits(model, batch.tokens, view, Dropout(0.1, stream("test", seed)))
        for seed in (0, 1, 0)
    ]
    assert torch.equal(logits[0], logits[2])
    assert not torch.allclose(logits[0], logits[1])
    none = packed_logits(model, batch.tokens, view)
    assert not torch.allclose(logits[0], none)


# -- masks --------------------------------------------------------------------------------------


def by_hooks(model: SortTransformer, tokens: torch.Tensor, blocked: torch.Tensor) -> torch.Tensor:
    """The same mask, on the attention scores of the model itself."""

    def block(scores, hook):
        return scores.masked_fill(blocked, -math.inf)

    hooks = [(f"blocks.{i}.attn.hook_attn_scores", block) for i in range(model.cfg.n_layers)]
    return model.run_with_hooks(tokens, fwd_hooks=hooks)


@all_tasks
@all_norms
@pytest.mark.parametrize("digits_only", [True, False])
def test_blocked_attention_is_blocked_as_by_hooks(task, norm, digits_only):
    model, batch = a_model(task, norm), some_lists(task)
    size = (task.n_ctx, task.n_ctx)
    blocked = torch.rand(size, generator=stream("test", "mask")) < 0.4
    blocked.fill_diagonal_(False)
    view = window(task, batch, digits_only)
    real = (batch.tokens != PAD)[:, view.rows]
    expected = by_hooks(model, batch.tokens, blocked)[:, view.rows]
    got = packed_logits(model, batch.tokens, view, blocked=blocked)
    assert_near(got[real], expected[real])
    if task.max_len > 1:  # positive control: the mask matters
        assert not torch.allclose(got[real], packed_logits(model, batch.tokens, view)[real])


def test_a_position_can_be_hidden_from_itself():
    task = TASKS["blanks"]
    model, batch = a_model(task), some_lists(task)
    blocked = torch.zeros(task.n_ctx, task.n_ctx, dtype=torch.bool)
    rows = torch.arange(task.sep_pos, task.n_ctx)
    blocked[rows, rows] = True
    view = window(task, batch)
    real = (batch.tokens != PAD)[:, view.rows]
    expected = by_hooks(model, batch.tokens, blocked)[:, view.rows]
    got = packed_logits(model, batch.tokens, view, blocked=blocked)
    assert_near(got[real], expected[real])


@pytest.mark.parametrize("last_blank_too", [False, True])
def test_masked_blanks_cannot_be_read(last_blank_too):
    """What the blanks hold cannot change outputs that may not attend to them."""
    task = TASKS["blanks"]
    model, batch = a_model(task), some_lists(task)
    blocked = as_matrix(published_mask(task, last_blank_too), task)
    view = window(task, batch, digits_only=True)
    run = partial(packed_logits, model, batch.tokens, view)
    real = (batch.tokens != PAD)[:, view.rows]
    masked, plain = run(blocked=blocked), run()

    def scramble(x, hook):
        x = x.clone()
        blanks = x[:, task.sep_pos + 1 : task.first_output_row]
        blanks += torch.randn(blanks.shape, generator=stream("test", "noise"))
        return x

    hooks = [("blocks.1.hook_resid_pre", scramble)]
    with model.hooks(fwd_hooks=hooks):
        scrambled = by_hooks(model, batch.tokens, blocked)[:, view.rows]
    first = 0 if last_blank_too else 1
    assert_near(scrambled[:, first:][real[:, first:]], masked[:, first:][real[:, first:]])
    assert not torch.allclose(masked[:, 1:][real[:, 1:]], plain[:, 1:][real[:, 1:]])
    if not last_blank_too:  # row 97 of the published layout is left alone
        assert_near(masked[:, 0], plain[:, 0])
        assert not torch.allclose(scrambled[:, 0], masked[:, 0])
