"""Whatever is on a model, every path computes the model as it is, or says that it cannot.

The yardstick is the model itself, called on whole sequences.
"""

from __future__ import annotations

import copy
import pickle
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from functools import partial
from typing import Any
from unittest import mock

import pytest
import torch
from torch import nn
from torch.nn.utils import parametrize, prune
from transformer_lens.components import MLP

from interp.answers.behaviour import answer
from interp.answers.decode import exact_match, greedy_decode, score
from interp.answers.trials import nothing, run_trials
from interp.checkpoints import save_model
from interp.interventions import (
    Mask,
    Mean,
    Patch,
    Resample,
    Set,
    Zero,
    edits_of,
    intervene,
)
from interp.methods.circuits import ov_circuit, qk_circuit
from interp.methods.lens import everywhere, lens
from interp.methods.patching import patched_logits, record
from interp.model import SortTransformer
from interp.passes.forward import EVERYTHING, Run, axis_of_positions, forward
from interp.passes.packed import Dropout, Window, packed_logits, window
from interp.passes.untouched import touch
from interp.sites import ATTENTION, PER_HEAD, Component, Site
from interp.support.errors import UserError
from interp.support.seeds import stream
from interp.task import PAD
from tests.models import TASK, small_model

LISTS = [[3, 1, 4, 1], [2, 2], [9], [5, 0, 5, 0, 5, 1], [7, 6, 5], [1, 2]]
BATCH = TASK.encode(LISTS)
CLOSED = Mask(range(10, 16), range(7, 11))


def halve(value: Any, hook: Any) -> Any:
    return value / 2


def halve_output(module: nn.Module, inputs: Any, output: Any) -> Any:
    return output / 2


def halve_input(module: nn.Module, inputs: Any) -> Any:
    return (inputs[0] / 2,)


# -- ways to act on a model -----------------------------------------------------------------------


@contextmanager
def handled(*handles: Any) -> Iterator[None]:
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def permanent(model: SortTransformer) -> Any:
    model.add_hook("blocks.0.attn.hook_z", halve, is_permanent=True)
    return nullcontext()


def wrapped_forward(model: SortTransformer) -> Any:
    before = model.blocks[0].mlp.forward
    model.blocks[0].mlp.forward = lambda x: before(x) / 2
    return nullcontext()


def wrapped_method(model: SortTransformer) -> Any:
    attn = model.blocks[1].attn
    before = attn.calculate_z_scores
    attn.calculate_z_scores = lambda v, pattern: before(v, pattern) / 2
    return nullcontext()


def other_module(model: SortTransformer) -> Any:
    class Half(MLP):
        def forward(self, x: Any) -> Any:
            return super().forward(x) / 2

    half = Half(model.cfg)
    half.load_state_dict(model.blocks[0].mlp.state_dict())
    model.blocks[0].mlp = half
    model.setup()
    return nullcontext()


def other_activation(model: SortTransformer) -> Any:
    model.blocks[1].mlp.act_fn = torch.nn.functional.gelu
    return nullcontext()


def other_scale(model: SortTransformer) -> Any:
    model.blocks[1].attn.attn_scale = 1.0
    return nullcontext()


def other_cfg(model: SortTransformer) -> Any:
    model.cfg.output_logits_soft_cap = 0.5
    return nullcontext()


def other_direction(model: SortTransformer) -> Any:
    model.cfg.attention_dir = "bidirectional"
    return nullcontext()


def closed_score(model: SortTransformer) -> Any:
    model.blocks[0].attn.IGNORE.fill_(-2.0)
    return nullcontext()


def own_cfg(model: SortTransformer) -> Any:
    model.blocks[1].attn.cfg = copy.deepcopy(model.cfg)
    model.blocks[1].attn.cfg.attention_dir = "bidirectional"
    return nullcontext()


