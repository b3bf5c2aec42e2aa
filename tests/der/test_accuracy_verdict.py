"""Verdicts on made-up differences: where the interval lies, what would resolve it, and how often looks err."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.accuracy.verdict import ALPHA, Judgement, Needed, equal, judge, level
from bench.statistics import crossed_difference

SCORED = [np.full(6, 10.0)] * 6  # six files of a minute


def differences(
    seed: int, points: float, perturbations: int = 8, cell: float = 1.0, block: float = 0.0
) -> list[np.ndarray]:
    """Seconds of error more, per file: a mean of `points`, and noise of each block, and of each perturbation of it."""
    rng = np.random.default_rng(seed)
    noise = block * rng.standard_normal((6, 6, 1)) + cell * rng.standard_normal((6, 6, perturbations))
    return list((points + noise - noise.mean()) * 0.1)


def judged(points: float, tolerance: float, **noise: float) -> Judgement:
    return judge(differences(0, points, **noise), SCORED, range(6), tolerance, 0.95)  # type: ignore[arg-type]


def test_where_the_interval_lies() -> None:
    inside, outside, between = judged(0.0, 0.5), judged(1.0, 0.5), judged(0.4, 0.5)
    assert (inside.verdict, outside.verdict, between.verdict) == ("within tolerance", "worse", "not resolved")
    assert inside.high < 0.5 < outside.low
    assert between.low < 0.5 < between.high
    assert [x.needed is None for x in (inside, outside, between)] == [True, True, False]
    assert not inside.conditional


def test_either_end_on_the_tolerance() -> None:
    found = judged(0.4, 0.5)
    errors = differences(0, 0.4)
    assert judge(errors, SCORED, range(6), found.high, 0.95).verdict == "within tolerance"  # at or below
    assert judge(errors, SCORED, range(6), found.low, 0.95).verdict == "not resolved"  # not above


def test_no_difference_at_all_is_within_a_tolerance_of_none() -> None:
    found = judge([np.zeros((6, 8))] * 6, SCORED, range(6), 0.0, 0.99)
    assert (found.verdict, found.low, found.high, found.identical) == ("within tolerance", 0, 0, False)


def test_identical_labels_are_equal_on_this_audio() -> None:
    found = equal(0.3)
    assert (found.verdict, found.points, found.low, found.high) == ("within tolerance", 0, 0, 0)
    assert found.identical
    assert found.conditional
    assert equal(-0.5).verdict == "worse"  # a gain that was promised and is not there


def test_voices_that_all_files_share_are_said() -> None:
    errors = differences(0, 0.0)
    assert judge(errors, SCORED, "aaaaaa", 0.5, 0.95).conditional
    assert judge(errors, SCORED, range(6), 0.5, 0.95, fixed=True).conditional


def test_more_perturbations_resolve_what_they_made_uncertain() -> None:
    """The noise of perturbations alone: some more of them are enough, and so would more audio be."""
    found = judged(0.4, 0.5)
    assert found.needed is not None
    count, seconds = found.needed.perturbations, found.needed.seconds
    assert count is not None
    assert seconds is not None
    half = (found.high - found.low) / 2
    # its variance falls as 1/count and has to fall to (0.1 / half)^2; a part that more audio alone lowers delays that
    assert count >= 8 * (half / 0.1) ** 2 - 1
    assert seconds == pytest.approx(360 * (half / 0.1) ** 2, rel=0.2)
    assert (
        judge(differences(1, 0.4, perturbations=3 * count), SCORED, range(6), 0.5, 0.95).verdict == "within tolerance"
    )


def test_no_number_of_perturbations_makes_up_for_audio() -> None:
    found = judged(0.4, 0.5, cell=0.0, block=3.0)
    assert found.needed is not None
    assert found.needed.perturbations is None
    assert found.needed.seconds is not None
    assert found.needed.seconds > 360


def test_an_estimate_on_the_tolerance_is_never_resolved() -> None:
    errors = differences(0, 0.5)
    points = crossed_difference(errors, SCORED, range(6)).points
    assert judge(errors, SCORED, range(6), points, 0.95).needed == Needed(None, None)


@given(st.integers(0, 500), st.floats(-2, 2), st.floats(0, 2), st.floats(0, 2))
def test_a_higher_tolerance_is_never_stricter(seed: int, points: float, one: float, other: float) -> None:
    order = ["worse", "not resolved", "within tolerance"]
    errors = differences(seed, points)
    strict, lax = (order.index(judge(errors, SCORED, "aabbcc", t, 0.95).verdict) for t in sorted((one, other)))
    assert strict <= lax


def test_the_error_is_shared_among_looks_and_variants() -> None:
    assert level(1.0, 0.0, 1) == pytest.approx(1 - 2 * ALPHA)
    looks = [0.1, 0.2, 0.4, 0.8, 1.0]
    errors = [(1 - level(now, before, 4)) / 2 for before, now in zip([0.0, *looks[:-1]], looks, strict=True)]
    assert 4 * sum(errors) == pytest.approx(ALPHA)


def test_a_difference_on_the_tolerance_is_seldom_called_within_over_all_looks() -> None:
    """True difference 1 point, tolerance 1: 500 runs of four looks at growing numbers of perturbations."""
    rng, runs, wrong = np.random.default_rng(0), 500, 0
    for _ in range(runs):
        block = rng.standard_normal((6, 1, 1)) + rng.standard_normal((6, 6, 1))
        errors = list((1 + block + 5 * rng.standard_normal((6, 6, 32))) * 0.1)
        before = 0.0
        for count in (4, 8, 16, 32):
            confidence = level(count / 32, before, 1)
            before = count / 32
            if judge([e[:, :count] for e in errors], SCORED, range(6), 1.0, confidence).verdict == "within tolerance":
                wrong += 1
                break
    assert wrong <= 12  # of 500 at 1 %, more than 12 come with probability 0.002
