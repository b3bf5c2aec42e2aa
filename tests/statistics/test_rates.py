"""Differences of error rates, by hand."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.statistics import Difference, rate_difference


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


@pytest.mark.parametrize(
    ("seed", "files", "earlier"),
    [
        (0, 3, (-0.7047288454507508, -2.6727433648439263, 1.7045759486909462)),
        (1, 8, (0.3731312544085927, -0.9058633820186688, 1.7539889125422703)),
        (2, 17, (-0.2267837139584192, -0.7059284796105526, 0.30693425538873537)),
    ],
)
def test_intervals_are_those_of_earlier_versions(
    monkeypatch: pytest.MonkeyPatch, seed: int, files: int, earlier: tuple[float, float, float]
) -> None:
    monkeypatch.setattr("bench.statistics.bootstrap.RESAMPLES", 2000)
    mine, theirs, totals = np.random.default_rng(seed).random((3, files))
    found = rate_difference(mine, theirs, 60 * totals)
    assert (found.points, found.low, found.high) == pytest.approx(earlier, rel=1e-12)


def test_files_without_a_total_are_refused() -> None:
    with pytest.raises(ValueError, match="shape"):
        rate_difference([1.0, 2.0], [0.0, 1.0], [10.0])


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10**6), scale=st.sampled_from([0.25, 2.0, 1024.0]))
def test_rates_have_no_unit_and_a_sign(seed: int, scale: float) -> None:
    mine, theirs, totals = np.random.default_rng(seed).random((3, 6))
    found = rate_difference(mine, theirs, totals)
    assert rate_difference(scale * mine, scale * theirs, scale * totals) == found
    back = rate_difference(theirs, mine, totals)
    assert (back.points, back.low, back.high) == pytest.approx((-found.points, -found.high, -found.low), abs=1e-9)


def test_resamples_without_speech_have_no_rate(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bench.statistics.bootstrap.RESAMPLES", 2000)
    # 1 of 27 resamples is the silent file three times; the worst that has a rate is it twice with the file of 10 s
    found = rate_difference([5.0, 3.0, 4.0], [0.0, 1.0, 2.0], [0.0, 10.0, 30.0])
    assert found.high == pytest.approx(100 * (5 + 5 + 2) / 10)
