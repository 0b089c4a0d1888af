"""Measures and comparisons with literal known values, and slow plain code beside them."""

import math
from itertools import permutations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from interp.stats import wilson
from training.curves import Curve, Curves, crash_steps, read_curves, steps_to
from training.recipes import TrainConfig
from training.studies.comparison import ArmOutcome, compare, fisher_exact, holm, paired_permutation
from training.studies.measures import measure, to_the_end
from training.studies.plans import Measures

PLAN = Measures(
    convergent_at=0.9,
    convergent_steps=20,
    last_share=0.1,
    reached=0.95,
    crash_drop=0.2,
    final_lists=10,
)


def curve(*values: float, every: int = 10) -> Curve:
    return Curve(tuple(range(0, every * len(values), every)), tuple(map(float, values)))


# -- one run ------------------------------------------------------------------------------------


def test_the_measures_of_a_known_curve():
    """100 steps, measured every 10: at 0, 10, ..., 90."""
    got = measure(curve(0, 0.2, 0.96, 0.97, 0.5, 0.96, 0.9, 0.94, 0.92, 0.99), PLAN, steps=100)
    assert got.to_dict() == {
        "median_window": pytest.approx((0.92 + 0.99) / 2),  # of steps 80 and 90
        "median_last": 0.99,  # of step 90
        "peak": 0.99,
        "steps_to_reached": 20,
        "crashes": 1,
    }


def test_nothing_measured_is_nothing():
    got = measure(Curve((), ()), PLAN, steps=100)
    assert got.to_dict() == {
        "median_window": None,
        "median_last": None,
        "peak": None,
        "steps_to_reached": None,
        "crashes": 0,
    }
    assert steps_to(curve(0.1, 0.2), 0.95) is None


@pytest.mark.parametrize(
    ("values", "steps"),
    [
        ((0.9, 0.1, 0.9, 0.1), []),  # never reached
        ((0.95, 0.74), [10]),
        ((0.95, 0.76), []),  # 19 points
        ((1.0, 0.79), [10]),  # measured from the highest
        ((0.96, 0.85, 0.7), [20]),  # a slow fall counts
        ((0.96, 0.5, 0.2, 0.6, 0.94, 0.3), [10]),  # once, until it is reached again
        ((0.96, 0.5, 0.97, 0.4, 0.95, 0.9), [10, 30]),
        ((0.96, 0.94, 1.0, 0.85, 0.81), []),
        ((), []),
    ],
)
def test_crashes_are_counted_once_each(values, steps):
    assert crash_steps(curve(*values), 0.95, 0.2) == steps


def test_curves_are_read_from_metrics():
    rows = [
        {"step": 0, "loss": 2.5, "accuracy": 0.0, "lr": 1e-3},
        {"step": 100, "eval/exact_match": 0.5, "eval/digit_accuracy": 0.9},
        {"step": 100, "loss": 0.5, "accuracy": 0.25},
    ]
    assert read_curves(rows) == Curves(Curve((0, 100), (0.0, 0.25)), Curve((100,), (0.5,)))


def test_a_run_that_diverged_sorts_nothing_from_there_on():
    config = TrainConfig(steps=50, log_every=10, eval_every=20)
    curves = Curves(curve(0.1, 0.99, 0.98), Curve((20,), (0.97,)))
    assert to_the_end(curves, config, None) == curves
    assert to_the_end(curves, config, 23) == Curves(
        Curve((0, 10, 20, 30, 40), (0.1, 0.99, 0.98, 0.0, 0.0)),
        Curve((20, 40, 50), (0.97, 0.0, 0.0)),
    )
    got = measure(to_the_end(curves, config, 23).batch, PLAN, steps=50)
    assert (got.median_window, got.peak, got.crashes) == (0.0, 0.99, 1)


# -- between arms -------------------------------------------------------------------------------


def test_the_published_result_is_no_evidence_yet():
    """2 of 10 against 0 of 10, by hand: 45 * 1 / 190 on either side."""
    assert fisher_exact(2, 10, 0, 10) == pytest.approx(90 / 190)
    assert fisher_exact(2, 10, 0, 10) == pytest.approx(0.474, abs=5e-4)
    shares = [wilson(2, 10), wilson(0, 10)]
    percents = [[round(100 * x) for x in (share.low, share.high)] for share in shares]
    assert percents == [[6, 51], [0, 28]]


