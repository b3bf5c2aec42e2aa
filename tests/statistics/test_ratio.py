"""Ratios, intervals and verdicts against hand-worked cases, recorded values and simulation with a known truth."""

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.statistics import Paired, Ratio, noise_floor, paired_ratio, verdict


def test_constant_ratio_is_exact_and_has_no_width(made: Any) -> None:
    reference, blocks = made(1, 10)
    ratio = paired_ratio(Paired(0.8 * reference, reference, blocks))
    assert ratio.rounds == 30
    assert (ratio.estimate, ratio.low, ratio.high) == pytest.approx((0.8, 0.8, 0.8), rel=1e-12)
    assert ratio.half_width == pytest.approx(0, abs=1e-12)


def test_drift_common_to_both_cancels(made: Any) -> None:
    reference, blocks = made(2, 10)
    drift = np.linspace(1, 3, 30)  # the machine gets three times slower meanwhile
    alone = paired_ratio(Paired(1.1 * reference**0.5, reference, blocks))
    with_drift = paired_ratio(Paired(1.1 * reference**0.5 * drift, reference * drift, blocks))
    assert (with_drift.low, with_drift.high) == pytest.approx((alone.low, alone.high))


def test_estimate_is_the_median_of_the_paired_ratios() -> None:
    times, reference = [2.0, 9.0, 3.0, 4.0, 10.0], [1.0, 3.0, 1.0, 1.0, 1.0]  # ratios 2, 3, 3, 4, 10
    assert paired_ratio(Paired(times, reference, range(5))).estimate == pytest.approx(3)


def test_fewer_than_four_blocks_tell_nothing(made: Any) -> None:
    times, blocks = made(3, 3)
    ratio = paired_ratio(Paired(times, np.ones(9), blocks))
    assert (ratio.low, ratio.high) == (0.0, math.inf)
    assert ratio.estimate == pytest.approx(np.median(times))
    times, blocks = made(3, 4)
    assert math.isfinite(paired_ratio(Paired(times, np.ones(12), blocks)).high)


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 10**6), scale=st.floats(0.01, 100))
def test_scaling_the_times_scales_the_ratio(made: Any, seed: int, scale: float) -> None:
    times, blocks = made(seed, 8, rho=0.4)
    reference, _ = made(seed + 1, 8)
    plain, scaled = (paired_ratio(Paired(factor * times, reference, blocks)) for factor in (1, scale))
    expected = (scale * plain.estimate, scale * plain.low, scale * plain.high)
    assert (scaled.estimate, scaled.low, scaled.high) == pytest.approx(expected, rel=1e-6)


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 10**6))
def test_swapping_gives_the_reciprocal(made: Any, seed: int) -> None:
    times, blocks = made(seed, 8, rho=0.4)
    reference, _ = made(seed + 1, 8)
    there, back = paired_ratio(Paired(times, reference, blocks)), paired_ratio(Paired(reference, times, blocks))
    expected = (1 / there.estimate, 1 / there.high, 1 / there.low)
    assert (back.estimate, back.low, back.high) == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("rho", [0.0, 0.6])
def test_interval_covers_the_truth_under_autocorrelation(made: Any, rho: float) -> None:
    truth, blocks, sigma = 0.93, 60, 0.05
    intervals = []
    for seed in range(200):
        noise, labels = made(seed, blocks, rho, sigma)
        intervals.append(paired_ratio(Paired(truth * noise, np.ones_like(noise), labels)))
    covered = np.mean([i.low <= truth <= i.high for i in intervals])
    assert covered >= 0.9
    # the standard error of the mean of an AR(1) series; a median's is up to 1.25 times that
    error = sigma / math.sqrt(3 * blocks) * math.sqrt((1 + rho) / (1 - rho))
    assert np.mean([i.half_width for i in intervals]) <= 2 * 1.96 * error


def test_an_interval_that_ignores_autocorrelation_would_not_cover(made: Any) -> None:
    """What the block bootstrap is for: single rounds as their own blocks, in runs of one, are too sure."""
    misses = {}
    for length in ("naive", "ours"):
        with pytest.MonkeyPatch.context() as patch:
            if length == "naive":
                patch.setattr("bench.statistics.ratio.carlstein_length", lambda series: 1)
            intervals = []
            for seed in range(60):
                noise, labels = made(seed, 30, 0.9)
                order = np.arange(len(noise)) if length == "naive" else labels
                intervals.append(paired_ratio(Paired(noise, np.ones_like(noise), order)))
            misses[length] = np.mean([not i.low <= 1 <= i.high for i in intervals])
    assert misses["naive"] > 0.3
    assert misses["ours"] < misses["naive"] / 2


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


@pytest.mark.parametrize(
    ("seed", "blocks", "rho", "spare", "confidence", "earlier"),
    [
        (0, 8, 0.0, 0, 0.95, (0.9949240730674276, 0.9388254497642707, 1.0543748163384652)),
        (1, 30, 0.9, 0, 0.95, (0.9901965846894314, 0.9693586988183084, 1.0114824136058969)),
        (2, 20, 0.5, 1, 0.95, (1.0067564253294634, 0.9799448177753831, 1.0343016071487416)),
        (3, 60, 0.6, 0, 0.999, (0.9976320172661832, 0.9665820565066066, 1.029679410221693)),
    ],
)
def test_intervals_are_those_of_earlier_versions(
    made: Any,
    monkeypatch: pytest.MonkeyPatch,
    seed: int,
    blocks: int,
    rho: float,
    spare: int,
    confidence: float,
    earlier: tuple[float, float, float],
) -> None:
    """What is stored stays comparable: the same rounds give the same interval."""
    monkeypatch.setattr("bench.statistics.bootstrap.RESAMPLES", 2000)
    (times, labels), (reference, _) = made(seed, blocks, rho), made(seed + 100, blocks)
    kept = slice(3 * blocks - spare)
    found = paired_ratio(Paired(times[kept], reference[kept], labels[kept]), confidence)
    assert (found.estimate, found.low, found.high) == pytest.approx(earlier, rel=1e-12)


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 10**6), blocks=st.integers(1, 12))
def test_a_series_against_itself_is_exactly_1(made: Any, seed: int, blocks: int) -> None:
    times, labels = made(seed, blocks)
    found = paired_ratio(Paired(times, times, labels))
    assert found == (Ratio(1.0, 1.0, 1.0, 3 * blocks) if blocks >= 4 else Ratio(1.0, 0.0, math.inf, 3 * blocks))


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 10**6), names=st.permutations(range(100, 108)))
def test_names_of_blocks_and_order_within_them_tell_nothing(made: Any, seed: int, names: list[int]) -> None:
    (times, blocks), (reference, _) = made(seed, 8, 0.4), made(seed + 1, 8)
    plain = paired_ratio(Paired(times, reference, blocks))
    assert paired_ratio(Paired(times, reference, np.array(names)[blocks])) == plain
    rng = np.random.default_rng(seed)
    order = np.concatenate([3 * block + rng.permutation(3) for block in range(8)])
    mixed = paired_ratio(Paired(times[order], reference[order], blocks[order]))
    assert (mixed.estimate, mixed.low, mixed.high) == pytest.approx((plain.estimate, plain.low, plain.high), rel=1e-9)
