"""The crossed interval against sums by hand, against the bootstrap that it stands for, and in simulations."""

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from bench.statistics import crossed
from bench.statistics.crossed import RHO, correction, crossed_difference, run_length

RESAMPLES = 40_000


def made(seed: int, files: int, blocks: int, perturbations: int) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Errors with a part of each file, block, perturbation and of every cell; blocks of 10 s of speech."""
    rng = np.random.default_rng(seed)
    errors = (
        rng.normal(0, 0.5, (files, 1, 1))
        + rng.normal(0, 0.5, (files, blocks, 1))
        + rng.normal(0, 0.3, perturbations)
        + rng.normal(0, 1, (files, blocks, perturbations))
    )
    return list(errors), [np.full(blocks, 10.0)] * files


def test_by_hand() -> None:
    """Four files of one block, two perturbations: sums small enough to follow."""
    errors = [np.array([row]) for row in ([1.0, 3.0], [3.0, 5.0], [1.0, 1.0], [3.0, 7.0])]
    found = crossed_difference(errors, [np.array([10.0])] * 4, "abcd")
    assert found.points == pytest.approx(30)  # 24 s more in 80 s
    assert found.unit == "clusters"
    assert not found.conditional
    # means 2, 4, 1, 5 about 3: squares 10; times 4/3 over 40 s squared
    a = 10 * 4 / 3 / 1600
    # perturbations' means 2 and 4; what each file adds to that: -/+ 0, 0, 1, 1; squares 2 * 2, over 2 * 1
    i = 4 / 2 * 4 / 3 / 1600
    p = 0.02 / 2  # rates 0.2 and 0.4: sample variance 0.02
    assert (found.audio, found.both) == pytest.approx((1e4 * (a - i), 1e4 * i))
    assert found.perturbations == pytest.approx(1e4 * (p - i))
    degrees = (a + p - i) ** 2 / (a**2 / 3 + (p - i) ** 2 / 1)
    reach = 100 * stats.t.ppf(0.975, degrees) * math.sqrt(a + p - i)
    assert (found.low, found.high) == pytest.approx((30 - reach, 30 + reach))


def test_the_pigeonhole_bootstrap_has_that_variance() -> None:
    files, perturbations = 5, 4
    errors, scored = made(1, files, 3, perturbations)
    found = crossed_difference(errors, scored, range(files))
    rng = np.random.default_rng(0)
    rows = rng.multinomial(files, np.full(files, 1 / files), RESAMPLES)
    columns = rng.multinomial(perturbations, np.full(perturbations, 1 / perturbations), RESAMPLES)
    cells = 100 * np.stack(errors).sum(axis=1) / (10 * 3 * files)
    boot = np.einsum("rf,rp,fp->r", rows, columns, cells) / perturbations
    few, seen = (files - 1) / files, (perturbations - 1) / perturbations  # the bootstrap's own bias
    a, p = found.audio + found.both, found.perturbations + found.both
    assert boot.var() == pytest.approx(few * a + seen * p + few * seen * found.both, rel=0.03)


def test_the_circular_bootstrap_has_that_variance(monkeypatch: pytest.MonkeyPatch) -> None:
    """One file: runs of blocks at random places of it, the last one joined to the first."""
    monkeypatch.setattr(crossed, "correction", lambda blocks, length: 1.0)
    monkeypatch.setattr(crossed, "run_length", lambda blocks: 3)
    errors, scored = made(2, 1, 12, 5)
    found = crossed_difference(errors, scored, ["a"])
    assert found.unit == "runs"
    series = 100 * errors[0].mean(axis=1) / 120
    starts = np.random.default_rng(0).integers(0, 12, (RESAMPLES, 4))
    boot = series[(starts[..., None] + np.arange(3)) % 12].sum(axis=(1, 2))
    assert boot.var() == pytest.approx(found.audio + found.both, rel=0.03)


def test_runs_make_up_for_what_a_short_file_hides() -> None:
    """The estimate's mean over AR(1) files of 12 blocks is the variance of their sum."""
    rng = np.random.default_rng(0)
    series = np.empty((20_000, 12))
    series[:, 0] = rng.standard_normal(20_000)
    for i in range(1, 12):
        series[:, i] = RHO * series[:, i - 1] + math.sqrt(1 - RHO**2) * rng.standard_normal(20_000)
    length = run_length(12)
    centred = series - series.mean(axis=1, keepdims=True)
    runs = sum(np.roll(centred, -shift, axis=1) for shift in range(length))
    found = 12 / length * np.mean(np.square(runs)) * correction(12, length)
    assert length == 4
    assert found == pytest.approx(series.sum(axis=1).var(), rel=0.12)  # runs across the ends are less alike


