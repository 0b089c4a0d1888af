"""Interventions: against hooks written by hand, exact nulls, and models shared by threads."""

from __future__ import annotations

import threading
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from interp.answers.decode import greedy_decode, score
from interp.interventions import (
    Freeze,
    Intervention,
    Mask,
    Mean,
    Patch,
    Resample,
    Set,
    Transplant,
    Zero,
    edits_of,
    intervene,
)
from interp.model import SortTransformer
from interp.passes.bare import BareTransformer
from interp.passes.forward import EVERYTHING, Run, forward
from interp.passes.packed import window
from interp.sites import ATTENTION, PER_HEAD, Component, Site, all_sites, spans
from interp.support.errors import UserError
from interp.task import SortTask
from tests.models import TASK, cached_decode, small_model

LISTS = [[3, 1, 4, 1], [2, 2, 7, 0], [9, 9, 9, 9]]
OTHERS = [[0, 8, 8, 2], [1, 1, 1, 1], [6, 5, 4, 3]]
BLANKS = range(7, 10)  # all but the last
ROWS = range(10, 14)  # the four that emit a list of four


@pytest.fixture(scope="module")
def model() -> SortTransformer:
    return small_model("pre")


def tokens(lists: list[list[int]]) -> Tensor:
    return TASK.encode(lists).tokens


def hooked(model: SortTransformer, interventions: list[Intervention]) -> Tensor:
    with torch.no_grad(), intervene(model, interventions):
        return model(tokens(LISTS))[:, ROWS.start : ROWS.stop]


def packed(model: SortTransformer, interventions: list[Intervention]) -> Tensor:
    batch = TASK.encode(LISTS)
    view = window(TASK, batch, digits_only=True)
    with torch.no_grad():
        return forward(model, batch.tokens, view, edits_of(model, interventions)).logits


def by_hand(model: SortTransformer, name: str, change: Callable[[Tensor], None]) -> Tensor:
    """The logits when ``change`` writes into a copy of one activation."""

    def hook(value: Tensor, hook: Any) -> Tensor:
        value = value.clone()
        change(value)
        return value

    with torch.no_grad():
        logits = model.run_with_hooks(tokens(LISTS), fwd_hooks=[(name, hook)])
    return logits[:, ROWS.start : ROWS.stop]


def same(a: Tensor, b: Tensor) -> None:
    torch.testing.assert_close(a, b, atol=2e-5, rtol=1e-4)


def both(model: SortTransformer, interventions: list[Intervention], expected: Tensor) -> None:
    same(hooked(model, interventions), expected)
    same(packed(model, interventions), expected)


@pytest.mark.parametrize("norm", ["pre", "post", "none"])
@pytest.mark.parametrize("component", EVERYTHING)
def test_patching_is_what_a_hook_does(norm: str, component: Component) -> None:
    model = small_model(norm)
    donor = Run.from_cache(model, tokens(OTHERS))
    positions = (3, 8, 10, 11)
    heads = (1,) if component in (*PER_HEAD, *ATTENTION) else None
    for layer in range(2):
        site = Site(component, layer, heads, positions)
        source = donor.at(component, layer)

        def change(value: Tensor, source: Tensor = source) -> None:
            if component in ATTENTION:
                value[:, 1, positions] = source[:, 1, positions]
            elif component in PER_HEAD:
                value[:, positions, 1] = source[:, positions, 1]
            else:
                value[:, positions] = source[:, positions]

        expected = by_hand(model, site.hook_name, change)
        both(model, [Patch(site, donor)], expected)
        assert component is Component.SCORES or not torch.equal(expected, hooked(model, []))


def test_zero_and_mean_are_what_a_hook_does(model: SortTransformer) -> None:
    reference = Run.from_cache(model, tokens(OTHERS))
    site = Site(Component.V, 1, positions=BLANKS)

    def zero(value: Tensor) -> None:
        value[:, 7:10] = 0

    def mean(value: Tensor) -> None:
        value[:, 7:10] = reference.at(Component.V, 1).mean(0)[7:10]

    both(model, [Zero(site)], by_hand(model, site.hook_name, zero))
    both(model, [Mean(site, reference)], by_hand(model, site.hook_name, mean))


