"""Intervals against published or hand-computed values, and against their stated coverage."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from interp.stats import Estimate, bootstrap_mean, clustered_rate, wilson
from interp.support.seeds import stream


@pytest.mark.parametrize(
    ("successes", "n", "low", "high"),
    [
        (2, 10, 0.0567, 0.5098),  # 2 of 10 convergent runs: [6, 51] %
        (0, 10, 0.0, 0.2775),  # 0 of 10: [0, 28] %
        (15, 148, 0.0624, 0.1605),  # Newcombe 1998, table I
        (81, 263, 0.2553, 0.3662),  # Newcombe 1998, table I
        (10, 10, 0.7225, 1.0),
        (1, 1, 0.2065, 1.0),
    ],
)
def test_wilson_against_known_intervals(successes, n, low, high):
    estimate = wilson(successes, n)
    assert (estimate.value, estimate.n) == (successes / n, n)
    assert estimate.low == pytest.approx(low, abs=5e-5)
    assert estimate.high == pytest.approx(high, abs=5e-5)


@given(st.integers(1, 10**6), st.data())
def test_wilson_solves_its_defining_equation(n, data):
    """|value - bound| is 1.96 standard errors *of the bound*."""
    successes = data.draw(st.integers(0, n))
    estimate = wilson(successes, n)
    assert 0 <= estimate.low <= estimate.value <= estimate.high <= 1
    for bound in (estimate.low, estimate.high):
        error = math.sqrt(bound * (1 - bound) / n)
        assert abs(estimate.value - bound) == pytest.approx(1.959964 * error, rel=1e-4, abs=1e-12)
    assert (estimate.low == 0) == (successes == 0)
    assert (estimate.high == 1) == (successes == n)


@pytest.mark.parametrize(("successes", "n"), [(0, 0), (3, 2), (-1, 5)])
def test_a_share_of_nothing_is_an_error(successes, n):
    with pytest.raises(ValueError, match=f"{successes} of {n}"):
        wilson(successes, n)


def test_an_estimate_reads_well():
    assert Estimate(0.975, 0.9614, 0.9838, 400).percent() == "97.5 % [96.1, 98.4]"
    assert Estimate(1.0, 0.9, 1.0, 4).percent(0) == "100 % [90, 100]"


def test_a_single_value_has_no_interval_but_a_single_trial_has():
    assert bootstrap_mean(torch.tensor([0.5])).percent() == "50.0 %"
    assert wilson(1, 1).percent() == "100.0 % [20.7, 100.0]"


def test_the_bootstrap_of_a_mean_agrees_with_the_normal_interval():
    values = torch.randn(4000, generator=stream("test", 0)) * 3 + 1
    estimate = bootstrap_mean(values)
    error = float(values.std()) / math.sqrt(4000)
    assert estimate.value == pytest.approx(float(values.mean()), abs=1e-6)
    assert estimate.low == pytest.approx(estimate.value - 1.96 * error, abs=0.2 * error)
    assert estimate.high == pytest.approx(estimate.value + 1.96 * error, abs=0.2 * error)
    assert estimate.n == 4000


def test_the_bootstrap_covers():
    """Of 100 samples of 60, about 95 % of the intervals hold the true mean."""
    generator = stream("test", 1)
    held = 0
    for number in range(100):
        estimate = bootstrap_mean(torch.rand(60, generator=generator), seed=number)
        held += estimate.low <= 0.5 <= estimate.high
    assert 88 <= held <= 100  # a binomial of 95 % leaves this once in 2000 times


def test_a_constant_has_no_spread_and_nothing_has_no_mean():
    estimate = bootstrap_mean(torch.full((9,), 2.5))
    assert (estimate.value, estimate.low, estimate.high) == (2.5, 2.5, 2.5)
    with pytest.raises(ValueError, match="nothing"):
        bootstrap_mean(torch.zeros(0))


def test_the_same_seed_gives_the_same_interval():
    values = torch.rand(50, generator=stream("test", 2))
    assert bootstrap_mean(values, seed=1) == bootstrap_mean(values, seed=1)
    assert bootstrap_mean(values, seed=1) != bootstrap_mean(values, seed=2)


def test_rows_of_one_list_go_together():
    """Copies of a row add nothing: the interval is that of the lists, not of the rows."""
    right = torch.rand(300, 1, generator=stream("test", 3)) < 0.7
    once = clustered_rate(right, torch.ones_like(right))
    copied = clustered_rate(right.expand(-1, 20), torch.ones(300, 20, dtype=torch.bool))
    assert (once.value, once.low, once.high) == (copied.value, copied.low, copied.high)
    assert once.n == copied.n == 300
    by_list = wilson(int(right.sum()), 300)
    assert once.low == pytest.approx(by_list.low, abs=0.01)
    assert once.high == pytest.approx(by_list.high, abs=0.01)


def test_rows_that_do_not_count_are_left_out():
    right = torch.tensor([[True, True, True], [False, True, True], [True, False, False]])
    counted = torch.tensor([[True, True, False], [True, False, False], [True, True, True]])
    assert clustered_rate(right, counted).value == 3 / 6


def test_without_a_mistake_the_rule_of_three_bounds_the_rate():
    counted = torch.ones(30, 4, dtype=torch.bool)
    assert clustered_rate(counted, counted) == Estimate(1.0, 1 - 3 / 30, 1.0, 30)
    assert clustered_rate(~counted, counted) == Estimate(0.0, 0.0, 3 / 30, 30)
    few = torch.ones(2, 4, dtype=torch.bool)
    assert clustered_rate(few, few) == Estimate(1.0, 0.0, 1.0, 2)
