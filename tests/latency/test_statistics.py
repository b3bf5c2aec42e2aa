"""Ratios, intervals and verdicts against hand-worked cases, direct formulas and simulation with a known truth."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench import statistics
from bench.statistics import (
    Difference,
    Ratio,
    carlstein_length,
    drift,
    noise_floor,
    paired_ratio,
    percentiles,
    rate_difference,
    show_interval,
    unbeaten,
    verdict,
)


@pytest.fixture(autouse=True)
def fewer_resamples(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(statistics, "RESAMPLES", 200)


def rounds(seed: int, blocks: int, rho: float = 0.0, sigma: float = 0.05) -> tuple[np.ndarray, np.ndarray]:
    """Log-normal noise (3 * blocks,), AR(1) from round to round, and the number of each round's block."""
    rng = np.random.default_rng(seed)
    noise = rng.standard_normal(3 * blocks) * np.sqrt(1 - rho**2)
    noise[0] /= np.sqrt(1 - rho**2)
    for i in range(1, len(noise)):
        noise[i] += rho * noise[i - 1]
    return np.exp(sigma * noise), np.repeat(np.arange(blocks), 3)


def test_constant_ratio_is_exact_and_has_no_width() -> None:
    reference, blocks = rounds(1, 10)
    ratio = paired_ratio(0.8 * reference, reference, blocks)
    assert ratio.rounds == 30
    assert (ratio.estimate, ratio.low, ratio.high) == pytest.approx((0.8, 0.8, 0.8), rel=1e-12)
    assert ratio.half_width == pytest.approx(0, abs=1e-12)


def test_drift_common_to_both_cancels() -> None:
    reference, blocks = rounds(2, 10)
    drift = np.linspace(1, 3, 30)  # the machine gets three times slower meanwhile
    alone = paired_ratio(1.1 * reference**0.5, reference, blocks)
    with_drift = paired_ratio(1.1 * reference**0.5 * drift, reference * drift, blocks)
    assert (with_drift.low, with_drift.high) == pytest.approx((alone.low, alone.high))


def test_estimate_is_the_median_of_the_paired_ratios() -> None:
    times, reference = [2.0, 9.0, 3.0, 4.0, 10.0], [1.0, 3.0, 1.0, 1.0, 1.0]  # ratios 2, 3, 3, 4, 10
    assert paired_ratio(times, reference, range(5)).estimate == pytest.approx(3)


