"""What will be seen, against hand-worked cases and a simulation."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from bench.statistics import Power, Ratio

MARGIN = 1.4294  # 1 + 0.8416 / 1.9600


def control(half: float, rounds: int, *processes: float) -> Ratio:
    return Ratio(1.0, math.exp(-half), math.exp(half), rounds, *processes)  # type: ignore[arg-type]


def test_the_half_width_falls_with_the_square_root_of_the_rounds() -> None:
    power = Power.of(control(0.02, 100))
    assert power is not None and power.between is None
    assert power.visible(100) == pytest.approx(0.02 * MARGIN, rel=1e-3)
    assert power.visible(400) == pytest.approx(0.01 * MARGIN, rel=1e-3)
    assert power.rounds(0.01 * MARGIN) == pytest.approx(400, rel=1e-3)
    assert power.visible(400, 4) == power.visible(400)  # within them


def test_what_differs_between_processes_falls_with_their_number_alone() -> None:
    t4, t19 = stats.t.ppf(0.975, [4, 19])
    power = Power.of(control(0.01 * t4, 100, 5, 0.0, 0.75))  # a standard error of 1 %, three quarters of its variance
    assert power is not None
    assert (power.within, power.between) == pytest.approx((0.05, 0.01 * math.sqrt(3.75)))
    assert power.visible(100, 5) == pytest.approx(MARGIN * t4 * 0.01, rel=1e-3)
    assert power.visible(10**9, 5) == pytest.approx(MARGIN * t4 * 0.01 * math.sqrt(0.75), rel=1e-3)
    assert power.visible(400, 20) == pytest.approx(MARGIN * t19 * 0.005, rel=1e-3)  # four times both
    assert power.rounds(MARGIN * t19 * 0.005, 20) == pytest.approx(400, rel=1e-2)
    assert power.rounds(MARGIN * t4 * 0.0086, 5) == math.inf  # sqrt(0.75) is 0.866


@pytest.mark.parametrize("ends", [(1.0, 1.0), (0.0, math.inf), (0.9, math.inf), (0.0, 1.1)])
def test_an_interval_without_width_or_end_tells_nothing(ends: tuple[float, float]) -> None:
    assert Power.of(Ratio(1.0, *ends, 100)) is None


@given(st.floats(1e-4, 0.5), st.integers(1, 10**5), st.floats(1e-3, 1.0), st.integers(1, 30))
def test_rounds_undo_visible(half: float, rounds: int, difference: float, processes: int) -> None:
    power = Power.of(control(half, rounds))
    assert power is not None
    assert power.visible(power.rounds(difference, processes), processes) == pytest.approx(difference)


def test_four_runs_in_five_see_it() -> None:
    rng = np.random.default_rng(0)
    power = Power(within=0.05)
    estimates = power.visible(100) + 0.05 / 10 * rng.standard_normal(20_000)
    assert np.mean(estimates > 1.96 * 0.005) == pytest.approx(0.8, abs=0.01)
