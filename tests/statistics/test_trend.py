"""Drift and the Pareto front, by hand."""

import math

import numpy as np
import pytest

from bench.statistics import Ratio, drift, unbeaten


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
