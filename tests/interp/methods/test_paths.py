"""Path patching against two literal passes with hooks, its nulls, and models of known paths."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor

from interp.interventions import Mask, Patch, Transplant, edits_of
from interp.methods.paths import Where, path_patch, record_run
from interp.model import SortTransformer
from interp.passes.forward import Run, forward
from interp.passes.packed import Window
from interp.sites import Component, Site
from interp.sorters.compiled import compile_sorter
from interp.support.errors import UserError
from interp.task import Region, SortTask
from tests.models import TASK, small_model

LENGTH = 4
VIEW = Window(TASK, LENGTH, TASK.first_output_row)
BLANKS = TASK.region(Region.BLANKS)
DIGITS = TASK.region(Region.DIGITS, LENGTH)
close = partial(torch.testing.assert_close, atol=3e-5, rtol=1e-4)
alike = partial(torch.allclose, atol=3e-5, rtol=1e-4)


def lists(task: SortTask = TASK, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return task.sample(3, generator, torch.full((3,), LENGTH)).tokens


def two_runs(model: SortTransformer) -> tuple[Tensor, Run, Run]:
    base, donor = lists(seed=1), lists(seed=2)
    return base, record_run(model, base, VIEW), record_run(model, donor, VIEW)


def z(layer: int, head: int, positions: Any = None) -> Site:
    return Site(Component.Z, layer, (head,), positions)


PATHS = {
    "a head to the values of another": ([z(0, 1, BLANKS)], [Site(Component.V, 1, (0,), BLANKS)]),
    "heads to queries, everywhere": ([Site(Component.Z, 0)], [Site(Component.Q, 1)]),
    "an MLP to keys and values": (
        [Site(Component.MLP_OUT, 0, None, BLANKS)],
        [Site(part, 1, (1,), BLANKS) for part in (Component.K, Component.V)],
    ),
    "attention to keys at some positions": (
        [Site(Component.ATTN_OUT, 0, None, (4, 6, 8))],
        [Site(Component.K, 1, None, (4, 8))],
    ),
    "embeddings to values of layer 0": (
        [Site(Component.RESID_PRE, 0, None, DIGITS)],
        [Site(Component.V, 0, (0,), DIGITS)],
    ),
    "embeddings to values of layer 1": (
        [Site(Component.RESID_PRE, 0, None, DIGITS)],
        [Site(Component.V, 1, None, DIGITS)],
    ),
    "attention to the MLP of its layer": ([z(1, 0)], [Site(Component.NEURONS, 1)]),
    "receivers in two layers": (
        [Site(Component.RESID_PRE, 0, None, DIGITS)],
        [Site(Component.K, 0, (1,)), Site(Component.V, 1, (0,))],
    ),
    "a head to the logits": ([z(0, 0)], []),
    "an MLP and a head to the logits": ([Site(Component.MLP_OUT, 0), z(1, 1)], []),
}


def put(value: Tensor, hook: Any, *, donor: Tensor, site: Site) -> Tensor:
    """What a person would write in a hook."""
    out = value.clone()
    for position in range(value.shape[1]) if site.positions is None else site.positions:
        for head in site.heads or [None]:
            where = (slice(None), position) if head is None else (slice(None), position, head)
            out[where] = donor[where]
    return out


def keep(value: Tensor, hook: Any, *, store: dict[str, Tensor]) -> None:
    store[hook.name] = value


def slow(
    model: SortTransformer, base: Tensor, donor: Tensor, senders: list[Site], receivers: list[Site]
) -> Tensor:
    """The definition, literally, on whole sequences."""
    _, old = model.run_with_cache(base)
    _, new = model.run_with_cache(donor)
    still = [
        Site(component, layer)
        for layer in range(model.cfg.n_layers)
        for component in (Component.Z, Component.MLP_OUT)
    ]
    hooks: list[Any] = [(s.hook_name, partial(put, donor=old[s.hook_name], site=s)) for s in still]
    hooks += [(s.hook_name, partial(put, donor=new[s.hook_name], site=s)) for s in senders]
    got: dict[str, Tensor] = {}
    names = {receiver.hook_name for receiver in receivers}
    hooks += [(name, partial(keep, store=got)) for name in names]
    direct = model.run_with_hooks(base, fwd_hooks=hooks)
    if not receivers:
        return direct
    hooks = [(r.hook_name, partial(put, donor=got[r.hook_name], site=r)) for r in receivers]
    return model.run_with_hooks(base, fwd_hooks=hooks)


@pytest.mark.parametrize("norm", ["pre", "post", "none"])
@pytest.mark.parametrize("name", PATHS)
def test_equals_two_passes_with_hooks(norm: str, name: str) -> None:
    model, (senders, receivers) = small_model(norm), PATHS[name]
    tokens, base, donor = two_runs(model)
    fast = path_patch(model, tokens, base, donor, senders, receivers)
    with torch.no_grad():
        expected = slow(model, tokens, lists(seed=2), senders, receivers)[:, VIEW.rows]
    close(fast, expected)
    assert not alike(fast, base.logits)  # every one of these paths does carry


def test_equals_two_passes_across_a_layer_that_is_held_still() -> None:
    model = small_model("pre", n_layers=3)
    tokens, base, donor = two_runs(model)
    senders = [Site(Component.MLP_OUT, 0, None, BLANKS)]
    receivers = [Site(Component.V, 2, None, BLANKS)]
    fast = path_patch(model, tokens, base, donor, senders, receivers)
    with torch.no_grad():
        expected = slow(model, tokens, lists(seed=2), senders, receivers)[:, VIEW.rows]
    close(fast, expected)
    free = forward(model, tokens, VIEW, edits_of(model, [Patch(senders[0], donor)])).logits
    assert not alike(fast, free)


@pytest.mark.parametrize("norm", ["pre", "post", "none"])
@pytest.mark.parametrize("name", PATHS)
def test_a_run_from_itself_is_nothing(norm: str, name: str) -> None:
    model, (senders, receivers) = small_model(norm), PATHS[name]
    tokens, base, _ = two_runs(model)
    patched = path_patch(model, tokens, base, base, senders, receivers)
    if any(receiver.component is Component.NEURONS for receiver in receivers):
        close(patched, base.logits)  # the MLP is computed in one go
    else:
        assert torch.equal(patched, base.logits)


def test_without_norms_the_direct_effect_is_the_senders_part_of_the_logits() -> None:
    """What a head writes goes straight to the unembedding: a matrix product says how much."""
    model = small_model("none")
    tokens, base, donor = two_runs(model)
    fast = path_patch(model, tokens, base, donor, [z(0, 1)])
    delta = (donor.at(Component.Z, 0) - base.at(Component.Z, 0))[:, VIEW.first_row - VIEW.start :]
    written = delta[:, :, 1] @ model.blocks[0].attn.W_O[1] @ model.unembed.W_U
    close(fast - base.logits, written)


@pytest.mark.parametrize("norm", ["pre", "post", "none"])
def test_all_that_is_written_at_the_blanks_is_all_that_is_read_there(norm: str) -> None:
    """With two layers, layer 0 at the blanks to keys and values of layer 1 is a transplant."""
    model = small_model(norm)
    tokens, base, donor = two_runs(model)
    senders = [Site(c, 0, None, BLANKS) for c in (Component.Z, Component.MLP_OUT)]
    receivers = [Site(c, 1, None, BLANKS) for c in (Component.K, Component.V)]
    fast = path_patch(model, tokens, base, donor, senders, receivers)
    edits = edits_of(model, [Transplant(donor, BLANKS, layers=(1,))])
    expected = forward(model, tokens, VIEW, edits).logits
    close(fast, expected)


def test_the_planted_path_and_no_other() -> None:
    """``slots``: the MLP of layer 0 writes blank i, head 1.2 reads its value for output i."""
    task = SortTask(5, 6)
    model = compile_sorter("slots", task).model
    view = Window(task, LENGTH, task.first_output_row)
    base, donor = task.encode([[3, 1, 4, 1]]).tokens, task.encode([[9, 2, 8, 2]]).tokens
    runs = record_run(model, base, view), record_run(model, donor, view)
    blank = task.sep_pos + 1 + 2  # blank 2 feeds output 2

    def answers(senders: list[Site], receivers: list[Site]) -> list[int]:
        return path_patch(model, base, *runs, senders, receivers)[0].argmax(-1).tolist()

    mlp, read = Site(Component.MLP_OUT, 0, None, (blank,)), Site(Component.V, 1, (2,), (blank,))
    assert answers([mlp], [read]) == [1, 1, 8, 4]
    assert answers([mlp], [Site(Component.K, 1, (2,), (blank,))]) == [1, 1, 3, 4]
    assert answers([mlp], [Site(Component.V, 1, (1,), (blank,))]) == [1, 1, 3, 4]
    assert answers([Site(Component.Z, 0, None, (blank,))], [read]) == [1, 1, 3, 4]
    assert answers([Site(Component.MLP_OUT, 0)], []) == [1, 1, 3, 4]


@pytest.mark.parametrize(
    ("sender", "receiver", "words"),
    [
        (Site(Component.MLP_OUT, 1), Site(Component.K, 1), "nothing goes from the MLP output"),
        (Site(Component.Z, 0), Site(Component.K, 0), "nothing goes from the head outputs"),
        (Site(Component.RESID_PRE, 1), Site(Component.NEURONS, 1), "cannot send"),
        (Site(Component.RESID_MID, 0), Site(Component.K, 1), "cannot send"),
        (Site(Component.Z, 0), Site(Component.RESID_PRE, 1), "cannot receive"),
        (Site(Component.Z, 0, (7,)), Site(Component.K, 1), "no head 7"),
        (Site(Component.Z, 0), Site(Component.K, 1, None, (99,)), "99"),
    ],
)
def test_what_is_no_path_is_said(sender: Site, receiver: Site, words: str) -> None:
    model = small_model("pre")
    tokens, base, donor = two_runs(model)
    with pytest.raises(UserError, match=words):
        path_patch(model, tokens, base, donor, [sender], [receiver])


def test_where_chooses_positions_list_by_list() -> None:
    model = small_model("pre")
    tokens, base, donor = two_runs(model)
    chosen = torch.zeros(3, TASK.n_ctx, dtype=torch.bool)
    chosen[0, 7], chosen[1, 9] = True, True  # and none of the third
    window = range(VIEW.start, VIEW.stop)
    limited = [Where(Transplant(donor, window, layers=(1,)), chosen)]
    ours = forward(model, tokens, VIEW, edits_of(model, limited)).logits
    for i, position in enumerate((7, 9)):
        one = edits_of(model, [Transplant(donor, (position,), layers=(1,))])
        expected = forward(model, tokens, VIEW, one).logits[i]
        close(ours[i], expected)
        assert not torch.equal(ours[i], base.logits[i])
    assert torch.equal(ours[2], base.logits[2])


def test_where_does_not_choose_patterns() -> None:
    model = small_model("pre")
    everywhere = torch.ones(3, TASK.n_ctx, dtype=torch.bool)
    with pytest.raises(UserError, match="list by list"):
        edits_of(model, [Where(Mask(range(8, 9), range(7, 8)), everywhere)])
