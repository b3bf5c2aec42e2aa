"""Growth from run to run: by scipy's own regression, by hand, and how often it is right about made-up runs."""

import math
from random import Random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from bench.statistics import Ratio
from bench.statistics.growth import growth


def ratio(log: float, half: float) -> Ratio:
    """A ratio with its 95 % interval, symmetric on the log scale."""
    return Ratio(math.exp(log), math.exp(log - half), math.exp(log + half), 60)


WILD = [0.0, 0.03, -0.01, 0.05, 0.02, 0.09, 0.04]


def test_where_runs_differ_by_more_than_their_intervals_it_is_ordinary_regression() -> None:
    found = growth([ratio(y, 1e-7) for y in WILD], 0.9)
    line = stats.linregress(range(7), WILD)
    reach = stats.t.ppf(0.95, 5) * line.stderr
    expected = [math.exp(6 * s) for s in (line.slope, line.slope - reach, line.slope + reach)]
    assert [found.estimate, found.low, found.high] == pytest.approx(expected, rel=1e-6)


def test_where_they_do_not_the_intervals_decide() -> None:
    """Standard errors of 0.1 and 0.2: slope and its error by the normal equations."""
    halves = [0.1 * stats.norm.ppf(0.975) * (1 + i % 2) for i in range(6)]
    logs = [0.01 * i for i in range(6)]
    found = growth([ratio(y, h) for y, h in zip(logs, halves, strict=True)], 0.95)
    weights = np.diag([100.0, 25.0] * 3)
    design = np.stack([np.ones(6), np.arange(6.0)], axis=1)
    error = math.sqrt(np.linalg.inv(design.T @ weights @ design)[1, 1])
    assert math.log(found.estimate) == pytest.approx(0.05)
    assert math.log(found.high / found.estimate) == pytest.approx(5 * error * stats.t.ppf(0.975, 4))
    assert math.log(found.estimate / found.low) == pytest.approx(5 * error * stats.t.ppf(0.975, 4))


def test_what_says_nothing_keeps_its_place() -> None:
    known = [ratio(0.02 * i + 0.001 * (i % 2), 0.004) for i in range(7)]
    known[3] = Ratio(7.0, 0.0, math.inf, 9)
    assert growth(known, 0.95).estimate == pytest.approx(math.exp(0.12), rel=0.01)
    assert growth(known[:5], 0.95).high == math.inf  # of which four say something
    assert growth([], 0.95) == Ratio(1.0, 0.0, math.inf, 0)
    assert growth([ratio(0.0, 0.01)] * 5, 0.95).low > 0


@given(
    st.lists(st.tuples(st.floats(-0.2, 0.2), st.floats(0.001, 0.1)), min_size=5, max_size=12),
    st.floats(-1, 1),
)
def test_neither_level_nor_direction_matters(runs: list[tuple[float, float]], level: float) -> None:
    there = growth([ratio(y, h) for y, h in runs], 0.95)
    moved = growth([ratio(y + level, h) for y, h in runs], 0.95)
    back = growth([ratio(y, h) for y, h in reversed(runs)], 0.95)
    ends = [math.log(x) for x in (there.estimate, there.low, there.high)]
    assert [math.log(x) for x in (moved.estimate, moved.low, moved.high)] == pytest.approx(ends, abs=1e-6)
    assert [-math.log(x) for x in (back.estimate, back.high, back.low)] == pytest.approx(ends, abs=1e-6)


@pytest.mark.parametrize("between", [0.0, 0.02])
def test_either_end_errs_as_often_as_it_says(between: float) -> None:
    """1000 trends of 8 runs that do not grow, with errors of 0.5 to 3 % of their own, and with 2 % between runs."""
    draw, count, wrong = Random(1), 1000, 0
    for _ in range(count):
        own = [draw.uniform(0.005, 0.03) for _ in range(8)]
        runs = [ratio(draw.gauss(0, math.hypot(s, between)), s * stats.norm.ppf(0.975)) for s in own]
        wrong += growth(runs, 0.9).low > 1
    rate = stats.binomtest(wrong, count).proportion_ci(0.99)
    assert rate.low <= 0.05 and rate.high > 0.02