@pytest.mark.parametrize(
    ("table", "p"),
    [
        ((8, 10, 1, 6), 0.034965),  # scipy.stats.fisher_exact([[8, 2], [1, 5]])
        ((3, 4, 1, 4), 34 / 70),  # the lady tasting tea, two-sided
        ((10, 10, 0, 10), 2 / math.comb(20, 10)),
        ((5, 10, 5, 10), 1.0),
        ((0, 3, 0, 9), 1.0),
        ((10, 50, 0, 50), 2 * math.comb(50, 10) / math.comb(100, 10)),  # 50 seeds tell
    ],
)
def test_fishers_test_at_known_tables(table, p):
    assert fisher_exact(*table) == pytest.approx(p, rel=1e-5)
    a, n, b, m = table
    assert fisher_exact(b, m, a, n) == pytest.approx(fisher_exact(*table))
    assert fisher_exact(n - a, n, m - b, m) == pytest.approx(fisher_exact(*table))


@given(st.integers(0, 4), st.integers(0, 3))
def test_fishers_test_counts_arrangements(a, b):
    """Every way to deal the successes over 4 and 3 runs, one by one."""
    hits = a + b
    deals = [deal[:4].count(1) for deal in set(permutations([1] * hits + [0] * (7 - hits)))]
    shares = {k: deals.count(k) / len(deals) for k in set(deals)}
    # ``set`` keeps one of each arrangement, and each is as probable as any other.
    expected = sum(p for p in shares.values() if p <= shares[a] + 1e-12)
    assert fisher_exact(a, 4, b, 3) == pytest.approx(expected)


@pytest.mark.usefixtures("unchecked")
def test_shares_that_are_none():
    with pytest.raises(ValueError, match="5 of 4 and 0 of 3"):
        fisher_exact(5, 4, 0, 3)
    with pytest.raises(ValueError, match="no pairs"):
        paired_permutation([])


def test_sign_flips_by_hand():
    assert paired_permutation([0.1, 0.2, 0.3]) == 2 / 8  # only all plus and all minus
    assert paired_permutation([0.3, -0.1, 0.2]) == 4 / 8  # 0.4 and more: +++ ++- and mirrored
    assert paired_permutation([0.0, 0.0]) == 1.0
    assert paired_permutation([0.1] * 10) == 2 / 2**10


def test_random_flips_agree_with_all_flips():
    values = [0.3, -0.1, 0.2, 0.05, 0.4, -0.2, 0.1, 0.3, -0.05, 0.15, 0.02, -0.3, 0.2, 0.1]
    exact = paired_permutation(values)
    more = paired_permutation([*values, 0.0])  # 15 pairs: random, and 0 decides nothing
    assert more == pytest.approx(exact, abs=0.005)
    assert 0.01 < exact < 0.2
    assert paired_permutation([0.1] * 20) < 1e-4
    assert paired_permutation([*values, 0.0], seed=1) != more


def test_holm_by_hand():
    assert holm([0.01, 0.04, 0.03]) == [0.03, 0.06, 0.06]
    assert holm([0.5, 0.9]) == [1.0, 1.0]
    assert holm([]) == []


def outcome(*medians: float, seeds: tuple[int, ...] = ()) -> ArmOutcome:
    return ArmOutcome(seeds or tuple(range(len(medians))), medians, convergent_at=0.9)


def test_an_arm_in_numbers():
    arm = outcome(0.96, 0.93, 0.92, 0.5, 0.4)
    assert (arm.n, arm.convergent(), arm.convergent(0.95), arm.convergent(0.4)) == (5, 3, 1, 5)
    assert arm.share() == wilson(3, 5)
    assert arm.mean().value == pytest.approx(3.71 / 5)
    assert arm.mean().n == 5
    assert outcome(0.9).convergent() == 1  # at the threshold


def test_arms_are_compared_seed_by_seed():
    one = outcome(0.9, 0.8, 0.7, 0.95, seeds=(0, 1, 2, 5))
    other = outcome(0.5, 0.5, 0.6, 0.1, seeds=(2, 1, 0, 4))
    got = compare(one, other)
    assert got.n_pairs == 3
    assert got.difference.value == pytest.approx((0.3 + 0.3 + 0.2) / 3)
    assert (got.difference.low, got.difference.high) == pytest.approx((0.2, 0.3))
    assert got.permutation_p == 2 / 8
    assert got.fisher_p == fisher_exact(2, 4, 0, 4)
    nothing = compare(one, outcome(0.5, seeds=(9,)))
    assert (nothing.n_pairs, nothing.difference, nothing.permutation_p) == (0, None, None)