def parametrised(model: SortTransformer) -> Any:
    class Half(nn.Module):
        def forward(self, x: Any) -> Any:
            return x / 2

    parametrize.register_parametrization(model.blocks[0].attn, "W_O", Half())
    return nullcontext()


def pruned(model: SortTransformer) -> Any:
    prune.random_unstructured(model.blocks[0].mlp, "W_in", 0.5)
    return nullcontext()


def class_forward(model: SortTransformer) -> Any:
    before = MLP.forward
    return mock.patch.object(MLP, "forward", lambda self, x: before(self, x) / 2)


def global_hook(model: SortTransformer) -> Any:
    def hook(module: nn.Module, inputs: Any, output: Any) -> Any:
        return output / 2 if isinstance(module, MLP) else None

    return handled(nn.modules.module.register_module_forward_hook(hook))


WAYS: dict[str, Callable[[SortTransformer], Any]] = {
    "intervene": lambda model: intervene(model, [CLOSED]),
    "hooks": lambda model: model.hooks([("blocks.1.attn.hook_v", halve)]),
    "hooks on the embedding": lambda model: model.hooks([("hook_embed", halve)]),
    "hooks by a filter": lambda model: model.hooks([(lambda name: "mlp_out" in name, halve)]),
    "hooks on the scale of a norm": lambda model: model.hooks([("ln_final.hook_scale", halve)]),
    "a permanent hook": permanent,
    "a forward hook on a part": lambda model: handled(
        model.blocks[0].attn.register_forward_hook(halve_output)
    ),
    "a forward pre-hook": lambda model: handled(
        model.blocks[1].mlp.register_forward_pre_hook(halve_input)
    ),
    "a hook on the model": lambda model: handled(model.register_forward_hook(halve_output)),
    "a global hook": global_hook,
    "a forward of its own": wrapped_forward,
    "a method of its own": wrapped_method,
    "a forward of its class": class_forward,
    "another module": other_module,
    "another activation": other_activation,
    "another scale": other_scale,
    "another setting": other_cfg,
    "another direction": other_direction,
    "another score of what is closed": closed_score,
    "a cfg of a part's own": own_cfg,
    "a parametrised weight": parametrised,
    "a pruned weight": pruned,
}


@pytest.fixture(params=WAYS)
def acted(request: pytest.FixtureRequest, unchecked: None) -> Iterator[SortTransformer]:
    model = small_model()
    before = model(BATCH.tokens)
    with WAYS[request.param](model), torch.no_grad():
        assert not torch.allclose(model(BATCH.tokens), before)  # so that it has something to say
        yield model


def truth(model: SortTransformer) -> torch.Tensor:
    with torch.no_grad():
        return model(BATCH.tokens)


def rows_of(values: torch.Tensor, first: int) -> torch.Tensor:
    """Of rows from ``first`` on, those that have something to say."""
    return values[(TASK.targets(BATCH.tokens) != PAD)[:, first : first + values.shape[1]]]


def near(got: torch.Tensor, wanted: torch.Tensor) -> None:
    torch.testing.assert_close(got, wanted, atol=2e-5, rtol=1e-4)


# -- what obeys -----------------------------------------------------------------------------------


def test_it_is_noticed(acted: SortTransformer) -> None:
    assert touch(acted)


@pytest.mark.parametrize("digits_only", [True, False])
def test_logits_are_the_models(acted: SortTransformer, digits_only: bool) -> None:
    view = window(TASK, BATCH, digits_only)
    wanted = rows_of(truth(acted)[:, view.rows], view.first_row)
    near(rows_of(packed_logits(acted, BATCH.tokens, view), view.first_row), wanted)
    near(rows_of(forward(acted, BATCH.tokens, view).logits, view.first_row), wanted)


