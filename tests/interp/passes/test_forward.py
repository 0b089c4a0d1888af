"""The editable forward pass against the hooked model, at every site."""

from __future__ import annotations

from typing import get_args

import pytest
import torch
from torch import Tensor

from interp.config import ModelConfig, Sight
from interp.interventions import Intervention, Mask, Zero, edits_of
from interp.model import SortTransformer
from interp.passes.forward import (
    EVERYTHING,
    Edits,
    Passes,
    Run,
    axis_of_positions,
    forward,
    streams_before,
)
from interp.passes.packed import Window, window
from interp.sites import ATTENTION, Component, Frame, Site
from interp.support.errors import UserError
from interp.task import PAD
from tests.models import TASK, small_model

LISTS = [[3, 1, 4, 1], [2, 2], [9], [5, 0, 5, 0, 5, 1]]
ALL = [(component, layer) for layer in range(2) for component in EVERYTHING]


def cut(value: Tensor, component: Component, frame: Frame, like: Tensor) -> Tensor:
    """The part of a whole activation that a frame holds."""
    axis = axis_of_positions(component)
    value = value.narrow(axis, frame.position, like.shape[axis])
    return value.narrow(-1, frame.key, like.shape[-1]) if component in ATTENTION else value


@pytest.mark.parametrize("norm", ["pre", "post", "none"])
@pytest.mark.parametrize("digits_only", [True, False])
def test_every_activation_is_the_hooked_models(norm: str, digits_only: bool) -> None:
    model = small_model(norm)
    batch = TASK.encode(LISTS)
    whole = Run.from_cache(model, batch.tokens)
    ours = forward(model, batch.tokens, window(TASK, batch, digits_only), keep=ALL)
    torch.testing.assert_close(
        ours.logits[3], whole.logits[3, ours.view.rows], atol=2e-5, rtol=1e-4
    )
    for component, layer in ALL:
        mine, frame = ours.at(component, layer), ours.frame(component, layer)
        theirs = cut(whole.at(component, layer), component, frame, mine)
        if component in ATTENTION:  # compare the longest list, which has no padding in the window
            mine, theirs = mine[3], theirs[3]
        else:
            rows = (batch.tokens != PAD)[:, frame.position : frame.position + mine.shape[1]]
            mine, theirs = mine[rows], theirs[rows]
        torch.testing.assert_close(mine, theirs, atol=2e-5, rtol=1e-4, msg=f"{component} {layer}")


@pytest.mark.parametrize("norm", ["pre", "post", "none"])
def test_streams_before_layers_are_those_of_the_whole_pass(norm: str) -> None:
    model = small_model(norm, n_layers=3)
    batch = TASK.encode(LISTS)
    view = window(TASK, batch, digits_only=True)
    whole = forward(model, batch.tokens, view, keep=[(Component.RESID_PRE, n) for n in range(3)])
    for layers in ([2], [0, 1], [1], [0]):
        found = streams_before(model, batch.tokens, view, layers)
        assert list(found) == layers
        for layer in layers:
            assert torch.equal(found[layer], whole.at(Component.RESID_PRE, layer))
    with model.hooks([("blocks.0.hook_resid_mid", lambda value, hook: 2 * value)]):
        touched = streams_before(model, batch.tokens, view, [2])[2]
        theirs = forward(model, batch.tokens, view, keep=[(Component.RESID_PRE, 2)])
    assert torch.equal(touched, theirs.at(Component.RESID_PRE, 2))
    assert not torch.allclose(touched, whole.at(Component.RESID_PRE, 2))


def test_restarting_from_a_base_gives_the_same_bits() -> None:
    model = small_model("pre")
    batch = TASK.encode(LISTS)
    view = window(TASK, batch, digits_only=True)
    base = forward(model, batch.tokens, view, keep=ALL)
    again = forward(model, batch.tokens, view, base=base)
    assert torch.equal(base.logits, again.logits)


