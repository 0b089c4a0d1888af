"""The C++ kernels against interp/passes/packed.py, the reference: values, gradients, dropout."""

import copy
import itertools
from dataclasses import dataclass, field

import pytest
import torch

from interp.passes import kernels, native
from interp.passes.native import _ROUND, _Lists, native_logits
from interp.passes.packed import Dropout, Window, packed_logits, window
from interp.support.seeds import stream
from interp.task import PAD, SortTask
from tests.interp.passes.test_packed import (
    TASKS,
    a_model,
    all_norms,
    all_tasks,
    some_lists,
    the_loss,
)

pytestmark = pytest.mark.skipif(
    kernels.missing() is not None, reason=f"no native kernels: {kernels.missing()}"
)


def results(f, model, batch, view, *options) -> list[torch.Tensor]:
    """The logits of what is real, and the gradients of every parameter."""
    logits = f(model, batch.tokens, view, *options)
    targets = model.task.targets(batch.tokens)[:, view.rows]
    loss = the_loss(logits.to(torch.promote_types(logits.dtype, torch.float32)), targets)
    gradients = torch.autograd.grad(loss, list(model.parameters()))
    return [logits[(batch.tokens != PAD)[:, view.rows]].detach(), *gradients]


def distance(got: list[torch.Tensor], exact: list[torch.Tensor]) -> float:
    """The largest difference, relative to the largest logit or to the largest gradient."""
    off = [float((g.double() - e.double()).abs().max()) for g, e in zip(got, exact, strict=True)]
    gradients = max(float(e.abs().max()) for e in exact[1:])
    return max(off[0] / float(exact[0].abs().max()), max(off[1:]) / gradients)


def in_float64(model):
    """A copy whose parameters are of float64: a model refuses to become one, but the plain pass
    computes with whatever parameters it is given."""
    exact = copy.deepcopy(model)
    for parameter in exact.parameters():
        parameter.data = parameter.data.double()
    return exact


def assert_same(model, batch, view, dropout=None, given=lambda: None, blocked=None):
    """The kernels are as near to the plain pass in float64 as float32 allows: to 2e-5, or where the
    plain pass in float32 is farther (without norms values grow), a few times its distance."""
    exact = in_float64(model)
    exact = results(packed_logits, exact, batch, view, given(), blocked)
    plain = results(packed_logits, model, batch, view, given(), blocked)
    native = results(native_logits, model, batch, view, dropout, blocked)
    assert distance(native, exact) < max(2e-5, 4 * distance(plain, exact))
    return native, exact


def in_bfloat16():
    return torch.autocast("cpu", torch.bfloat16)


# -- values and gradients -----------------------------------------------------------------------


@all_tasks
@all_norms
@pytest.mark.parametrize("digits_only", [True, False])
def test_values_and_gradients_are_those_of_the_plain_pass(task, norm, digits_only):
    model = a_model(task, norm, embed_bias=norm == "post", positions="learned")
    batch = some_lists(task)
    view = window(task, batch, digits_only)
    assert_same(model, batch, view)
    native = native_logits(model, batch.tokens, view)
    assert not native[(batch.tokens == PAD)[:, view.rows]].any()


@pytest.mark.parametrize("n_layers", [1, 3])
@pytest.mark.parametrize(("d_head", "n_heads"), [(1, 2), (20, 5), (33, 1)])
def test_any_number_of_layers_and_any_width_of_heads(n_layers, d_head, n_heads):
    task = SortTask(20, 21)
    sizes = {"d_model": 30, "d_mlp": 70, "d_head": d_head, "n_heads": n_heads}
    model = a_model(task, "post", n_layers=n_layers, **sizes)
    batch = task.sample(9, stream("test", "lists"))
    view = window(task, batch)
    assert_same(model, batch, view)


def test_more_rows_than_a_block_of_the_mlp():
    task = SortTask(24, 25)
    model, batch = a_model(task, "post"), task.sample(40, stream("test", "lists"))
    view = window(task, batch)
    assert int((batch.tokens != PAD).sum()) > 3 * 512
    assert_same(model, batch, view)