def test_every_activation_is_the_models(acted: SortTransformer) -> None:
    places = [(component, layer) for layer in range(2) for component in EVERYTHING]
    whole, view = Run.from_cache(acted, BATCH.tokens), window(TASK, BATCH, digits_only=True)
    run = forward(acted, BATCH.tokens, view, keep=places)
    for component, layer in places:
        mine, frame = run.at(component, layer), run.frame(component, layer)
        axis = axis_of_positions(component)
        theirs = whole.at(component, layer).narrow(axis, frame.position, mine.shape[axis])
        if component in ATTENTION:
            theirs = theirs.narrow(-1, frame.key, mine.shape[-1])
        assert torch.equal(mine, theirs)


def test_scores_are_the_models(acted: SortTransformer) -> None:
    first = TASK.first_output_row
    predicted = truth(acted)[:, first:].argmax(-1)
    targets = TASK.targets(BATCH.tokens)[:, first:]
    found = score(acted, BATCH)
    assert torch.equal(found.right, (predicted == targets) & (targets != PAD))
    told = answer(acted, BATCH).predicted
    assert torch.equal(told, predicted[:, :-1].masked_fill(targets[:, :-1] == PAD, PAD))


def looks_ahead(model: SortTransformer) -> bool:
    """Whether anything attends to what comes later."""
    return any(
        block.attn.cfg.attention_dir == "bidirectional" or block.attn.IGNORE.isfinite()
        for block in model.blocks
    )


def test_decoding_is_the_models(acted: SortTransformer) -> None:
    if looks_ahead(acted):
        with pytest.raises(UserError, match="cannot be decoded token by token"):
            greedy_decode(acted, LISTS)
        return
    decoded = greedy_decode(acted, LISTS)
    for number, values in enumerate(LISTS):
        tokens, said = TASK.encode([values]).tokens, []
        for step in range(len(values)):
            place = TASK.first_output_row + step
            with torch.no_grad():
                said.append(int(acted(tokens)[0, place].argmax()))
            tokens[0, place + 1] = said[-1]
        assert decoded.lists[number] == tuple(said)


def test_trials_are_the_models(acted: SortTransformer) -> None:
    more = Zero(Site(Component.MLP_OUT, 1, positions=range(12, 15)))
    trials = run_trials(acted, BATCH, {"as it is": nothing, "more": lambda chunk: [more]})
    with intervene(acted, [more]):
        both = truth(acted)
    for name, logits in (("as it is", truth(acted)), ("more", both)):
        predicted = logits[:, TASK.first_output_row : -1].argmax(-1)
        assert torch.equal(trials.of(name), predicted.masked_fill(trials.answers == PAD, PAD))


def test_the_lens_is_the_models_at_its_last_depth_or_refuses(acted: SortTransformer) -> None:
    view = everywhere(TASK, BATCH)
    if touch(acted, ("ln_final", "unembed")):
        with pytest.raises(UserError, match="would ignore"):
            lens(acted, BATCH.tokens, view)
        return
    seen = lens(acted, BATCH.tokens, view)
    if not acted._forward_hooks:
        real = (BATCH.tokens != PAD)[:, view.rows]
        near(seen.logits[:, -1][real], truth(acted)[:, view.rows][real])


# -- what refuses ---------------------------------------------------------------------------------

REFUSING: dict[str, Callable[[SortTransformer], Any]] = {
    "QK circuits": lambda model: qk_circuit(model, 0),
    "OV circuits": lambda model: ov_circuit(model, 1),
    "training with dropout": lambda model: packed_logits(
        model, BATCH.tokens, window(TASK, BATCH), Dropout(0.1, stream("test", 0))
    ),
}


@pytest.mark.parametrize("name", REFUSING)
def test_what_cannot_go_through_hooks_says_so(name: str, acted: SortTransformer) -> None:
    with pytest.raises(UserError, match="would ignore") as raised:
        REFUSING[name](acted)
    assert str(raised.value).count("\n") == 0