@pytest.mark.parametrize(
    ("clusters", "seconds", "unit"),
    [
        ("abcd", (60, 60, 60, 60), "clusters"),
        ("abca", (60, 60, 60, 60), "files"),
        ("aaaa", (60, 60, 60, 60), "files"),
        ("abcd", (600, 60, 60, 60), "runs"),  # as good as one file
        ("abc", (60, 60, 60), "runs"),
        ("a", (60,), "runs"),
    ],
)
def test_the_largest_unit_of_which_there_are_enough(clusters: str, seconds: tuple[int, ...], unit: str) -> None:
    errors, _ = made(3, len(clusters), 6, 4)
    found = crossed_difference(errors, [np.full(6, s / 6) for s in seconds], clusters)
    assert found.unit == unit
    assert found.conditional == (unit != "clusters")
    assert math.isfinite(found.low)
    assert math.isfinite(found.high)


def test_of_fixed_audio_only_perturbations_vary() -> None:
    errors, scored = made(4, 3, 6, 8)
    found = crossed_difference(errors, scored, "abc", fixed=True)
    sums = 100 * np.stack(errors).sum(axis=1) / 180  # (files, perturbations), independent of one another
    variances = sums.var(axis=1, ddof=1) / 8
    degrees = 7 * variances.sum() ** 2 / (variances**2).sum()  # Satterthwaite's
    reach = stats.t.ppf(0.975, degrees) * math.sqrt(variances.sum())
    assert (found.low, found.high) == pytest.approx((found.points - reach, found.points + reach))
    assert 7 < degrees < 21
    assert (found.unit, found.audio, found.both) == ("none", 0, 0)


def test_of_one_fixed_file_it_is_students_t() -> None:
    errors, scored = made(4, 1, 6, 8)
    found = crossed_difference(errors, scored, "a", fixed=True)
    interval = stats.ttest_1samp(100 * errors[0].sum(axis=0) / scored[0].sum(), 0).confidence_interval(0.95)
    assert (found.low, found.high) == pytest.approx(tuple(interval))


def test_one_short_block_is_no_infinite_interval() -> None:
    found = crossed_difference([np.array([[1.0, 2.0, 3.0]])], [np.array([10.0])], "a")
    assert found.points == pytest.approx(20)
    assert math.isfinite(found.high)


def test_the_same_seconds_heard_more_often_stay_as_uncertain() -> None:
    """Perturbations that change nothing add nothing: the audio's part of the interval stays."""
    few, scored = made(5, 6, 6, 2)
    once = [np.repeat(e.mean(axis=1, keepdims=True), 2, axis=1) for e in few]
    often = [np.repeat(e.mean(axis=1, keepdims=True), 40, axis=1) for e in few]
    one, other = (crossed_difference(e, scored, range(6)) for e in (once, often))
    assert (one.low, one.high) == pytest.approx((other.low, other.high))
    assert one.high - one.low > 1


@pytest.mark.parametrize(
    ("errors", "speech", "clusters"),
    [
        ([np.zeros((2, 3))], [np.ones(3)], "a"),
        ([np.zeros((2, 3))], [np.ones(2)], "ab"),
        ([np.zeros((2, 3)), np.zeros((2, 4))], [np.ones(2)] * 2, "ab"),
        ([np.zeros((2, 1))], [np.ones(2)], "a"),
        ([np.zeros((2, 3))], [np.zeros(2)], "a"),
    ],
)
def test_what_does_not_fit(errors: Any, speech: Any, clusters: str) -> None:
    with pytest.raises(ValueError, match=r"takes two|as many"):
        crossed_difference(errors, speech, clusters)


@given(st.integers(0, 1000), st.integers(1, 6), st.integers(2, 8), st.integers(2, 6), st.floats(-2, 2), st.booleans())
def test_points_scale_and_shift(
    seed: int, files: int, blocks: int, perturbations: int, more: float, fixed: bool
) -> None:
    """Half the error: half the interval; an error everywhere more moves it; files' order is no matter."""
    errors, scored = made(seed, files, blocks, perturbations)
    clusters = [i % 4 for i in range(files)]
    found = crossed_difference(errors, scored, clusters, fixed=fixed)
    half = crossed_difference([e / 2 for e in errors], scored, clusters, fixed=fixed)
    assert (half.low, half.high) == pytest.approx((found.low / 2, found.high / 2), abs=1e-6)
    moved = crossed_difference([e + more for e in errors], scored, clusters, fixed=fixed)
    assert (moved.low, moved.high) == pytest.approx((found.low + 10 * more, found.high + 10 * more), abs=1e-6)
    turned = crossed_difference(errors[::-1], scored[::-1], clusters[::-1], fixed=fixed)
    assert (turned.low, turned.high) == pytest.approx((found.low, found.high), abs=1e-6)
