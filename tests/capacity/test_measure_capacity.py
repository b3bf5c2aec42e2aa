"""The whole of a measurement, on a clock in the test's hands."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from bench.capacity.audio import Looped
from bench.capacity.measure import measure
from bench.pipeline.staged import PipelineSettings
from variants import UserError


class Served:
    """In place of streams: a pass costs `cost[chunks]` seconds, and state is 1000 bytes a stream."""

    def __init__(
        self, count: int, clock: Any, cost: Sequence[float], missed: int = 0, failed: int | None = None
    ) -> None:
        self.pipelines, self.clock, self.cost, self.missed = [None] * count, clock, cost, missed
        self.failed: dict[int, str] = {}
        self.state, self.fails = ([np.zeros(125) for _ in range(count)],), failed

    def __call__(self, chunks: Sequence[Any]) -> None:
        self.clock.time += self.cost[len(chunks)]
        if self.fails is not None and len(self.pipelines) > self.fails:
            self.failed[2] = "stream 2 ended: RuntimeError: no"


@pytest.fixture
def audio() -> Looped:
    return Looped([np.zeros(160_000, np.float32)], PipelineSettings(1.0, 0.1, 0.5))


def test_in_turn_ten_fit(audio: Looped, clock: Any) -> None:
    cost = [0.0, 0.01]
    found = measure(lambda count: Served(count, clock, cost), audio, "in turn", 60.0, clock=clock)
    assert found.trial.holds and found.trial.streams == found.guess == 10 and found.per_core == 10
    assert found.tried == {10: True, 11: False} and found.most == 1 and found.service == {1: pytest.approx(0.01)}
    assert found.reach == pytest.approx(1.0)
    assert 1000 <= found.memory < 1200
    # by hand: 42 % of a minute of 10 chunks per step; what came before the last stream joined is left out
    assert len(found.trial.served.at) == pytest.approx(0.42 * 60 * 100, abs=10)
    assert found.neighbours.low <= found.neighbours.estimate <= found.neighbours.high
    assert clock.time < 100 + 75  # seconds: about the budget


def test_batched_more_fit(audio: Looped, clock: Any) -> None:
    cost = [0.0, 0.01, 0.013, 0.02, 0.02, 0.05, 0.05, 0.05, 0.05]
    found = measure(lambda count: Served(count, clock, cost), audio, "batched", 60.0, threads=2, clock=clock)
    # by hand: four in 20 ms, so that 20 fill the core; eight take longer each
    assert found.most == 4 and found.trial.holds and 17 <= found.trial.streams <= 20
    assert found.per_core == found.trial.streams / 2 and found.trial.served.together.max() <= 4
    assert found.reach == pytest.approx(found.trial.streams * 0.005 / 0.1)


def test_not_even_one(audio: Looped, clock: Any) -> None:
    found = measure(lambda count: Served(count, clock, [0.0, 0.2]), audio, "in turn", 20.0, clock=clock)
    assert found.per_core == found.reach == found.guess == 0 and not found.trial.holds and found.tried == {1: False}


def test_what_was_forgotten_or_ended_is_no_figure(audio: Looped, clock: Any) -> None:
    with pytest.raises(UserError, match="3 chunks were computed anew"):
        measure(lambda count: Served(count, clock, [0.0, 0.01], missed=3), audio, "in turn", 20.0, clock=clock)
    with pytest.raises(UserError, match="stream 2 ended: RuntimeError: no"):
        measure(lambda count: Served(count, clock, [0.0, 0.01], failed=8), audio, "in turn", 20.0, clock=clock)