CHANGES = [
    Mask(range(10, 16), range(7, 11)),
    Mask((12, 13), (3, 11), layers=(1,), renormalise=False),
    Zero(Site(Component.K, 0, positions=(8,))),
    Zero(Site(Component.V, 1, positions=(12,))),
    Zero(Site(Component.RESID_PRE, 1, positions=(11, 14))),
    Zero(Site(Component.Z, 1, heads=(1,), positions=(15,))),
    Zero(Site(Component.MLP_OUT, 0, positions=(0, 9))),
    Zero(Site(Component.RESID_POST, 1)),
]


@pytest.mark.parametrize("norm", ["pre", "post"])
@pytest.mark.parametrize("change", CHANGES, ids=lambda change: change.words)
def test_what_cannot_change_is_taken_from_the_base(norm: str, change: Intervention) -> None:
    model = small_model(norm)
    batch = TASK.encode(LISTS)
    for digits_only in (True, False):
        view = window(TASK, batch, digits_only)
        base = forward(model, batch.tokens, view, keep=ALL)
        edits = edits_of(model, [change])
        whole = forward(model, batch.tokens, view, edits)
        quick = forward(model, batch.tokens, view, edits, base=base)
        torch.testing.assert_close(quick.logits, whole.logits, atol=2e-5, rtol=1e-4)
        assert not torch.equal(quick.logits, base.logits)


def doubled_keys() -> Edits:
    """Done twice it is something else, so that it shows whether it is."""
    return Edits({(Component.K, layer): (lambda value, here: 2 * value,) for layer in (0, 1)})


@pytest.mark.parametrize("norm", ["pre", "post"])
@pytest.mark.parametrize("change", [*CHANGES, None], ids=str)
def test_passes_that_begin_alike_equal_whole_ones(norm: str, change: Intervention | None) -> None:
    model, given = small_model(norm), TASK.encode(LISTS).tokens.clone()
    edits = doubled_keys() if change is None else edits_of(model, [change])
    view = window(TASK, TASK.encode(LISTS), digits_only=True)
    passes = Passes(model, view, edits)
    for since in (view.start, TASK.first_output_row + 1, TASK.first_output_row + 3):
        given[:, since:] = (given[:, since:] + (since > view.start)) % 10
        whole = forward(model, given, view, edits).logits
        torch.testing.assert_close(passes.logits(given, since), whole, atol=2e-5, rtol=1e-4)


def test_what_comes_before_is_not_computed_again() -> None:
    model, given = small_model("pre"), TASK.encode([[5, 0, 5, 0, 5, 1]]).tokens.clone()
    view = Window(TASK, 6, TASK.first_output_row)
    passes = Passes(model, view, Edits())
    first = passes.logits(given, view.start)
    given[:, view.start] = (given[:, view.start] + 1) % 10
    assert torch.equal(passes.logits(given, view.stop - 1)[:, :-1], first[:, :-1])
    with model.hooks([("blocks.0.hook_resid_mid", lambda value, hook: 2 * value)]):
        whole = forward(model, given, view).logits
        assert torch.equal(passes.logits(given, view.stop - 1), whole)


@pytest.mark.parametrize("sight", get_args(Sight))
def test_a_model_that_may_not_see_everything(sight: Sight) -> None:
    model = SortTransformer(ModelConfig(task=TASK, d_model=16, n_heads=2, d_head=8, sight=sight))
    batch = TASK.encode([[5, 0, 5, 0, 5, 1], [1, 2, 3, 4, 5, 6]])
    view = window(TASK, batch, digits_only=True)
    ours = forward(model, batch.tokens, view).logits
    torch.testing.assert_close(ours, model(batch.tokens)[:, view.rows], atol=2e-5, rtol=1e-4)


def test_with_nothing_to_do_the_base_is_the_answer() -> None:
    model = small_model("pre")
    batch = TASK.encode(LISTS)
    base = forward(model, batch.tokens, window(TASK, batch, digits_only=True), keep=ALL)
    assert torch.equal(forward(model, batch.tokens, base.view, base=base).logits, base.logits)


def test_what_was_not_kept_is_said() -> None:
    model = small_model("pre")
    batch = TASK.encode(LISTS)
    run = forward(model, batch.tokens, Window(TASK, 6, 6))
    with pytest.raises(UserError, match=r"kept no blocks.0.attn.hook_z"):
        run.at(Component.Z, 0)