def test_every_product_has_a_round_number_of_rows():
    """In bfloat16, in which oneDNN would compile it anew for every other number."""
    task, width = SortTask(24, 25), 100
    model = a_model(task, "post", d_model=width, d_mlp=2 * _ROUND)
    batch = task.sample(25, stream("test", "lists"))
    view = window(task, batch)
    assert int((batch.tokens != PAD).sum()) % _ROUND
    with in_bfloat16(), torch.profiler.profile(record_shapes=True) as seen:
        results(native_logits, model, batch, view)
    products = [
        event.input_shapes[0 if event.name == "aten::mm" else 1]
        for event in seen.events()
        if event.name in ("aten::mm", "aten::addmm")
    ]
    all_heads = model.cfg.n_heads * model.cfg.d_head
    widths = {width, all_heads, 2 * all_heads, 3 * all_heads, model.W_U.shape[1]}
    assert len(products) > 20
    assert not {size for shape in products for size in shape if size % _ROUND} - widths


@pytest.mark.parametrize("p", [0.0, 0.3])
def test_what_lies_behind_the_lists_changes_nothing(p, monkeypatch):
    """Neither values nor gradients, nor what is dropped; asked in float32, which shows it."""
    task = TASKS["blanks"]
    model, batch = a_model(task, "post"), some_lists(task)
    view = window(task, batch)

    def found():
        return results(native_logits, model, batch, view, Dropout(p, stream("test")) if p else None)

    without = found()
    monkeypatch.setattr(native, "_multiple", lambda: _ROUND)
    assert distance(found(), without) < 2e-5


def test_nothing_is_read_before_it_is_written():
    """Of rows that nobody reads, too: 0 times whatever lay there may be no number."""
    task = TASKS["blanks"]
    model, batch = a_model(task, "post"), some_lists(task)
    torch.use_deterministic_algorithms(True)  # what is not written is NaN
    try:
        assert torch.empty(3).isnan().all()
        with in_bfloat16():
            found = results(native_logits, model, batch, window(task, batch))
    finally:
        torch.use_deterministic_algorithms(False)
    assert all(each.isfinite().all() for each in found)


@pytest.mark.parametrize("sight", ["outputs-not-blanks", "outputs-not-digits"])
def test_a_models_own_sight_and_further_masks_hold(sight):
    task = TASKS["blanks"]
    model, batch = a_model(task, "post", sight=sight), some_lists(task)
    view = window(task, batch)
    blocked = torch.rand(task.n_ctx, task.n_ctx, generator=stream("test", "mask")) < 0.3
    blocked.fill_diagonal_(False)
    (own, _), (both, _) = (assert_same(model, batch, view, blocked=b) for b in (None, blocked))
    seen = results(native_logits, a_model(task, "post"), batch, view)
    assert not torch.allclose(own[0], seen[0])  # positive controls
    assert not torch.allclose(own[0], both[0])


@all_norms
def test_under_autocast_products_are_made_in_bfloat16(norm):
    """The kernels are as near to float32 as the plain pass is under autocast, and no nearer."""
    task = SortTask(10, 11)
    model = a_model(task, norm, d_model=20, d_mlp=40)
    batch = task.sample(16, stream("test", "lists"))
    view = window(task, batch)
    exact = results(packed_logits, model, batch, view)

    def under_autocast(f):
        def run(*arguments):
            with in_bfloat16():
                return f(*arguments)

        return distance(results(run, model, batch, view), exact)

    plain, native = under_autocast(packed_logits), under_autocast(native_logits)
    assert 0.25 * plain < native < 2 * plain
    assert plain > 1e-3


def test_what_is_not_finite_stays_so():
    """Divergence must be seen: as NaN or infinity in the loss."""
    task = TASKS["blanks"]
    batch = some_lists(task)
    view = window(task, batch)
    for name in ("W_Q", "W_V", "W_O"):
        for wrong in (float("nan"), float("inf")):
            model = a_model(task, "post")
            getattr(model.blocks[0].attn, name).data[0, 0, 0] = wrong
            logits = native_logits(model, batch.tokens, view)
            assert not logits.isfinite().all(), (name, wrong)
    for name in ("W_in", "W_out", "b_in"):
        model = a_model(task, "post")
        getattr(model.blocks[0].mlp, name).data.view(-1)[0] = float("nan")
        assert not native_logits(model, batch.tokens, view).isfinite().all(), name


