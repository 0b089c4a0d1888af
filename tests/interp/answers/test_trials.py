"""Trials against whole passes one list at a time, and the kinds of ablation against hooks."""

from __future__ import annotations

from itertools import pairwise

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from interp.answers.ablation import Kind, ablate, control_positions, doses, nested_subsets
from interp.answers.decode import score
from interp.answers.trials import chunks, donors_for, nothing, run_trials, sorted_digits, stratified
from interp.interventions import Mask, intervene
from interp.passes.forward import Run
from interp.sites import Component
from interp.task import PAD, Region, SortTask
from tests.models import TASK, small_model

BLANKS = (7, 8, 9)


@pytest.mark.parametrize("norm", ["pre", "post", "none"])
def test_every_answer_is_that_of_a_whole_pass(norm: str) -> None:
    model = small_model(norm)
    batch = TASK.held_out(20)
    conditions = {
        "as it is": nothing,
        "masked": lambda chunk: [Mask(chunk.rows, BLANKS)],
        "odd": lambda chunk: [Mask(chunk.rows, (9,), layers=(1,), renormalise=False)],
    }
    trials = run_trials(model, batch, conditions)
    for number, (name, condition) in enumerate(conditions.items()):
        for chunk in chunks(model, batch):
            for i, tokens in zip(chunk.index.tolist(), chunk.batch.tokens, strict=True):
                with torch.no_grad(), intervene(model, condition(chunk)):
                    logits = model(tokens)[0, chunk.rows.start : chunk.rows.stop]
                length = int(batch.lengths[i])
                assert trials.predicted[number, i, :length].tolist() == logits.argmax(-1).tolist()
                assert (trials.predicted[number, i, length:] == PAD).all()
                wanted = torch.tensor(sorted(TASK.decode_list(tokens)))
                expected = logits.log_softmax(-1)[torch.arange(length), wanted]
                torch.testing.assert_close(
                    trials.log_prob[number, i, :length], expected, atol=2e-5, rtol=1e-4
                )
        assert trials.exact_match(name).n == 20
    assert torch.equal(trials.exact("as it is"), score(model, batch).exact)


def test_answers_are_the_lists_own_whatever_the_prefix() -> None:
    model = small_model()
    batch = TASK.encode([[5, 1, 3], [2]])
    batch.tokens[:, TASK.prompt_len :] = 0
    trials = run_trials(model, batch, {"as it is": nothing})
    assert trials.answers.tolist() == [[1, 3, 5, PAD, PAD, PAD], [2, PAD, PAD, PAD, PAD, PAD]]
    assert sorted_digits(TASK, batch).tolist() == trials.answers.tolist()


@given(st.lists(st.integers(1, 6), min_size=1, max_size=9), st.integers(0, 99))
def test_chunks_hold_every_list_once_with_donors_of_its_length(
    lengths: list[int], seed: int
) -> None:
    model = small_model()
    batch = TASK.encode([[0] * n for n in lengths])
    donors = donors_for(model, batch, seed)
    seen = []
    for chunk in chunks(model, batch, donors, seed):
        assert set(chunk.batch.lengths.tolist()) == {chunk.length}
        assert torch.equal(chunk.own_donors().tokens, donors.tokens[chunk.index])
        assert chunk.rows == TASK.output_rows(chunk.length)
        seen += chunk.index.tolist()
    assert sorted(seen) == list(range(len(lengths)))


def test_donors_of_other_lengths_are_refused() -> None:
    model = small_model()
    with pytest.raises(ValueError, match="same lengths"):
        next(chunks(model, TASK.encode([[1, 2]]), TASK.encode([[1]])))
    with pytest.raises(ValueError, match="without donors"):
        next(chunks(model, TASK.encode([[1, 2]]))).own_donor()


@pytest.mark.parametrize("kind", list(Kind))
def test_a_kind_of_ablation_is_what_it_says(kind: Kind) -> None:
    """Read off the keys, values and patterns that a hooked run under it holds."""
    model = small_model("pre")
    batch = TASK.encode([[3, 1, 4], [1, 5, 9]])
    donors = donors_for(model, batch, 0)
    chunk = next(chunks(model, batch, donors))
    plain = Run.from_cache(model, batch.tokens)
    with intervene(model, ablate(kind, chunk, BLANKS)):
        run = Run.from_cache(model, batch.tokens)
    other = Run.from_cache(model, donors.tokens)
    rows = slice(chunk.rows.start, chunk.rows.stop)
    for component in (Component.K, Component.V):
        own, got = (r.at(component, 1)[:, 7:10] for r in (plain, run))
        if kind is Kind.RESAMPLE:
            torch.testing.assert_close(got, other.at(component, 1)[:, 7:10])
        elif kind is Kind.ZERO:
            assert (got == 0).all() and (run.at(component, 0)[:, 7:10] == 0).all()
        elif kind is Kind.MEAN:
            reference = chunk.reference.at(component, 1).mean(0)
            start = chunk.reference.view.start
            expected = reference[7 - start : 10 - start].expand_as(got)
            torch.testing.assert_close(got, expected)
        else:
            assert torch.equal(got[0], own[0])  # blanks are no output rows: theirs go on
    for layer in range(2):
        pattern = run.at(Component.PATTERN, layer)[:, :, rows]
        total = pattern.sum(-1)
        if kind is Kind.MASK:
            assert (pattern[..., 7:10] == 0).all()
            torch.testing.assert_close(total, torch.ones_like(total))
        elif kind is Kind.MASK_KEPT:
            assert (pattern[..., 7:10] == 0).all() and (total < 1).all()
        else:
            assert (pattern[..., 7:10] > 0).all()


def test_controls_are_digits_and_outputs_of_the_list() -> None:
    task = SortTask()
    for length in (1, 7, 48):
        chosen = control_positions(task, length, 49, seed=3)
        allowed = {*task.region(Region.DIGITS, length), *task.region(Region.OUTPUTS, length)}
        assert set(chosen) <= allowed and len(chosen) == min(49, 2 * length - 1)
        assert chosen == control_positions(task, length, 49, seed=3)


def test_subsets_grow_one_within_the_next() -> None:
    sizes = doses(48)
    assert sizes == [1, 2, 4, 8, 16, 32, 48] and doses(1) == [1]
    subsets = nested_subsets(range(49, 97), sizes, seed=0)
    assert [len(s) for s in subsets] == sizes
    assert all(set(a) < set(b) for a, b in pairwise(subsets))
    assert set(subsets[-1]) == set(range(49, 97))


@given(st.integers(1, 40), st.integers(1, 60))
def test_a_stratified_batch_has_few_lengths_up_to_the_longest(n: int, max_len: int) -> None:
    model = small_model(task=SortTask(max_len, 1))
    lengths = stratified(model, n, 0).lengths
    assert len(lengths) == n and len(lengths.unique()) == min(12, n, max_len)
    assert int(lengths.max()) == max_len and int(lengths.min()) >= 1