def test_fewer_than_four_blocks_tell_nothing() -> None:
    times, blocks = rounds(3, 3)
    ratio = paired_ratio(times, np.ones(9), blocks)
    assert (ratio.low, ratio.high) == (0.0, math.inf)
    assert ratio.estimate == pytest.approx(np.median(times))
    assert math.isfinite(paired_ratio(*rounds(3, 4)[:1], np.ones(12), rounds(3, 4)[1]).high)


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 10**6), scale=st.floats(0.01, 100))
def test_scaling_the_times_scales_the_ratio(seed: int, scale: float) -> None:
    times, blocks = rounds(seed, 8, rho=0.4)
    reference, _ = rounds(seed + 1, 8)
    plain, scaled = (paired_ratio(factor * times, reference, blocks) for factor in (1, scale))
    expected = (scale * plain.estimate, scale * plain.low, scale * plain.high)
    assert (scaled.estimate, scaled.low, scaled.high) == pytest.approx(expected, rel=1e-6)


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 10**6))
def test_swapping_gives_the_reciprocal(seed: int) -> None:
    times, blocks = rounds(seed, 8, rho=0.4)
    reference, _ = rounds(seed + 1, 8)
    there, back = paired_ratio(times, reference, blocks), paired_ratio(reference, times, blocks)
    expected = (1 / there.estimate, 1 / there.high, 1 / there.low)
    assert (back.estimate, back.low, back.high) == pytest.approx(expected, rel=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize("rho", [0.0, 0.6])
def test_interval_covers_the_truth_under_autocorrelation(rho: float) -> None:
    truth, blocks, sigma = 0.93, 60, 0.05
    intervals = []
    for seed in range(200):
        noise, labels = rounds(seed, blocks, rho, sigma)
        intervals.append(paired_ratio(truth * noise, np.ones_like(noise), labels))
    covered = np.mean([i.low <= truth <= i.high for i in intervals])
    assert covered >= 0.9
    # the standard error of the mean of an AR(1) series; a median's is up to 1.25 times that
    error = sigma / math.sqrt(3 * blocks) * math.sqrt((1 + rho) / (1 - rho))
    assert np.mean([i.half_width for i in intervals]) <= 2 * 1.96 * error


def test_an_interval_that_ignores_autocorrelation_would_not_cover() -> None:
    """What the block bootstrap is for: single rounds as their own blocks, in runs of one, are too sure."""
    misses = {}
    for length in ("naive", "ours"):
        with pytest.MonkeyPatch.context() as patch:
            if length == "naive":
                patch.setattr(statistics, "carlstein_length", lambda series: 1)
            intervals = []
            for seed in range(60):
                noise, labels = rounds(seed, 30, 0.9)
                order = np.arange(len(noise)) if length == "naive" else labels
                intervals.append(paired_ratio(noise, np.ones_like(noise), order))
            misses[length] = np.mean([not i.low <= 1 <= i.high for i in intervals])
    assert misses["naive"] > 0.3
    assert misses["ours"] < misses["naive"] / 2


def test_block_length_by_hand() -> None:
    # 1, 1, -1, -1, ...: mean 0, power 16, lag-1 products +1 -1 ... +1 sum to 1, so rho = 1/16
    series = np.tile([1.0, 1.0, -1.0, -1.0], 4)
    rho = 1 / 16
    assert math.ceil((math.sqrt(6) * rho / (1 - rho**2)) ** (2 / 3) * 16 ** (1 / 3)) == 1
    assert carlstein_length(series) == 1
    # 0 .. 99: rho of a straight line is 0.97, which is cut to 0.95: 8.40 * 4.64 = 38.97, and n / 4 = 25 at most
    assert carlstein_length(np.arange(100.0)) == 25
    # blocks of five equal values, alternating sign: 20 products, of 19 four fifths +1: (16 - 3) / 20 = 0.65
    series = np.repeat([1.0, -1.0, 1.0, -1.0], 5)
    expected = (math.sqrt(6) * 0.65 / (1 - 0.65**2)) ** (2 / 3) * 20 ** (1 / 3)  # 1.966 * 2.714 = 5.34
    assert math.ceil(expected) > 5
    assert carlstein_length(series) == 5  # n / 4


def test_block_length_is_one_without_correlation_and_grows_with_it() -> None:
    assert carlstein_length(np.tile([1.0, -1.0], 50)) == 1
    assert carlstein_length(np.ones(100)) == 1
    assert carlstein_length(np.arange(7.0)) == 1  # too short to tell
    lengths = [carlstein_length(np.log(rounds(0, 200, rho)[0])) for rho in (0.1, 0.5, 0.9)]
    assert 1 <= lengths[0] < lengths[1] < lengths[2]


def test_noise_floor_is_the_far_end_of_the_twin() -> None:
    assert noise_floor(Ratio(1.0, 0.98, 1.05, 9)) == pytest.approx(0.05)
    assert noise_floor(Ratio(1.0, 0.92, 1.05, 9)) == pytest.approx(0.08)
    assert noise_floor(Ratio(0.97, 0.95, 0.99, 9)) == pytest.approx(0.05)
    assert noise_floor(None) == math.inf


@pytest.mark.parametrize(
    ("estimate", "low", "high", "floor", "expected"),
    [
        (0.90, 0.88, 0.92, 0.03, "faster"),
        (1.10, 1.08, 1.12, 0.03, "slower"),
        (0.90, 0.79, 1.01, 0.03, "within noise"),  # holds 1
        (0.95, 0.90, 1.00, 0.03, "within noise"),  # just holds 1
        (0.98, 0.97, 0.99, 0.03, "within noise"),  # inside the floor
        (0.75, 0.74, 0.76, 0.25, "within noise"),  # on the floor
        (0.75, 0.74, 0.76, 0.2499, "faster"),
        (0.50, 0.49, 0.51, math.inf, "within noise"),  # no control, no verdict
    ],
)
def test_verdict(estimate: float, low: float, high: float, floor: float, expected: str) -> None:
    assert verdict(Ratio(estimate, low, high, 100), floor) == expected


def test_shown_interval() -> None:
    assert show_interval(Ratio(0.9265, 0.9, 0.95, 9)).startswith("92.7 [90.0, 95.0]") or show_interval(
        Ratio(0.9265, 0.9, 0.95, 9)
    ).startswith("92.6 [90.0, 95.0]")
    assert show_interval(None) == "-"


def test_percentiles_by_hand() -> None:
    found = percentiles([float(i) for i in range(101)])  # 0 .. 100: the q-th percentile is q
    assert found == {"p50": 50.0, "p90": 90.0, "p95": 95.0, "p99": None, "max": 100.0}


def test_p99_takes_200_rounds() -> None:
    assert percentiles(np.arange(199.0))["p99"] is None
    assert percentiles(np.arange(200.0))["p99"] == pytest.approx(0.99 * 199)


def test_rate_difference_by_hand() -> None:
    # errors 3 + 4 against 1 + 2 of 10 + 30 seconds: 100 * 4 / 40 = 10 points; the files' own are 20 and 6.67
    found = rate_difference([3.0, 4.0], [1.0, 2.0], [10.0, 30.0])
    assert found.points == pytest.approx(10)
    assert (found.low, found.high) == pytest.approx((100 * 2 / 30, 100 * 2 / 10))


def test_equal_systems_differ_by_nothing() -> None:
    assert rate_difference([1.0, 2.0], [1.0, 2.0], [10.0, 10.0]) == Difference(0.0, 0.0, 0.0)
    assert rate_difference([1.0], [1.0], [10.0]) == Difference(0.0, 0.0, 0.0)


def test_one_file_tells_nothing() -> None:
    assert rate_difference([2.0], [1.0], [10.0]) == Difference(10.0, -math.inf, math.inf)
    silent_beside = rate_difference([2.0, 0.0], [1.0, 0.0], [10.0, 0.0])
    assert silent_beside == Difference(10.0, -math.inf, math.inf)
    assert not silent_beside.resolved(100.0)


def test_no_speech_has_no_rate() -> None:
    assert rate_difference([1.0, 0.0], [0.0, 0.0], [0.0, 0.0]).points == math.inf


def test_resolved_is_no_wider_than_the_tolerance() -> None:
    assert Difference(0.5, 0.0, 1.0).resolved(1.0)
    assert not Difference(0.5, 0.0, 1.01).resolved(1.0)


@settings(max_examples=25, deadline=None)
@given(
    st.lists(
        st.tuples(st.floats(0, 10), st.floats(0, 10), st.floats(1, 100)),
        min_size=2,
        max_size=8,
    )
)
def test_rate_difference_is_the_difference_of_the_rates(files: list[tuple[float, float, float]]) -> None:
    mine, theirs, totals = map(np.array, zip(*files, strict=True))
    found = rate_difference(mine, theirs, totals)
    direct = 100 * mine.sum() / totals.sum() - 100 * theirs.sum() / totals.sum()
    assert found.points == pytest.approx(direct, abs=1e-9)
    per_file = 100 * (mine - theirs) / totals
    assert per_file.min() - 1e-9 <= found.low <= found.high <= per_file.max() + 1e-9


def test_drift_is_the_growth_from_the_first_round_to_the_last() -> None:
    times = [0.1 * 1.01**i for i in range(30)]
    seen = drift(times)
    assert seen.estimate == pytest.approx(1.01**29) and seen.low == pytest.approx(seen.high)
    noise = 1 + 0.5 * np.random.default_rng(0).random(30)  # shared with the reference, and so cancelled
    assert drift(times * noise, noise).estimate == pytest.approx(1.01**29)
    assert not drift(noise).low > 1 and not drift(noise).high < 1


def test_drift_of_few_rounds_is_not_bounded() -> None:
    assert drift([1.0, 2.0, 4.0]) == Ratio(pytest.approx(4.0), 0.0, math.inf, 3)  # type: ignore[arg-type]
    assert drift([1.0]).high == math.inf


def test_unbeaten_is_the_pareto_front() -> None:
    assert unbeaten([(3, 1), (1, 3), (2, 2), (2, 2), (2, 3), (3, 2)]) == [(1, 3), (2, 2), (3, 1)]
    assert unbeaten([]) == []
