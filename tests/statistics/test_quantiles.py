"""Percentiles and their intervals, by hand and by simulation with a known truth."""

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from bench.statistics import block_bootstrap, carlstein_length, percentile_interval, percentiles, rounds_needed


def test_percentiles_by_hand() -> None:
    found = percentiles([float(i) for i in range(101)])  # 0 .. 100: the q-th percentile is q
    assert found == {"p50": 50.0, "p90": 90.0, "p95": 95.0, "p99": None, "max": 100.0}


def test_p99_takes_200_rounds() -> None:
    assert percentiles(np.arange(199.0))["p99"] is None
    assert percentiles(np.arange(200.0))["p99"] == pytest.approx(0.99 * 199)


def test_the_ends_are_read_off_the_rounds_at_the_ends_of_the_share(monkeypatch: pytest.MonkeyPatch) -> None:
    """Single rounds as blocks: the share of rounds below p95 has the binomial error sqrt(0.95 * 0.05 / 400)."""
    monkeypatch.setattr("bench.statistics.bootstrap.RESAMPLES", 4000)
    times = np.random.default_rng(4).permutation(np.arange(1.0, 402.0))  # the share s of them lies below 1 + 400 s
    assert carlstein_length(np.log(times)) == 1
    reach = stats.t.ppf(0.975, 400) * math.sqrt(0.95 * 0.05 / 400)
    found = percentile_interval(times, np.arange(401), 95)
    assert found == pytest.approx((1 + 400 * (0.95 - reach), 1 + 400 * (0.95 + reach)), abs=0.5)


@pytest.mark.parametrize(("q", "needed"), [(95, 72), (99, 368)])
def test_no_interval_where_not_even_the_slowest_round_would_be_a_limit(q: int, needed: int) -> None:
    # 0.95^71 = 2.6 %, 0.95^72 = 2.5 %; 0.99^367 = 2.502 %, 0.99^368 = 2.48 %
    times = np.linspace(1, 2, needed)
    assert rounds_needed(q) == needed
    assert percentile_interval(times[1:], np.arange(needed - 1), q) is None
    assert percentile_interval(times, np.arange(needed), q) is not None


def test_three_blocks_give_no_interval() -> None:
    times = np.linspace(1, 2, 120)
    assert percentile_interval(times, np.repeat(np.arange(3), 40), 95) is None
    assert percentile_interval(times, np.repeat(np.arange(4), 30), 95) is not None


def test_one_slow_spell_leaves_no_upper_limit() -> None:
    """All that is slow came at once: another such spell would move p95 beyond the slowest round."""
    times, blocks = 1 + 0.1 * np.random.default_rng(0).random(90), np.repeat(np.arange(30), 3)
    for spell in ([17], [17, 18]):  # 3.3 and 6.7 % of the rounds
        low, high = percentile_interval(times + np.isin(blocks, spell), blocks, 95) or (0.0, 0.0)
        assert 1 < low < 1.1 and high == math.inf


def test_equal_rounds_have_no_width() -> None:
    assert percentile_interval(np.ones(90), np.repeat(np.arange(30), 3), 95) == (1.0, 1.0)


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 10**6), scale=st.floats(0.01, 100), q=st.sampled_from([50, 90, 95]))
def test_percentile_intervals_hold_the_percentile_and_scale(made: Any, seed: int, scale: float, q: int) -> None:
    times, blocks = made(seed, 40, 0.4)
    found, scaled = (percentile_interval(factor * times, blocks, q) for factor in (1, scale))
    assert found is not None and scaled is not None
    assert found[0] <= np.percentile(times, q) <= found[1]
    assert scaled == pytest.approx((scale * found[0], scale * found[1]), rel=1e-9)
    assert percentile_interval(times, 100 - blocks, q) == found  # names of blocks tell nothing


@pytest.mark.parametrize(("q", "blocks", "rho"), [(95, 40, 0.0), (95, 130, 0.6), (99, 200, 0.0)])
def test_percentile_intervals_cover_the_truth(made: Any, q: int, blocks: int, rho: float) -> None:
    """And are no wider than they must: the asymptotic error is sqrt(q (1 - q) / n) / density."""
    truth, density = math.exp(0.05 * stats.norm.ppf(q / 100)), stats.norm.pdf(stats.norm.ppf(q / 100)) / 0.05
    found = [percentile_interval(*made(seed, blocks, rho), q) or (math.nan, math.nan) for seed in range(100)]
    assert np.mean([low <= truth <= high for low, high in found]) >= 0.9  # 95 % less two standard deviations
    assert np.mean([high < math.inf for _, high in found]) > 0.9
    error = math.sqrt(q / 100 * (1 - q / 100) / (3 * blocks)) / density * math.sqrt((1 + rho) / (1 - rho))
    assert np.median([math.log(high / low) for low, high in found]) <= 1.6 * 2 * 1.96 * error


def test_resampled_percentiles_themselves_would_not_cover(made: Any) -> None:
    """Why the share is resampled instead."""
    misses = 0
    for seed in range(100):
        times, _ = made(seed, 24)
        drawn = block_bootstrap(list(times.reshape(24, 3)), lambda x: np.percentile(x, 95, axis=1))
        misses += np.quantile(drawn, 0.975) < math.exp(0.05 * stats.norm.ppf(0.95))
    assert misses > 10  # four times the 2.5 % that it claims
