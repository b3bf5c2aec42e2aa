"""From trials to the largest number that holds; what a trial says."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.capacity.loop import Served
from bench.capacity.measure import best_size
from bench.capacity.search import largest
from bench.capacity.trial import Trial, simulate


@given(truth=st.integers(0, 300), guess=st.integers(1, 300))
def test_largest(truth: int, guess: int) -> None:
    asked: list[int] = []

    def holds(streams: int) -> bool:
        asked.append(streams)
        return streams <= truth

    assert largest(holds, guess, most=300) == truth
    assert len(asked) == len(set(asked)) <= 2 + 2 * np.ceil(np.log2(abs(truth - guess) + 2))
    assert truth == 300 or guess not in (truth, truth + 1) or len(asked) <= 2


def test_a_simulated_queue_holds_up_to_its_capacity() -> None:
    # 10 ms a chunk, a step of 0.1 s: ten fill the core; by hand, an eleventh grows the backlog by one chunk per step
    for streams in (1, 5, 10):
        assert simulate({1: [0.01]}, streams, 0.1, 20.0, 0).holds
    full = simulate({1: [0.01]}, 11, 0.1, 20.0, 0)
    assert full.served.cut and not full.holds
    # together, two take 12 ms: 16.7 fit; one alone still takes 10
    assert simulate({1: [0.01], 2: [0.012]}, 16, 0.1, 20.0, 0).holds
    assert not simulate({1: [0.01], 2: [0.012]}, 17, 0.1, 20.0, 0).holds
    assert simulate({1: [0.01], 2: [0.012]}, 16, 0.1, 20.0, 0).served.together.max() == 2
    # three take what lies between two and four: by hand, 25 ms, and four at 30 ms make 13.3 fit in the end
    assert simulate({1: [0.01], 2: [0.02], 4: [0.03]}, 12, 0.1, 20.0, 0).holds


def test_one_in_a_hundred_may_be_late() -> None:
    late, later = ([0.01] * 99 + [0.15], [0.01] * 98 + [0.15] * 2)
    assert simulate({1: late}, 1, 0.1, 20.0, 0).within == 0.99  # 200 chunks; what the slow one delays is in time
    assert simulate({1: late}, 1, 0.1, 20.0, 0).holds and not simulate({1: later}, 1, 0.1, 20.0, 0).holds


def served(latency: np.ndarray, step: float, stream: np.ndarray | None = None) -> Served:
    at = step * np.arange(len(latency))
    ones = np.ones(len(latency), int)
    return Served(at, at + latency, 0 * ones if stream is None else stream, ones)


def test_a_backlog_that_grows_does_not_hold_though_all_are_in_time() -> None:
    rising = Trial(1, 1.0, served(np.linspace(0.1, 0.9, 60), 1.0))
    assert rising.within == 1 and rising.grows and not rising.holds
    # by hand: within its own step each waits as long as its latency: 0.8 chunks in 59 s
    assert rising.growth.estimate == pytest.approx(60 * 0.8 / 59)
    hardly = Trial(1, 1.0, served(np.linspace(0.1, 0.5, 60), 1.0))
    assert hardly.growth.grows and not hardly.grows and hardly.holds
    level = Trial(1, 1.0, served(np.tile([0.5, 0.6], 30), 1.0))
    assert level.holds and level.growth.low < 0 < level.growth.high


def test_what_the_last_stream_costs_its_neighbours() -> None:
    at, random = np.repeat(np.arange(40.0), 2), np.random.default_rng(0)
    latency = 0.1 + 0.001 * random.random(80)
    latency[(at >= 20) & (np.arange(80) % 2 == 0)] += 0.05
    latency[1::2] = 3.0  # its own does not count
    trial = Trial(2, 1.0, Served(at, at + latency, np.tile([0, 1], 40), np.ones(80, int)))
    cost = trial.neighbours(20.0)
    assert cost.estimate == pytest.approx(0.05, abs=1e-3) and 0.049 < cost.low < cost.estimate < cost.high < 0.051
    assert np.isnan(Trial(1, 1.0, trial.served).neighbours(20.0).estimate)
    after = trial.since(20.0)
    assert len(after.served.at) == 40 and after.served.at[0] == 0 and after.served.latency[0] > 0.149


def test_percentiles_have_intervals() -> None:
    latency = np.random.default_rng(0).uniform(0.1, 0.2, 500)
    trial = Trial(1, 1.0, served(latency, 1.0))
    interval = trial.interval(99)
    assert interval is not None and interval[0] < np.quantile(latency, 0.99) <= interval[1]


def test_the_pass_that_costs_least_and_fits() -> None:
    found = {1: [0.01], 2: [0.015], 4: [0.024], 8: [0.06]}
    assert best_size(found, 0.25) == 4  # 6 ms a chunk
    assert best_size(found, 0.04) == 2 and best_size(found, 0.001) == 1
