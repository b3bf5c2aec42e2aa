"""Ratios over processes: hand-worked cases, and simulations in which processes differ by a known amount."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from bench.statistics import Paired, Ratio, paired_ratio, process_ratio


def process(ratio: float, blocks: int = 8, noise: float = 0.0, seed: int = 0) -> Paired:
    """Three rounds a block at that ratio to a reference of 1 s, with log-normal noise."""
    times = ratio * np.exp(noise * np.random.default_rng(seed).standard_normal(3 * blocks))
    return Paired(times, np.ones(3 * blocks), np.repeat(np.arange(blocks), 3))


def processes(seed: int, count: int, between: float, within: float = 0.01, blocks: int = 6) -> list[Paired]:
    """Processes at a true ratio of 1, each with an offset of its own."""
    rng = np.random.default_rng(seed)
    offsets = np.exp(between * rng.standard_normal(count))
    return [process(ratio, blocks, within, 1000 * seed + i) for i, ratio in enumerate(offsets)]


def test_five_processes_by_hand() -> None:
    logs = np.array([0.00, 0.01, 0.02, 0.03, 0.04])  # mean 0.02, variance 0.00025
    found = process_ratio([process(math.exp(x)) for x in logs])
    reach = stats.t.ppf(0.975, 4) * math.sqrt(0.00025 / 5)
    expected = [math.exp(0.02), math.exp(0.02 - reach), math.exp(0.02 + reach)]
    assert [found.estimate, found.low, found.high] == pytest.approx(expected, rel=1e-12)
    assert (found.rounds, found.processes) == (120, 5)
    assert (found.between, found.share) == pytest.approx((math.sqrt(0.00025), 1.0), rel=1e-9)  # no noise within


def test_few_processes_get_the_interval_within_them_alone() -> None:
    found = process_ratio([process(math.exp(x)) for x in (0.00, 0.01, 0.02, 0.03)])
    assert (found.estimate, found.low, found.high) == pytest.approx([math.exp(0.015)] * 3)
    assert (found.processes, found.between, found.share) == (4, None, None)
    one, two = process(1.0, 20, 0.05, 1), process(1.0, 20, 0.05, 2)
    alone, both = paired_ratio(one), process_ratio([one, two])
    assert both.half_width == pytest.approx(alone.half_width / math.sqrt(2), rel=0.35)


def test_one_process_is_as_ever() -> None:
    sample = process(1.1, 10, 0.05)
    assert process_ratio([sample]) == paired_ratio(sample)
    with pytest.raises(ValueError, match="at least one process"):
        process_ratio([])


def test_processes_that_were_cut_short_are_left_out() -> None:
    whole = [process(1.0, 8, 0.02, seed) for seed in range(5)]
    assert process_ratio([*whole, process(3.0, 3)]) == process_ratio(whole)
    assert process_ratio([process(2.0, 3), whole[0]]) == paired_ratio(whole[0])
    ones = process_ratio([process(math.exp(x), 1) for x in (0.00, 0.01, 0.02, 0.03, 0.04)])  # nothing but short ones
    reach = stats.t.ppf(0.975, 4) * math.sqrt(0.00025 / 5)
    assert [ones.low, ones.high] == pytest.approx([math.exp(0.02 - reach), math.exp(0.02 + reach)])
    assert (ones.processes, ones.between, ones.share) == (5, None, None)
    assert process_ratio([process(2.0, 3), process(3.0, 3)]) == Ratio(pytest.approx(2.0), 0.0, math.inf, 9)


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 10**6), count=st.integers(1, 7), factor=st.floats(0.1, 10))
def test_scaling_swapping_and_order(seed: int, count: int, factor: float) -> None:
    samples = processes(seed, count, 0.02)
    plain = process_ratio(samples)
    figures = np.array([plain.estimate, plain.low, plain.high])
    scaled = process_ratio([Paired(factor * s.times, s.reference, s.blocks) for s in samples])
    assert [scaled.estimate, scaled.low, scaled.high] == pytest.approx(factor * figures)
    swapped = process_ratio([Paired(s.reference, s.times, s.blocks) for s in samples])
    assert [swapped.estimate, swapped.high, swapped.low] == pytest.approx(1 / figures)
    back = process_ratio(samples[::-1])
    assert [back.estimate, back.low, back.high] == pytest.approx(figures)
    assert plain.low <= plain.estimate <= plain.high and plain.processes == count


def bootstrapped(samples: list[Paired]) -> tuple[float, float]:
    """What was not chosen: processes, then blocks in them, drawn with replacement; the 95 % of the mean."""
    rng = np.random.default_rng(0)
    blocks = np.array([np.log(s.times / s.reference).reshape(-1, 3) for s in samples])  # (processes, blocks, rounds)
    count, each = blocks.shape[:2]
    drawn = rng.integers(count, size=(400, count))
    inner = rng.integers(each, size=(400, count, each))
    means = np.median(blocks[drawn[..., None], inner].reshape(400, count, -1), axis=2).mean(axis=1)
    low, high = np.exp(np.quantile(means, [0.025, 0.975]))
    return float(low), float(high)


def pooled(samples: list[Paired]) -> tuple[float, float]:
    """What one process would be told: all rounds as if they were its own."""
    shift = [np.full(len(s.times), 100 * i) + s.blocks for i, s in enumerate(samples)]
    with pytest.MonkeyPatch.context() as patch:  # and no run of blocks longer than one, as if all were independent
        patch.setattr("bench.statistics.ratio.carlstein_length", lambda series: 1)
        found = paired_ratio(Paired(*(np.concatenate([getattr(s, k) for s in samples]) for k in ("times", "reference")),
                                    np.concatenate(shift)))  # fmt: skip
    return found.low, found.high


@pytest.mark.parametrize("count", [5, 10])
@pytest.mark.parametrize("between", [0.0, 0.003, 0.02])
def test_the_interval_covers_at_its_nominal_rate_whatever_differs_between_processes(count: int, between: float) -> None:
    runs = 400
    found = [process_ratio(processes(seed, count, between)) for seed in range(runs)]
    hits = sum(ratio.low <= 1 <= ratio.high for ratio in found)
    assert stats.binomtest(hits, runs, 0.95).pvalue > 0.001, hits / runs


def test_intervals_that_were_not_chosen_do_not_cover() -> None:
    made = [processes(seed, 5, 0.02, blocks=24) for seed in range(150)]
    covered = {f.__name__: np.mean([low <= 1 <= high for low, high in map(f, made)]) for f in (bootstrapped, pooled)}
    assert covered["bootstrapped"] < 0.9
    assert covered["pooled"] < 0.5


def test_what_differs_between_processes_is_told_from_the_noise_within() -> None:
    found = [process_ratio(processes(seed, 10, 0.02)) for seed in range(60)]
    assert np.mean([(r.between or 0.0) ** 2 for r in found]) ** 0.5 == pytest.approx(0.02, rel=0.1)
    assert np.mean([r.share or 0.0 for r in found]) > 0.9
    none = [process_ratio(processes(seed, 10, 0.0)) for seed in range(60)]
    assert np.median([r.between or 0.0 for r in none]) < 0.002  # a tenth; an estimate's own error is 0.003
    assert np.mean([r.share or 0.0 for r in none]) < 0.35