def test_resampling_takes_whole_lists_by_seed(model: SortTransformer) -> None:
    reference = Run.from_cache(model, tokens(OTHERS))
    site = Site(Component.RESID_PRE, 1, positions=BLANKS)
    drawn = hooked(model, [Resample(site, reference, seed=5)])
    assert torch.equal(drawn, hooked(model, [Resample(site, reference, seed=5)]))
    donors = []
    for other in range(3):
        source = reference.at(Component.RESID_PRE, 1)[other]
        donors.append(hooked(model, [Set(site, source[None].expand(3, -1, -1))]))
    for i in range(3):
        assert sum(torch.equal(drawn[i], donor[i]) for donor in donors) == 1
    same(packed(model, [Resample(site, reference, seed=5)]), drawn)


def test_masking_with_and_without_renormalisation(model: SortTransformer) -> None:
    def scores(value: Tensor) -> None:
        value[:, 0, 11:, 7:11] = -torch.inf

    def weights(value: Tensor) -> None:
        value[:, 0, 11:, 7:11] = 0

    queries, keys = range(11, 14), range(7, 11)
    mask = Mask(queries, keys, layers=(1,), heads=(0,))
    both(model, [mask], by_hand(model, "blocks.1.attn.hook_attn_scores", scores))
    kept = Mask(queries, keys, layers=(1,), heads=(0,), renormalise=False)
    both(model, [kept], by_hand(model, "blocks.1.attn.hook_pattern", weights))


def test_a_row_with_nothing_left_gathers_nothing(model: SortTransformer) -> None:
    mask = Mask(range(11, 14), range(TASK.n_ctx), layers=(1,))
    zero = Zero(Site(Component.Z, 1, positions=range(11, 14)))
    assert hooked(model, [mask]).isfinite().all()
    both(model, [mask], hooked(model, [zero]))


def test_freezing_keeps_patterns_while_contents_change(model: SortTransformer) -> None:
    donor = Run.from_cache(model, tokens(OTHERS))
    both(
        model,
        [Freeze(donor)],
        hooked(
            model,
            [Patch(Site(Component.PATTERN, 0), donor), Patch(Site(Component.PATTERN, 1), donor)],
        ),
    )


def test_a_transplant_is_keys_and_values(model: SortTransformer) -> None:
    donor = Run.from_cache(model, tokens(OTHERS))
    parts = [Patch(Site(c, 1, positions=BLANKS), donor) for c in (Component.K, Component.V)]
    both(model, [Transplant(donor, BLANKS, layers=(1,))], hooked(model, parts))
    both(model, [Transplant(donor, BLANKS, layers=(1,), keys=False)], hooked(model, parts[1:]))
    both(model, [Transplant(donor, BLANKS, layers=(1,), values=False)], hooked(model, parts[:1]))


def test_they_act_in_the_order_given(model: SortTransformer) -> None:
    site = Site(Component.RESID_PRE, 1, positions=BLANKS)
    one, zero = Set(site, torch.ones(())), Zero(site)
    both(model, [one, zero], hooked(model, [zero]))
    both(model, [zero, one], hooked(model, [one]))
    with torch.no_grad(), intervene(model, [one]), intervene(model, [zero]):
        inner = model(tokens(LISTS))[:, ROWS.start : ROWS.stop]
    same(inner, hooked(model, [zero]))


# -- nulls --------------------------------------------------------------------------------------


@pytest.mark.parametrize("norm", ["pre", "post"])
def test_a_run_put_into_itself_changes_no_bit(norm: str) -> None:
    model = small_model(norm)
    batch = TASK.encode(LISTS)
    whole = Run.from_cache(model, batch.tokens)
    everything = [Patch(Site(c, layer), whole) for layer in range(2) for c in EVERYTHING]
    own: list[Intervention] = [*everything, Transplant(whole, BLANKS), Freeze(whole)]
    assert torch.equal(hooked(model, own), hooked(model, []))
    places = [(c, layer) for layer in range(2) for c in EVERYTHING]
    view = window(TASK, batch, digits_only=True)
    with torch.no_grad():
        run = forward(model, batch.tokens, view, keep=places)
        edits = edits_of(model, [Patch(Site(*place), run) for place in places])
        again = forward(model, batch.tokens, view, edits, base=run, keep=places)
        plain = forward(model, batch.tokens, view, keep=places)
    assert torch.equal(again.logits, plain.logits)