def test_a_sweep_of_patches_refuses(acted: SortTransformer) -> None:
    batch = TASK.encode([[3, 1, 4], [2, 2, 0]])
    view = window(TASK, batch, digits_only=True)
    runs = [record(acted, batch.tokens, view), record(acted, batch.tokens.flip(0), view)]
    size = view.stop - view.start
    places = torch.eye(size, dtype=torch.bool).expand(2, size, size)
    rows = torch.tensor([5, 5])
    with pytest.raises(UserError, match=r"a sweep of patches .* would ignore"):
        patched_logits(acted, Site(Component.V, 1), *runs, places, rows)


def test_a_model_with_something_on_it_is_not_saved(acted: SortTransformer, tmp_path: Any) -> None:
    with pytest.raises(UserError, match="would ignore"):
        save_model(tmp_path / "m", acted)
    assert not (tmp_path / "m").exists()


# -- what changes nothing -------------------------------------------------------------------------


def test_nothing_is_on_a_new_model() -> None:
    for norm in ("pre", "post", "none"):
        assert touch(small_model(norm)) is None
    model = small_model()
    model.to("cpu")
    model.run_with_cache(BATCH.tokens)
    model.run_with_hooks(BATCH.tokens, fwd_hooks=[("hook_embed", halve)])
    model.reset_hooks()
    model.load_state_dict(model.state_dict())
    model.train().eval().requires_grad_(False)
    model.set_use_attn_result(True)
    assert touch(model) is None
    assert touch(copy.deepcopy(model)) is None
    assert touch(pickle.loads(pickle.dumps(model))) is None  # noqa: S301


def test_a_changed_weight_is_read_at_once() -> None:
    model = small_model()
    with torch.no_grad():
        model.blocks[0].attn.W_O[1] = 0
    model.blocks[1].mlp.W_in = nn.Parameter(model.blocks[1].mlp.W_in * 2)
    assert touch(model) is None
    view = window(TASK, BATCH, digits_only=True)
    got = forward(model, BATCH.tokens, view).logits
    near(rows_of(got, view.first_row), rows_of(truth(model)[:, view.rows], view.first_row))


def test_other_threads_go_on_as_they_were() -> None:
    model = small_model()
    with torch.no_grad():
        before, found = model(BATCH.tokens), []
    with intervene(model, [CLOSED]):
        assert touch(model)
        thread = threading.Thread(target=lambda: found.extend([touch(model), truth(model)]))
        thread.start()
        thread.join()
    assert found[0] is None and torch.equal(found[1], before)


def test_afterwards_it_is_as_before() -> None:
    model = small_model()
    before = score(model, BATCH)
    with intervene(model, [CLOSED]):
        score(model, BATCH)
    assert touch(model) is None and torch.equal(score(model, BATCH).right, before.right)


# -- values that belong to one list ---------------------------------------------------------------


@pytest.mark.parametrize("way", ["inside", "given"])
def test_values_given_list_by_list_meet_their_lists(way: str) -> None:
    """The batch is out of order by length: to sort it would mix lists up."""
    model = small_model()
    other = TASK.encode([values[::-1] for values in LISTS])
    patch = Patch(Site(Component.RESID_PRE, 1), Run.from_cache(model, other.tokens))
    with intervene(model, [patch]):
        predicted = truth(model)[:, TASK.first_output_row :].argmax(-1)
        found = score(model, BATCH) if way == "inside" else None
    found = found or score(model, BATCH, interventions=[patch])
    targets = TASK.targets(BATCH.tokens)[:, TASK.first_output_row :]
    assert torch.equal(found.right, (predicted == targets) & (targets != PAD))


# -- copies, pickles, compiled models -------------------------------------------------------------


@pytest.mark.parametrize("way", ["intervene", "hooks"])
def test_a_copy_made_inside_is_free(way: str) -> None:
    model = small_model()
    before = truth(model)
    with WAYS[way](model):
        copied = copy.deepcopy(model)
        assert touch(copied) is None and torch.equal(truth(copied), before)
        part = copy.deepcopy(model.blocks[1])
        if way == "intervene":
            assert not any(hook.acts(part) for hook in part.attn._forward_hooks.values())
    assert torch.equal(truth(copied), before) and torch.equal(truth(model), before)
    assert all(not module._forward_hooks for module in copied.modules())


