"""The gate's verdicts and intervals, against hand-worked cases."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.gate.verdict import (
    INCONCLUSIVE,
    PASS,
    REGRESSED,
    change,
    control_error,
    stored_reach,
    verdict,
)
from bench.statistics import Ratio

RATIOS = st.tuples(st.floats(0.5, 2), st.floats(0.001, 0.3)).map(
    lambda pair: Ratio(pair[0], pair[0] * math.exp(-pair[1]), pair[0] * math.exp(pair[1]), 30)
)
ORDER = [REGRESSED, INCONCLUSIVE, PASS]


@pytest.mark.parametrize(
    ("estimate", "low", "high", "expected"),
    [
        (1.04, 1.01, 1.07, REGRESSED),
        (1.04, 0.99, 1.09, INCONCLUSIVE),  # the interval holds 1
        (1.04, 0.99, 1.049, PASS),
        (1.03, 1.02, 1.04, REGRESSED),  # certain, and above half the threshold
        (1.02, 1.01, 1.03, PASS),  # certain, but below half the threshold
        (1.02, 1.01, 1.06, INCONCLUSIVE),
        (1.025, 1.01, 1.05, INCONCLUSIVE),  # either limit itself decides nothing
        (1.00, 0.95, 1.04, PASS),
        (0.50, 0.40, 0.60, PASS),
        (1.00, 0.00, math.inf, INCONCLUSIVE),
    ],
)
def test_verdict_at_five_percent(estimate: float, low: float, high: float, expected: str) -> None:
    assert verdict(Ratio(estimate, low, high, 30), 0.05) == expected


@pytest.mark.parametrize(
    ("estimate", "low", "high", "expected"),
    [
        (1.04, 1.01, 1.07, INCONCLUSIVE),  # may be a slow spell
        (1.08, 1.06, 1.10, REGRESSED),  # certainly above the threshold
        (1.03, 1.02, 1.04, INCONCLUSIVE),
        (1.02, 1.01, 1.03, PASS),
    ],
)
def test_early_on_only_a_large_change_is_one(estimate: float, low: float, high: float, expected: str) -> None:
    assert verdict(Ratio(estimate, low, high, 30), 0.05, settled=False) == expected


@given(RATIOS, st.floats(0.001, 0.5), st.floats(0.001, 0.5))
def test_a_higher_threshold_is_never_stricter(ratio: Ratio, one: float, other: float) -> None:
    strict, lax = (ORDER.index(verdict(ratio, t)) for t in sorted((one, other)))
    assert strict <= lax


@given(RATIOS, st.floats(1.0, 1.5), st.floats(0.001, 0.5))
def test_a_slower_variant_is_never_judged_better(ratio: Ratio, factor: float, threshold: float) -> None:
    slower = Ratio(ratio.estimate * factor, ratio.low * factor, ratio.high * factor, ratio.rounds)
    assert ORDER.index(verdict(slower, threshold)) <= ORDER.index(verdict(ratio, threshold))


def test_variances_add() -> None:
    now, then = (
        Ratio(1.1, 1.1 / math.exp(0.03), 1.1 * math.exp(0.03), 30),
        Ratio(1.0, math.exp(-0.04), math.exp(0.04), 60),
    )
    found = change(now, then, 0.95)
    assert found.estimate == pytest.approx(1.1)
    assert (found.low, found.high) == pytest.approx((1.1 * math.exp(-0.05), 1.1 * math.exp(0.05)))
    wider = change(now, then, 0.95, systematic=0.12)
    assert wider.high == pytest.approx(1.1 * math.exp(0.13))


def test_the_stored_interval_is_brought_to_the_level() -> None:
    then = Ratio(0.8, 0.8 * math.exp(-1.96 * 0.01), 0.8 * math.exp(1.96 * 0.01), 60)  # standard error 0.01
    assert stored_reach(then, 0.99) == pytest.approx(0.02576, rel=1e-3)


@given(RATIOS, RATIOS, st.floats(0.5, 0.9999), st.floats(0.1, 10))
def test_a_machine_slower_on_both_days_changes_nothing(now: Ratio, then: Ratio, level: float, scale: float) -> None:
    scaled = [Ratio(r.estimate * scale, r.low * scale, r.high * scale, r.rounds) for r in (now, then)]
    one, other = change(now, then, level), change(*scaled, level)
    assert (one.estimate, one.low, one.high) == pytest.approx((other.estimate, other.low, other.high))


@given(RATIOS, RATIOS)
def test_swapping_now_and_then_gives_the_reciprocal(now: Ratio, then: Ratio) -> None:
    one, other = change(now, then, 0.95), change(then, now, 0.95)
    assert (one.estimate, one.low, one.high) == pytest.approx((1 / other.estimate, 1 / other.high, 1 / other.low))


def test_what_is_unknown_stays_unknown() -> None:
    nothing = Ratio(1.0, 0.0, math.inf, 3)
    known = Ratio(1.0, 0.99, 1.01, 300)
    for found in (change(nothing, known, 0.95), change(known, Ratio(1.0, 0.0, 1e9, 3), 0.95)):
        assert verdict(found, 0.05) == INCONCLUSIVE


def test_control_error_is_what_two_copies_differ_by() -> None:
    assert control_error(None) == 0
    assert control_error(Ratio(0.95, 0.9, 1.0, 60)) == pytest.approx(control_error(Ratio(1 / 0.95, 1.0, 1.1, 60)))
