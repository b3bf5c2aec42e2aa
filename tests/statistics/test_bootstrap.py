"""The block bootstrap: what it draws, and what it makes of it."""

import math
from typing import Any

import numpy as np
import pytest

from bench.statistics import block_bootstrap, carlstein_length
from bench.statistics.bootstrap import student_interval


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


def test_block_length_is_one_without_correlation_and_grows_with_it(made: Any) -> None:
    assert carlstein_length(np.tile([1.0, -1.0], 50)) == 1
    assert carlstein_length(np.ones(100)) == 1
    assert carlstein_length(np.arange(7.0)) == 1  # too short to tell
    lengths = [carlstein_length(np.log(made(0, 200, rho)[0])) for rho in (0.1, 0.5, 0.9)]
    assert 1 <= lengths[0] < lengths[1] < lengths[2]


def test_a_resample_is_whole_blocks_in_runs_around_the_circle() -> None:
    seen: list[np.ndarray] = []
    blocks = [np.array([10.0 * i, 10.0 * i + 1]) for i in range(5)]

    def keep(resamples: np.ndarray) -> np.ndarray:
        seen.append(resamples)
        return resamples[:, 0]

    assert block_bootstrap(blocks, keep, length=2).shape == (200,)
    (resamples,) = seen
    assert resamples.shape == (200, 10)  # as many rounds as there are
    firsts = resamples[:, ::2] / 10
    assert (resamples[:, 1::2] == resamples[:, ::2] + 1).all()  # blocks stay whole
    for first in (0, 2):  # and two successive ones together; the last of five is alone
        assert (firsts[:, first + 1] == (firsts[:, first] + 1) % 5).all()
    assert set(firsts[:, 4]) == {0, 1, 2, 3, 4}


def test_ragged_blocks_are_drawn_alike() -> None:
    """Marking the rounds of one block by length alone changes the route, not the draw."""
    even = [np.full(2, float(i)) for i in range(6)]
    ragged = [np.full(1 + (i != 3), float(i)) for i in range(6)]
    highest = [block_bootstrap(blocks, lambda x: x.max(axis=1), length=2) for blocks in (even, ragged)]
    assert highest[0].tolist() == highest[1].tolist()


def test_where_a_statistic_is_not_defined_the_resample_is_left_out() -> None:
    blocks = [np.array([float(i)]) for i in range(4)]
    found = block_bootstrap(blocks, lambda x: np.where(x.max(axis=1) < 3, np.nan, x.max(axis=1)))
    assert 0 < len(found) < 200 and set(found) == {3.0}


def test_the_error_of_a_mean_is_the_textbook_s(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bench.statistics.bootstrap.RESAMPLES", 4000)
    values = np.random.default_rng(0).standard_normal(50)
    means = block_bootstrap([np.array([value]) for value in values], lambda x: x.mean(axis=1))
    assert means.std() == pytest.approx(values.std() / math.sqrt(50), rel=0.04)  # 4000 resamples: within 1.1 % (1 sd)


def test_student_interval_by_hand() -> None:
    # deviations of +-1 around 0: variance 2 / 1; two runs leave one degree of freedom, t = 12.706, error sqrt(2) larger
    assert student_interval(10.0, np.array([-1.0, 1.0]), 2, 0.95) == pytest.approx((10 - 25.412, 10 + 25.412), abs=1e-3)
    # never less than one degree
    assert student_interval(0.0, np.array([-1.0, 1.0]), 1, 0.95)[1] == pytest.approx(25.412, abs=1e-3)
