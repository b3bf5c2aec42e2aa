"""What service times allow, by hand."""

import pytest

from bench.advise.steps import MARGIN, Service, shortest

MS = 1e-3


def constant(milliseconds: float, step: float, asked: int = 1, gain: float = 1.0) -> Service:
    """Each chunk costs as much; in a pass of n, `gain` of that less for each but the first."""
    cost = milliseconds * MS
    seconds = {n: [cost * (1 + (n - 1) * gain)] * 3 for n in (1, 2, 4, 8)}
    return Service(seconds, step, asked)


def test_streams_per_core() -> None:
    service = constant(10, 0.1)
    assert service.streams == {"in turn": 10, "batched": 10} and service.way == "in turn"
    assert service.p99 == pytest.approx(0.01) and service.margin == pytest.approx(0.9)
    # in passes of four 4 ms a chunk: by hand 25 at most; eight would take 28 ms, 3.5 ms a chunk: 28
    together = constant(10, 0.1, gain=0.2)
    assert together.streams["in turn"] == 10 and 22 <= together.streams["batched"] <= 41 and together.way == "batched"


def test_a_slow_chunk_in_ten_is_seen_in_p99() -> None:
    service = Service({1: [0.01] * 9 + [0.09]}, 0.1)
    assert service.p99 == pytest.approx(0.09) and service.margin == pytest.approx(0.1)
    assert shortest({0.1: service, 0.2: Service(service.seconds, 0.2)}) is not service


def test_the_shortest_step() -> None:
    # 30 ms: at 0.1 s it leaves 70 %; 90 ms leave 10 %
    found = shortest({step: constant(30, step) for step in (0.1, 0.2, 1.0)})
    assert found is not None and found.step == 0.1
    found = shortest({step: constant(90, step) for step in (0.1, 0.2, 1.0)})
    assert found is not None and found.step == 0.2 and found.margin == pytest.approx(0.55) and found.margin > MARGIN
    assert shortest({step: constant(1500, step) for step in (0.1, 0.2, 1.0)}) is None
    # a step at which it fails, though a shorter one went well, is not skipped
    patchy = {0.1: constant(30, 0.1), 0.2: constant(300, 0.2), 1.0: constant(30, 1.0)}
    assert shortest(patchy) is patchy[1.0]


def test_streams_that_are_asked_for() -> None:
    few, many = constant(30, 0.1, asked=3), constant(30, 0.1, asked=4)
    assert few.streams["in turn"] == 3 and few.p99 is not None and 0.03 < few.p99 <= 0.09
    assert many.p99 is None and many.margin is None
    found = shortest({step: constant(30, step, asked=10) for step in (0.1, 0.25, 0.5, 1.0)})
    assert found is not None and found.step == 0.5  # by hand: ten take 0.3 s
