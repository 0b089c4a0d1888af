"""Probes: features that hold a target or nothing, exact baselines, scores by hand."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from interp.methods.probe_fits import Cell, Kind, best_guess, held_out, scaled, targets_of
from interp.methods.probes import (
    ProbeSet,
    blank_streams,
    probe,
    probe_sites,
    probed_blanks,
    probing_lists,
)
from interp.sites import Component, Site
from interp.support.errors import UserError
from interp.task import N_DIGITS, SortTask
from tests.models import TASK, small_model

COUNTS = slice(1, -1)


# -- lists, baselines, features ------------------------------------------------------------------


@pytest.mark.parametrize("length", [1, 2, 3])
def test_the_best_guess_is_the_commonest_sorted_digit_of_all_lists(length: int) -> None:
    answers = torch.tensor([sorted(values) for values in product(range(N_DIGITS), repeat=length)])
    for j in range(length):
        counted = answers[:, j].bincount(minlength=N_DIGITS)
        guess = int(best_guess(SortTask(), j, torch.tensor([length])))
        assert counted[guess] == counted.max()


def test_the_best_guess_follows_the_length() -> None:
    assert best_guess(SortTask(), 4, torch.tensor([5, 9, 48])).tolist() == [
        9,
        4,
        0,
    ]  # last, middle, early


@given(st.integers(0, 5))
def test_copies_of_a_list_are_never_on_both_sides(seed: int) -> None:
    batch = SortTask(2, 3).sample(200, torch.Generator().manual_seed(seed))
    held = held_out(batch, seed)
    texts = ["".join(map(str, row)) for row in batch.tokens.tolist()]
    fitted = {text for text, out in zip(texts, held, strict=True) if not out}
    scored = {text for text, out in zip(texts, held, strict=True) if out}
    assert fitted and scored and not fitted & scored


def test_long_lists_are_drawn_more_often() -> None:
    lengths = probing_lists(SortTask(4, 5), 10_000, seed=0).lengths
    shares = lengths.bincount(minlength=5)[1:] / 10_000
    torch.testing.assert_close(shares, torch.tensor([0.1, 0.2, 0.3, 0.4]), atol=0.02, rtol=0)
    assert probing_lists(SortTask(4, 5), 50, 0, length=3).lengths.tolist() == [3] * 50


def test_which_blanks_are_probed() -> None:
    assert probed_blanks(SortTask(48, 49), 12) == tuple(range(0, 48, 4))
    assert probed_blanks(SortTask(6, 4), 12) == (0, 1, 2)  # not the last, an output row
    assert probed_blanks(SortTask(3, 9), 12) == (0, 1, 2)  # no sorted[j] beyond
    assert probed_blanks(SortTask(6, 1), 12) == (0,)
    with pytest.raises(UserError, match="no blanks"):
        probed_blanks(SortTask(6, 0), 12)


@pytest.mark.parametrize("norm", ["pre", "post", "none"])
def test_streams_are_those_of_the_hooked_model(norm: str) -> None:
    model = small_model(norm)
    batch = TASK.held_out(40)  # more than go through at once
    cache = model.run_with_cache(batch.tokens)[1]
    at = [TASK.sep_pos + 1, TASK.sep_pos + 3]
    for sites in (probe_sites(2), probe_sites(2)[:2], probe_sites(2)[1:2]):
        streams = blank_streams(model, batch, [0, 2], sites)
        for site, found in zip(sites, streams, strict=True):
            torch.testing.assert_close(found, cache[site.hook_name][:, at], atol=1e-5, rtol=0)


def test_a_probe_of_one_site_is_that_of_all_at_it() -> None:
    model, lists = small_model(), probing_lists(TASK, 300, 0)
    every = probe(model, lists, [0, 2])
    one = probe(model, lists, [0, 2], sites=[every.key_site])
    assert one.key_site == every.key_site == probe_sites(2)[1]
    for what in ("sorted", "counts"):
        kinds = [(found.score(what, Kind.TRAINED, found.key_site)) for found in (one, every)]
        assert kinds[0] == kinds[1]


# -- one cell: features of known content ---------------------------------------------------------


def cell(j: int = 2, n_lists: int = 900) -> Cell:
    batch = TASK.sample(n_lists, torch.Generator().manual_seed(3))
    return Cell.of(TASK, batch, held_out(batch, 0), j, seed=0)


def scores(found: Cell, features: np.ndarray, twin: np.ndarray) -> np.ndarray:
    """[target, kind] means over test lists."""
    return 1 - found.errors(features, twin).mean(2)


def test_labels_are_those_of_the_lists() -> None:
    batch = TASK.encode([[3, 1, 4, 1, 5], [2, 0], [9] * 6] * 20)
    found = Cell.of(TASK, batch, torch.arange(60) % 2 == 0, 2, seed=0)
    assert not set(found.train) & set(found.test)
    assert all(index % 3 != 1 for index in (*found.train, *found.test))  # 2 0 has no sorted[2]
    assert found.digits[0][0] == 3 and found.digits[0][2] == 9
    assert found.values[0][0].tolist() == [0, 2, 2, 3, 4, 5, 5, 5, 5, 5]


def test_features_that_hold_everything_are_read_and_noise_is_not() -> None:
    found, generator = cell(), np.random.default_rng(0)
    everything = np.concatenate([np.eye(N_DIGITS)[found.digits[0]], found.values[0]], 1)
    noise = generator.standard_normal((len(everything), 5))
    told = scores(found, everything, noise)
    trained, control, untrained, baseline = told.T
    assert trained[0] == 1.0 and (trained[1:] > 0.999).all()
    assert (control[COUNTS] < 0.35).all()  # the labels are arbitrary, but by type
    assert (np.abs(untrained[1:]) < 0.1).all() and untrained[0] < 0.3
    assert baseline[0] < 0.5


def test_a_control_label_is_a_function_of_the_true_label_and_the_last_digit() -> None:
    batch = TASK.sample(900, torch.Generator().manual_seed(3))
    found = Cell.of(TASK, batch, held_out(batch, 0), 0, seed=0)
    seen: dict[tuple[int, int], int] = {}
    last = batch.tokens[:, TASK.max_len - 1].tolist()
    for real, arbitrary, digit in zip(*found.digits, last, strict=True):
        assert seen.setdefault((real, digit), arbitrary) == arbitrary
    assert any(key[0] != label for key, label in seen.items())
    assert set(found.digits[1]) <= set(found.digits[0][found.train])  # true labels, dealt anew


def test_the_baseline_is_the_exact_expectation() -> None:
    found = cell()
    expected = found.guesses[1][:, :-1]
    shares = np.arange(1, N_DIGITS) / N_DIGITS
    np.testing.assert_allclose(expected, found.values[0][found.test][:, -1:] * shares)


def test_rounding_errors_are_not_read() -> None:
    """What is 1e-6 of a feature's size holds the answer, and must not be told."""
    found = cell()
    hidden = 1 + 1e-6 * found.values[0].astype(float)
    told = scores(found, hidden, np.ones_like(hidden))
    np.testing.assert_array_equal(told[:, 0], told[:, 2])  # as the constant twin