def test_a_hook_that_stays_is_copied_and_can_be_taken_away() -> None:
    model = small_model()
    before = truth(model)
    model.add_hook("blocks.0.attn.hook_z", halve)
    copied = copy.deepcopy(model)
    assert torch.equal(truth(copied), truth(model)) and touch(copied)
    copied.reset_hooks()
    assert touch(copied) is None and torch.equal(truth(copied), before)
    assert touch(model)


def test_a_model_is_not_pickled_inside() -> None:
    model = small_model()
    with intervene(model, [CLOSED]), pytest.raises(UserError, match="cannot be pickled"):
        pickle.dumps(model)


def compiled(model: SortTransformer) -> Any:
    return torch.compile(model, backend="eager")


def test_interventions_refuse_a_compiled_model() -> None:
    model = small_model()
    wrapper = compiled(model)
    inside = small_model()
    inside.compile(backend="eager")
    part = small_model()
    part.blocks[0] = torch.compile(part.blocks[0], backend="eager")
    for one in (wrapper, inside, part):
        with pytest.raises(UserError, match="compiled"), intervene(one, [CLOSED]):
            raise AssertionError("never reached")
    with intervene(model, [CLOSED]):  # what was compiled is there still
        pass


def test_a_compiled_model_with_nothing_on_it_is_scored() -> None:
    model = small_model()
    wanted = score(model, BATCH).right
    assert torch.equal(score(compiled(model), BATCH).right, wanted)


@pytest.mark.slow
def test_a_compiled_model_does_not_pass_over_hooks(unchecked: None) -> None:
    model = small_model(n_layers=1)
    wrapper = compiled(model)
    with torch.no_grad():
        near(wrapper(BATCH.tokens), truth(model))
        with model.hooks([("blocks.0.attn.hook_z", halve)]):
            for use in (wrapper, partial(score, batch=BATCH), partial(greedy_decode, lists=LISTS)):
                with pytest.raises(UserError, match="a compiled model does not call hooks"):
                    use(BATCH.tokens) if use is wrapper else use(wrapper)
        near(wrapper(BATCH.tokens), truth(model))


def test_hook_points_that_are_no_part_of_the_model_are_refused() -> None:
    model = small_model()
    model.blocks[0].mlp = MLP(model.cfg)  # without model.setup()
    with (
        pytest.raises(UserError, match=r"blocks\.0\.mlp\.hook_post is part of this model no more"),
        intervene(model, [Zero(Site(Component.NEURONS, 0))]),
    ):
        raise AssertionError("never reached")


def test_another_config_is_noticed() -> None:
    """The hooked model was built by the first one, and does what that says."""
    model = small_model()
    wanted = score(model, BATCH).right
    model.config = replace(model.config, norm="post")
    assert touch(model) == "another config on the model"
    assert torch.equal(score(model, BATCH).right, wanted)


def test_what_is_no_model_is_said() -> None:
    with pytest.raises(UserError, match="DataParallel is no sort transformer"):
        touch(nn.DataParallel(small_model()))


# -- gradients ------------------------------------------------------------------------------------


def test_backward_hooks_and_hooks_on_parameters_are_called() -> None:
    model = small_model()
    view = window(TASK, BATCH, digits_only=True)
    handle = model.blocks[1].mlp.W_in.register_hook(lambda grad: grad * 3)
    with model.hooks(bwd_hooks=[("blocks.0.hook_mlp_out", lambda grad, hook: grad * 2)]):
        wanted = _gradients(model, model(BATCH.tokens)[:, view.rows])
        got = _gradients(model, packed_logits(model, BATCH.tokens, view))
    handle.remove()
    plain = _gradients(model, packed_logits(model, BATCH.tokens, view))
    for name, grad in wanted.items():
        near(got[name], grad)
    near(wanted["blocks.1.mlp.W_in"], 3 * plain["blocks.1.mlp.W_in"])
    near(wanted["blocks.0.mlp.W_out"], 2 * plain["blocks.0.mlp.W_out"])


