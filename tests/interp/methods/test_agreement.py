"""Agreement of guesses: against scipy, and where it is known."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import pearsonr, spearmanr

from interp.methods.agreement import RESOLUTION, agreement

ALL = torch.ones(3, 4, dtype=torch.bool)
GROWING = torch.arange(1.0, 13.0).view(3, 4)


@given(st.integers(0, 10_000), st.booleans())
def test_correlations_are_those_of_scipy(seed: int, ties: bool) -> None:
    generator = torch.Generator().manual_seed(seed)
    a, b = torch.randn(2, 5, 7, generator=generator).unbind()
    if ties:
        a, b = a.round(), b.round()
    counted = torch.rand(5, 7, generator=generator) < 0.7
    found = agreement(a, b, counted, seed)
    flat_a, flat_b = a[counted].numpy(), b[counted].numpy()
    assert found.rank and found.linear
    assert found.rank.value == pytest.approx(spearmanr(flat_a, flat_b).statistic, abs=1e-9)
    assert found.linear.value == pytest.approx(pearsonr(flat_a, flat_b).statistic, abs=1e-6)
    assert found.rank.low <= found.rank.high


def test_order_alone_counts_for_the_rank_and_size_for_the_share() -> None:
    found = agreement(GROWING**3, GROWING, ALL)
    assert found.rank and found.linear and found.recovered
    assert found.rank.low == pytest.approx(1)
    assert found.rank.n == 3
    assert 0.8 < found.linear.value < 0.99
    found = agreement(-GROWING / 5, GROWING, ALL)
    assert found.rank and found.linear and found.recovered
    assert found.rank.value == pytest.approx(-1)
    assert found.linear.value == pytest.approx(-1)
    assert found.recovered.high == pytest.approx(-0.2)


def test_what_is_not_counted_does_not_count() -> None:
    guessed, counted = GROWING.clone(), ALL.clone()
    guessed[:, 0], counted[:, 0] = -1e6, False
    counted[2] = False
    found = agreement(guessed, GROWING, counted)
    assert found.rank and found.recovered
    assert found.rank.value == pytest.approx(1)
    assert found.recovered.value == pytest.approx(1)
    assert found.rank.n == found.recovered.n == 2


def test_rounding_is_no_effect() -> None:
    noise = torch.rand(3, 4) * RESOLUTION
    found = agreement(noise, noise, ALL)
    assert found.rank is found.linear is found.recovered is None
    guessed, exact = noise.clone(), -noise
    guessed[0, 0] = exact[0, 0] = 1.0  # without the rounding only this is there, and it agrees
    found = agreement(guessed, exact, ALL)
    assert found.rank and found.rank.value == pytest.approx(1)


def test_nothing_to_compare_has_no_agreement() -> None:
    found = agreement(GROWING, torch.full((3, 4), 2.0), ALL)
    assert found.rank is found.linear is None
    assert found.recovered and found.recovered.value == pytest.approx(78 / 24)
    assert agreement(GROWING, GROWING, ~ALL).rank is None


def test_resamples_are_of_pairs() -> None:
    """Two pairs that agree perfectly and one that is upside down: no resample knows half of one."""
    exact = GROWING.clone()
    guessed = exact.clone()
    guessed[2] = -exact[2]
    found = agreement(guessed, exact, ALL)
    assert found.recovered
    assert found.recovered.value == pytest.approx((10 + 26 - 42) / 78)
    assert found.recovered.low == pytest.approx(-1)
    assert found.recovered.high == pytest.approx(1)