@given(st.integers(0, 3), st.sampled_from(EVERYTHING), st.integers(0, 13), st.integers(0, 1))
def test_later_positions_cannot_change_earlier_rows(
    row: int, component: Component, position: int, layer: int
) -> None:
    """Causality: exactly, whatever is put in."""
    model = small_model("post")
    site = Site(component, layer, positions=(position,))
    plain, changed = (hooked(model, i) for i in ([], [Set(site, torch.full((), 3.0))]))
    if position > ROWS[row]:
        assert torch.equal(plain[:, row], changed[:, row])


def test_equal_runs_have_nothing_to_give(model: SortTransformer) -> None:
    donor = Run.from_cache(model, tokens(LISTS))
    for site in all_sites(2):
        assert torch.equal(hooked(model, [Patch(site, donor)]), hooked(model, []))


# -- refusals, exceptions, threads ---------------------------------------------------------------


@pytest.mark.parametrize(
    ("intervention", "words"),
    [
        (Zero(Site(Component.Z, 2)), "no layer 2: this model has 0 to 1"),
        (Zero(Site(Component.Z, 0, heads=(2,))), "no head 2: this model has 0 to 1"),
        (Zero(Site(Component.Z, 0, positions=(17,))), "no position 17: this model has 0 to 16"),
        (Zero(Site(Component.MLP_OUT, 0, heads=(0,))), "has no heads"),
        (Zero(Site(Component.Z, 0, keys=(0,))), "keys are chosen in patterns"),
        (Mask((3,), (99,)), "no key position 99"),
        (Mask((3,), (2,), layers=(-1,)), "no layer -1"),
    ],
)
def test_what_does_not_exist_is_refused_before_anything_runs(
    model: SortTransformer, intervention: Intervention, words: str
) -> None:
    with pytest.raises(UserError, match=words), intervene(model, [intervention]):
        pytest.fail("the block was entered")
    assert clean(model)


def test_a_run_of_other_lists_is_refused(model: SortTransformer) -> None:
    donor = Run.from_cache(model, tokens(OTHERS[:2]))
    with pytest.raises(UserError, match="of 2 lists, the run has 3"):
        hooked(model, [Patch(Site(Component.Z, 0), donor)])
    assert clean(model)


def test_positions_that_a_run_skipped_are_refused(model: SortTransformer) -> None:
    batch = TASK.encode(OTHERS)
    view = window(TASK, batch, digits_only=True)
    donor = forward(model, batch.tokens, view, keep=[(Component.Z, 1)])
    with pytest.raises(UserError, match="did not compute position 8; it has 10-13"):
        edits_of(model, [Patch(Site(Component.Z, 1, positions=(8,)), donor)])


def clean(model: SortTransformer) -> bool:
    return not any(point._forward_hooks for point in model.hook_dict.values())


def test_an_exception_inside_leaves_the_model_clean(model: SortTransformer) -> None:
    plain = hooked(model, [])

    def fail(value: Tensor, frame: Any) -> Tensor:
        raise RuntimeError("in the middle")

    class Failing:
        words = "fails"

        def changes(self, model: SortTransformer) -> list[tuple[Site, Any]]:
            return [(Site(Component.MLP_OUT, 0), fail)]

    mask = Mask(ROWS, BLANKS)
    with pytest.raises(RuntimeError, match="in the middle"), intervene(model, [mask, Failing()]):
        model(tokens(LISTS))
    assert clean(model) and torch.equal(hooked(model, []), plain)


def test_resetting_hooks_inside_does_not_take_ours(model: SortTransformer) -> None:
    mask = Mask(ROWS, BLANKS)
    expected = hooked(model, [mask])
    with torch.no_grad(), intervene(model, [mask]):
        model.run_with_cache(tokens(LISTS))
        model.reset_hooks()
        again = model(tokens(LISTS))[:, ROWS.start : ROWS.stop]
    assert torch.equal(again, expected)