# -- dropout ------------------------------------------------------------------------------------


def mask(rows: int, width: int, p: float, seed: int) -> torch.Tensor:
    """What the kernels multiply by: 0, or the scale."""
    threshold = Dropout(p, stream("test")).threshold
    return kernels.operators().drop(torch.ones(rows, width), threshold, seed)


def pattern_masks(spans: torch.Tensor, heads: int, threshold: int, seed: int) -> list[torch.Tensor]:
    """What attention's weights are multiplied by, of each list: [head, query, key].

    Read off its output: with queries of zero all weights of a row are equal, and with one-hot
    values the output is the weights.
    """
    rows, queries = int(spans[:, 1].sum()), int((spans[:, 1] - spans[:, 2]).sum())
    width = int(spans[:, 1].max())
    values = torch.zeros(rows, heads, width)
    for first, count in spans[:, :2].tolist():
        values[first : first + count, :, :count] = torch.eye(count)[:, None]
    other = torch.cat([torch.zeros(rows, heads * width), values.flatten(1)], 1)
    nothing = torch.zeros(0, 0, dtype=torch.bool)
    z, _ = kernels.operators().attend_forward(
        torch.zeros(queries, heads * width), other, spans, nothing, heads, threshold, seed
    )
    found = []
    for _, count, skipped, first, _ in spans.tolist():
        weights = z[first : first + count - skipped].unflatten(1, (heads, width)).transpose(0, 1)
        seen = torch.arange(skipped, count)[:, None] + 1.0
        found.append(weights[..., :count] * seen)
    return found


@dataclass(frozen=True)
class Given(Dropout):
    """For the plain pass: the masks that the kernels draw, place by place."""

    lists: _Lists
    layers: int
    heads: int
    seeds: itertools.count = field(default_factory=itertools.count)

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        number, seed = next(self.seeds), self.first_seed
        last = number > 4 * (self.layers - 1)
        seed += number
        real = self.lists.real[:, -x.shape[-2 if x.ndim == 4 else 1] :]
        out = torch.zeros_like(x)
        if x.ndim == 4:  # the pattern: [batch, head, row, key]
            masks = pattern_masks(self.lists.spans[last], self.heads, self.threshold, seed)
            for i, each in enumerate(masks):
                keys = self.lists.real[i].nonzero()[:, 0]
                rows = real[i].nonzero()[:, 0]
                out[i, :, rows[:, None], keys] = each.to(x.dtype)
        else:
            out[real] = mask(int(real.sum()), x.shape[-1], self.p, seed).to(x.dtype)
        return x * out

    def mask(self, like: torch.Tensor) -> torch.Tensor:
        n_lists = len(self.lists.real)
        rows = len(like) // n_lists
        assert rows * n_lists == len(like), "the plain MLP ran in more than one block"
        return self(like.new_ones(n_lists, rows, like.shape[1])).flatten(0, 1)

    @property
    def first_seed(self) -> int:
        """As ``native`` draws it from the same stream."""
        drawn = torch.empty((), dtype=torch.int64)
        generator = torch.Generator().manual_seed(self.generator.initial_seed())
        return int(drawn.random_(0, 2**62, generator=generator)) + 1


@all_norms
@pytest.mark.parametrize("digits_only", [True, False])
@pytest.mark.parametrize("n_layers", [1, 2])
def test_with_the_same_masks_dropout_gives_the_same(norm, digits_only, n_layers):
    task = TASKS["blanks"]
    model, batch = a_model(task, norm, n_layers=n_layers), some_lists(task)
    view = window(task, batch, digits_only)
    nothing = torch.zeros(0, 0, dtype=torch.bool)
    lists = _Lists.of(batch.tokens[:, view.start : view.stop], view, nothing)
    places = []

    def given() -> Given:
        places.append(Given(0.3, stream("test", 5), lists, n_layers, model.config.n_heads))
        return places[-1]

    dropped, _ = assert_same(model, batch, view, Dropout(0.3, stream("test", 5)), given)
    assert [next(each.seeds) for each in places] == [1 + 4 * n_layers] * 2  # every place was asked
    whole = results(native_logits, model, batch, view)  # positive control
    assert not torch.allclose(dropped[0], whole[0], rtol=0.05)


