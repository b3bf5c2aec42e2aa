"""Drift and the Pareto front, by hand."""

import math

import numpy as np
import pytest

from bench.statistics import Ratio, Slope, drift, slope, unbeaten


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


def test_slope_by_hand() -> None:
    # of y = 1, 2, 4 over t = 0, 1, 2: ((-1)(1) + 0 + (1)(4)) / 2
    assert slope([0, 1, 2], [1, 2, 4]).estimate == pytest.approx(1.5)
    assert slope([0, 1, 2], [1, 2, 4]).low == -np.inf and slope([0], [1]).high == np.inf
    assert slope(np.arange(20), np.full(20, 3.3)) == Slope(0.0, 0.0, 0.0)
    with pytest.raises(ValueError, match="values"):
        slope([0, 1, 2], [1, 2])


@pytest.mark.parametrize("rho", [0.0, 0.5])
def test_slope_holds_the_truth_as_often_as_it_says(rho: float) -> None:
    random, held, runs = np.random.default_rng(0), 0, 200
    for _ in range(runs):
        noise = random.standard_normal(60)
        for i in range(1, 60):
            noise[i] += rho * noise[i - 1]
        found = slope(np.arange(60) / 60, 2 * np.arange(60) / 60 + noise)
        held += found.low <= 2 <= found.high
    assert 0.87 * runs <= held < runs


def test_a_slope_does_not_mind_where_it_is() -> None:
    values = np.random.default_rng(1).standard_normal(40)
    one, other = slope(np.arange(40), values), slope(100 + 2 * np.arange(40), 7 - 4 * values)
    assert other.estimate == pytest.approx(-2 * one.estimate)
    assert other.low == pytest.approx(-2 * one.high) and other.high == pytest.approx(-2 * one.low)
