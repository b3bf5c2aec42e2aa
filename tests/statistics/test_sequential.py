"""Alpha spending, by hand and in a simulation with a known truth."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from bench.statistics.sequential import confidence, spent

ALPHA = 0.01


def test_each_comparison_gets_its_part_of_the_error() -> None:
    assert confidence(0.01, 1) == pytest.approx(0.98)  # 1 % at either end
    assert confidence(0.01, 20) == pytest.approx(0.999)


def test_the_root_of_the_share_is_spent() -> None:
    assert spent(0.25, 0.02) == pytest.approx(0.01)


@given(st.lists(st.floats(0, 1), min_size=1, max_size=10))
def test_looks_never_spend_more_than_all(shares: list[float]) -> None:
    before = 0.0
    for share in sorted(shares):
        assert spent(share, ALPHA) >= before
        before = spent(share, ALPHA)
    assert before <= ALPHA == spent(1.0, ALPHA) == spent(7.0, ALPHA)


def test_false_alarms_over_all_looks_stay_below_alpha() -> None:
    """Normal means of 8, 16, ... 256 blocks, known noise, no effect: the sequence of looks may err 1 % of the time."""
    runs, looks = 20_000, [8, 16, 32, 64, 128, 256]
    noise = np.random.default_rng(0).standard_normal((runs, looks[-1]))
    alarmed, before = np.zeros(runs, bool), 0.0
    for n in looks:
        level = confidence(spent(n / looks[-1], ALPHA) - before, 1)
        before = spent(n / looks[-1], ALPHA)
        alarmed |= noise[:, :n].mean(axis=1) > stats.norm.ppf((1 + level) / 2) / math.sqrt(n)
    assert 0.004 < alarmed.mean() < ALPHA