def test_a_direction_that_never_varied_is_left_out() -> None:
    """Three one-hot digits add up to 1, so two axes tell all; along a third a fourth digit, that no
    list to fit on has, would be worlds away."""
    generator = np.random.default_rng(0)
    hot = np.eye(4)[np.arange(100) % 3] + 1e-6 * generator.standard_normal((100, 4))
    hot[-1] = np.eye(4)[3]
    axes = scaled(hot, np.arange(99))
    assert axes.shape == (100, 2)
    assert np.abs(axes[-1]).max() < 1e-3  # in the middle of the three
    np.testing.assert_allclose(np.square(axes[:99]).sum() / (99 * 4), 1)  # of mean variance 1


# -- scores by hand ------------------------------------------------------------------------------

SITES = (Site(Component.RESID_PRE, 0), Site(Component.RESID_POST, 0))


def by_hand(sorted_errors: dict[Kind, list[list[float]]]) -> ProbeSet:
    """Errors of sorted[j] as [list][blank]; counts and length as bad as the mean."""
    n_lists, n_blanks = np.shape(sorted_errors[Kind.TRAINED])
    errors = torch.ones(
        len(targets_of(SortTask())), len(Kind), len(SITES), n_lists, n_blanks
    ).double()
    for number, kind in enumerate(Kind):
        errors[0, number] = torch.tensor(sorted_errors[kind]).double()
    return ProbeSet(
        SortTask(), errors, torch.full((n_blanks,), 20), SITES, tuple(range(n_blanks)), seed=0
    )


NAN = float("nan")