def _gradients(model: SortTransformer, logits: torch.Tensor) -> dict[str, torch.Tensor]:
    model.zero_grad()
    rows_of(logits, TASK.first_output_row).square().sum().backward()
    return {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}


# -- the editable pass against the hooked model, at random ----------------------------------------


def random_change(model: SortTransformer, draw: Callable[[int], int]) -> Any:
    """Any kind of intervention on any site: whole rows of scores and patterns among them."""
    places = (*EVERYTHING, *ATTENTION * 3)  # these more often
    component = places[draw(len(places))]
    heads = (draw(2),) if component in (*PER_HEAD, *ATTENTION) and draw(2) else None
    positions = None if draw(3) == 0 else tuple(sorted({draw(TASK.n_ctx) for _ in range(4)}))
    keys = None
    if component in ATTENTION and draw(2):
        keys = tuple(sorted({draw(TASK.n_ctx) for _ in range(4)}))
    site = Site(component, draw(2), heads, positions, keys)
    run = Run.from_cache(model, TASK.sample(len(BATCH), stream("test", draw(99))).tokens)
    kinds = (
        lambda: Zero(site),
        lambda: Patch(site, run),
        lambda: Mean(site, run),
        lambda: Resample(site, run, draw(9)),
        lambda: Set(site, torch.tensor(float(draw(3)))),
        lambda: CLOSED,
    )
    return kinds[draw(len(kinds))]()


@pytest.mark.parametrize("norm", ["pre", "post", "none"])
@pytest.mark.parametrize("seed", range(25))
def test_any_composition_is_the_hooked_models(norm: str, seed: int) -> None:
    model, generator = small_model(norm), stream("test compositions", seed)

    def draw(n: int) -> int:
        return int(torch.randint(n, (1,), generator=generator))

    changes = [random_change(model, draw) for _ in range(1 + draw(3))]
    with torch.no_grad(), intervene(model, changes):
        wanted = model(BATCH.tokens)
    for view in (window(TASK, BATCH, True), window(TASK, BATCH, False), Window(TASK, 6, 0)):
        base = forward(
            model, BATCH.tokens, view, keep=[(c, k) for k in range(2) for c in EVERYTHING]
        )
        for kept in (None, base):
            with torch.no_grad():
                run = forward(model, BATCH.tokens, view, edits_of(model, changes), base=kept)
            got, rows = run.logits, wanted[:, view.stop - run.logits.shape[1] : view.stop]
            real = (BATCH.tokens != PAD)[:, view.stop - got.shape[1] : view.stop]
            torch.testing.assert_close(got[real], rows[real], atol=1e-4, rtol=1e-3, equal_nan=True)


def test_whole_rows_of_scores_may_be_zero() -> None:
    """They then attend to everything alike, to padding and to what comes later, too."""
    model, change = small_model(), Zero(Site(Component.SCORES, 0, positions=(12,)))
    with torch.no_grad(), intervene(model, [change]):
        wanted, cache = model.run_with_cache(BATCH.tokens)
    near(cache["blocks.0.attn.hook_pattern"][:, :, 12], torch.full((6, 2, 17), 1 / 17))
    view = window(TASK, BATCH, digits_only=True)
    run = forward(model, BATCH.tokens, view, edits_of(model, [change]))
    near(rows_of(run.logits, 10), rows_of(wanted[:, view.rows], 10))
    with pytest.raises(UserError, match="depend on later tokens"):
        greedy_decode(model, LISTS, interventions=[change])
    assert exact_match(model, 12, interventions=[change]).n == 12