def test_a_stream_gives_the_same_masks_again_and_another_gives_others():
    task = TASKS["blanks"]
    model, batch = a_model(task), some_lists(task)
    view = window(task, batch)
    once, again, other = (
        native_logits(model, batch.tokens, view, Dropout(0.1, stream("test", seed)))
        for seed in (1, 1, 2)
    )
    assert torch.equal(once, again)
    assert not torch.equal(once, other)
    dropout = Dropout(0.1, stream("test", 1))  # and a stream moves on
    first, second = (native_logits(model, batch.tokens, view, dropout) for _ in range(2))
    assert torch.equal(first, once)
    assert not torch.equal(first, second)


@pytest.mark.parametrize("p", [0.1, 0.5, 1 / 65536])
def test_units_are_kept_with_the_probability_of_the_plain_dropout(p):
    """To 4 standard deviations of 4 million units; and scaled so that the mean stays."""
    rows, width = 2000, 2000
    drawn = mask(rows, width, p, seed=7)
    dropped = Dropout(p, stream("test")).threshold / 65536
    assert dropped == pytest.approx(p, abs=0.5 / 65536)
    off = float((drawn == 0).double().mean()) - dropped
    assert abs(off) < 4 * (dropped * (1 - dropped) / drawn.numel()) ** 0.5
    assert drawn.unique().tolist() == pytest.approx([0, 1 / (1 - dropped)], rel=1e-6)


def test_the_numbers_behind_a_mask_are_uniform():
    """Every sixteenth of the range takes a sixteenth: chi squared of 15 degrees of freedom."""
    ones = torch.ones(500, 2000)
    kept = [
        int((kernels.operators().drop(ones, sixteenth * 4096, 3) != 0).sum())
        for sixteenth in range(16)
    ]
    counts = torch.tensor([a - b for a, b in itertools.pairwise([*kept, 0])]).double()
    expected = ones.numel() / 16
    assert kept[0] == ones.numel()
    assert float(((counts - expected) ** 2 / expected).sum()) < 37.7  # p = 0.001


def test_units_are_dropped_independently():
    """Of neighbours, of rows, of lanes of the generators, and of two seeds."""
    rows, width = 1000, 1024
    kept = (mask(rows, width, 0.5, seed=1) != 0).double() - 0.5
    other = (mask(rows, width, 0.5, seed=2) != 0).double() - 0.5
    pairs = {f"{by} apart": (kept[:, by:], kept[:, :-by]) for by in (1, 2, 16, 31, 32, 64)}
    pairs |= {f"{by} rows": (kept[by:], kept[:-by]) for by in (1, 2)}
    pairs["seeds"] = (kept, other)
    for name, (a, b) in pairs.items():
        correlation = 4 * float((a * b).mean())
        assert abs(correlation) < 4.5 / a.numel() ** 0.5, name


def test_attention_drops_each_weight_with_that_probability():
    task = SortTask(30, 31)
    batch = task.sample(40, stream("test", "lists"))
    view = Window(task, 30, task.sep_pos)
    lists = _Lists.of(batch.tokens, view, torch.zeros(0, 0, dtype=torch.bool))
    masks = pattern_masks(lists.spans[0], 3, 6554, seed=11)
    weights = torch.cat([each[:, *torch.tril_indices(*each.shape[1:])].flatten() for each in masks])
    assert weights.numel() > 200_000
    rate = 6554 / 65536
    off = float((weights == 0).double().mean()) - rate
    assert abs(off) < 4 * (rate * (1 - rate) / weights.numel()) ** 0.5
    assert weights[weights != 0].tolist()[:3] == pytest.approx([1 / (1 - rate)] * 3, rel=1e-5)
    heads = torch.stack([each.flatten(1) for each in masks[:1]])[0]
    assert not torch.equal(heads[0], heads[1])  # a head has masks of its own