def test_blanks_count_alike_however_few_lists_reach_them() -> None:
    """Blank 0: 3 of 4 right. Blank 1, of one list only: wrong. Mean of blanks 3/8, not 3/5."""
    errors = [[0.0, NAN], [0.0, NAN], [0.0, 1.0], [1.0, NAN]]
    found = by_hand(dict.fromkeys(Kind, errors))
    assert found.score("sorted", Kind.TRAINED, SITES[0], 0).value == 0.75
    assert found.score("sorted", Kind.TRAINED, SITES[0], 1).n == 1
    assert found.score("sorted", Kind.TRAINED, SITES[0]).value == pytest.approx(3 / 8)
    assert found.score("counts", Kind.TRAINED, SITES[0]).value == 0.0


def test_the_interval_is_that_of_a_mean_over_blanks() -> None:
    """Blank 1 is reached by 10 of 100 lists, half of them right: half its standard error counts."""
    errors = [[0.0, float(k % 2)] for k in range(10)] + [[0.0, NAN]] * 90
    found = by_hand(dict.fromkeys(Kind, errors)).score("sorted", Kind.TRAINED, SITES[0])
    assert found.value == pytest.approx(0.75) and found.n == 100
    error = 0.5 * (0.25 / 10) ** 0.5
    assert (found.high - found.low) / 2 == pytest.approx(1.96 * error, rel=0.2)


def test_skill_selectivity_and_what_is_readable() -> None:
    n = 100
    right, wrong = [[0.0]], [[1.0]]
    kinds = {
        Kind.TRAINED: right * 95 + wrong * 5,
        Kind.CONTROL: wrong * 70 + right * 30,
        Kind.UNTRAINED: wrong * 40 + right * 60,
        Kind.BASELINE: wrong * 50 + right * 50,
    }
    found = by_hand(kinds)
    skill = found.skill("sorted", SITES[0])
    assert skill.value == pytest.approx(0.9) and skill.n == n  # 5 errors where there were 50
    assert found.beyond("sorted", Kind.CONTROL, SITES[0]).value == pytest.approx(0.65)
    assert found.readable("sorted", SITES[0], least=0.75)
    assert not found.readable("sorted", SITES[0], least=0.9)  # the interval reaches below
    for rival in (Kind.CONTROL, Kind.UNTRAINED):  # as good as the model: no credit
        assert not by_hand({**kinds, rival: kinds[Kind.TRAINED]}).readable("sorted", SITES[0], 0.75)


def test_all_right_is_not_taken_for_certainty() -> None:
    found = by_hand(dict.fromkeys(Kind, [[0.0]] * 50))
    for blank in (None, 0):
        assert found.score("sorted", Kind.TRAINED, SITES[0], blank).low < 0.95
    assert found.skill("sorted", SITES[0]) is None  # nothing left to gain


# -- whole -------------------------------------------------------------------------------------


def test_before_layer_0_a_blank_knows_nothing_of_the_list() -> None:
    model = small_model("post")
    found = probe(model, probing_lists(TASK, 300, 0), [0, 2])
    trained, twin = (
        found.errors[:, list(Kind).index(k), 0] for k in (Kind.TRAINED, Kind.UNTRAINED)
    )
    assert torch.equal(trained.nan_to_num(-1), twin.nan_to_num(-1))
    for what in ("sorted", "counts", "length"):
        assert found.skill(what, found.sites[0]).value < 0.1


def test_same_seed_same_bits_and_untrained_models_read_alike() -> None:
    model, lists = small_model(), probing_lists(TASK, 200, 0)
    one, two, other = (probe(model, lists, [1], seed) for seed in (0, 0, 1))
    assert torch.equal(one.errors.nan_to_num(-1), two.errors.nan_to_num(-1))
    assert one.errors.shape != other.errors.shape or not torch.equal(one.errors, other.errors)


def test_of_one_length_there_is_no_length_to_tell() -> None:
    found = probe(small_model(), probing_lists(TASK, 200, 0, length=5), [0, 2])
    assert found.score("length", Kind.TRAINED, found.key_site) is None
    assert not found.readable("length", found.key_site, 0.1)
    assert found.score("counts", Kind.TRAINED, found.key_site) is not None


def test_blanks_that_few_lists_reach_are_left_out() -> None:
    lists = TASK.sample(90, torch.Generator().manual_seed(0), torch.tensor([1] * 85 + [4] * 5))
    assert probe(small_model(), lists, [0, 2]).blanks == (0,)
    with pytest.raises(UserError, match="too few"):
        probe(small_model(), lists, [2])