def test_the_cache_holds_what_the_interventions_made(model: SortTransformer) -> None:
    site = Site(Component.RESID_PRE, 1, positions=BLANKS)
    with torch.no_grad(), intervene(model, [Zero(site)]):
        _, cache = model.run_with_cache(tokens(LISTS))
    assert (cache[site.hook_name][:, 7:10] == 0).all()


def test_threads_share_a_model_and_see_their_own_interventions(model: SortTransformer) -> None:
    choices: list[list[Intervention]] = [
        [],
        [Mask(ROWS, BLANKS)],
        [Zero(Site(Component.Z, 0))],
        [Zero(Site(Component.MLP_OUT, 1)), Mask(ROWS, BLANKS, renormalise=False)],
    ]
    expected = [hooked(model, interventions) for interventions in choices]
    start, wrong = threading.Barrier(len(choices)), []

    def visit(number: int) -> None:
        start.wait()
        for _ in range(40):
            if not torch.equal(hooked(model, choices[number]), expected[number]):
                wrong.append(number)

    threads = [threading.Thread(target=partial(visit, n)) for n in range(len(choices))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong and clean(model)
    assert len({e.sum().item() for e in expected}) == len(choices)  # they do differ


def test_positions_are_absolute_with_a_kv_cache(model: SortTransformer) -> None:
    """Masked greedy decoding, step by step, against whole passes over what it said."""
    mask = Mask(range(11, 16), range(7, 11))
    with intervene(model, [mask]):
        decoded = torch.stack([cached_decode(model, values) for values in LISTS])
        prompt = tokens(LISTS)[:, : TASK.prompt_len]
        said = decoded.argmax(-1)
        with torch.no_grad():
            whole = model(torch.cat([prompt, said[:, :-1]], 1))[:, -4:]
    same(decoded, whole.softmax(-1))
    same(decoded, greedy_decode(model, LISTS, interventions=[mask]).probabilities)
    plain = greedy_decode(model, LISTS).probabilities
    assert not torch.allclose(plain[:, 1:], decoded[:, 1:])


@pytest.mark.parametrize("task", [SortTask(3, 0), SortTask(1, 2), SortTask(9, 1)])
def test_other_tasks(task: SortTask) -> None:
    model = small_model("pre", task=task)
    batch = task.encode([[5] * task.max_len, [1] * task.max_len])
    view = window(task, batch, digits_only=True)
    donor = forward(model, batch.tokens.flip(0), view, keep=[(Component.V, 1)])
    swap = Patch(Site(Component.V, 1, positions=range(task.max_len + 1)), donor)
    with torch.no_grad():
        ours = forward(model, batch.tokens, view, edits_of(model, [swap])).logits
        with intervene(model, [swap]):
            theirs = model(batch.tokens)[:, view.rows]
    same(ours, theirs)


def test_words() -> None:
    site = Site(Component.V, 1, heads=(0, 2), positions=range(7, 10))
    assert site.words == "values of heads 1.0, 1.2, positions 7-9"
    assert spans([5, 3, 4, 9]) == "3-5, 9" and spans([]) == "none"
    assert Mask((11,), range(7, 11), layers=(1,)).words == "11 may not attend to 7-10 in layer 1"
    assert Zero(site).words.endswith("positions 7-9: zero")


def test_lists_and_runs_of_another_task_are_refused() -> None:
    """Their positions mean something else; what was computed of them meant nothing."""
    model, other = small_model(), small_model(task=SortTask(5, 3))
    lists = [[3, 1, 4]]
    with pytest.raises(UserError, match="not laid out for"):
        score(model, other.task.encode(lists))
    same_width = SortTask(4, 8)
    assert same_width.n_ctx == model.task.n_ctx
    with pytest.raises(UserError, match="not laid out for"):
        score(model, same_width.encode(lists))
    run, site = Run.from_cache(other, other.task.encode(lists).tokens), Site(Component.Z, 0)
    for change in (Patch(site, run), Mean(site, run), Resample(site, run), Freeze(run)):
        with pytest.raises(UserError, match="the run to take values from is of"):
            score(model, model.task.encode(lists), interventions=[change])


def test_bare_parameters_have_no_hooks() -> None:
    model = small_model()
    bare = BareTransformer(model.config, dict(model.state_dict()))
    with pytest.raises(UserError, match="open it with load_model"), intervene(bare, []):
        raise AssertionError("never reached")
