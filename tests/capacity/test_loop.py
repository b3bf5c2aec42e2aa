"""The open loop: arrivals are fixed by schedule, and what a stall costs is seen in every chunk that it delayed."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from lightweight import Hands

from bench.capacity.loop import Arrival, schedule, serve


def test_schedule() -> None:
    found = schedule(3, 0.5, 4.0, seed=7)
    assert found == sorted(found) and found == schedule(3, 0.5, 4.0, seed=7) != schedule(3, 0.5, 4.0, seed=8)
    for stream in range(3):
        mine = [arrival for arrival in found if arrival.stream == stream]
        assert [arrival.number for arrival in mine] == list(range(8))
        assert 0 <= mine[0].at < 0.5 and np.allclose(np.diff([arrival.at for arrival in mine]), 0.5)
    joined = schedule(3, 0.5, 4.0, seed=7, late=2.0, first=5)
    assert [a for a in joined if a.stream < 2] == [a._replace(number=a.number + 5) for a in found if a.stream < 2]
    last = [arrival for arrival in joined if arrival.stream == 2]
    assert len(last) == 4 and 2.0 <= last[0].at < 2.5 and last[0].number == 5


def test_a_stall_shows_in_all_that_arrived_meanwhile(clock: Any) -> None:
    """One chunk per 0.1 s, 0.01 s each; the sixth, at 0.5 s, stalls for 1 s. By hand: it is done at 1.5, and those of
    0.6, 0.7, ... 1.5 one hundredth after one another from 1.51 on; that of 1.6 then waits for the queue's end no more.
    """
    arrivals = [Arrival(0.1 * i, 0, i) for i in range(20)]
    asked: list[float] = []

    def answer(chunks: Sequence[Arrival]) -> None:
        asked.append(clock.now())
        clock.time += 1.0 if chunks[0].number == 5 else 0.01

    served = serve(answer, arrivals, clock)
    by_hand = [0.01] * 5 + [1.0] + [1.0 + 0.01 * k - 0.1 * k for k in range(1, 11)]
    by_hand += [max(0.01, 1.0 + 0.01 * k - 0.1 * k) for k in range(11, 15)]
    assert served.latency == pytest.approx(by_hand)
    # what a closed loop would have counted: one slow answer of twenty
    assert np.sum(np.diff([*asked, clock.now()]) > 0.3) == 1 and np.sum(served.latency > 0.3) == 8
    # by hand: from 0.5 on one more waits per step; the queue is served within the step that begins at 1.5
    assert served.backlog(0.1)[:5] == pytest.approx([0.1] * 5)
    assert served.backlog(0.1)[5:15] == pytest.approx(range(1, 11))
    assert served.backlog(0.1)[16] == pytest.approx(0.1)


def test_those_that_wait_are_answered_together(clock: Any) -> None:
    arrivals = [Arrival(at, i, 0) for i, at in enumerate([0.0, 0.1, 0.2, 0.3, 0.9])]
    passes: list[list[int]] = []

    def answer(chunks: Sequence[Arrival]) -> None:
        passes.append([arrival.stream for arrival in chunks])
        clock.time += 0.25

    served = serve(answer, arrivals, clock, most=2)
    assert passes == [[0], [1, 2], [3], [4]]
    assert served.together.tolist() == [1, 2, 2, 1, 1]
    assert served.done == pytest.approx([0.25, 0.5, 0.5, 0.75, 1.15]) and not served.cut


def test_what_is_hopeless_is_cut_short(clock: Any) -> None:
    def answer(chunks: Sequence[Arrival]) -> None:
        clock.time += 0.2

    served = serve(answer, [Arrival(0.1 * i, 0, i) for i in range(50)], clock, hopeless=lambda latency: latency > 0.45)
    assert served.cut and served.latency == pytest.approx([0.2, 0.3, 0.4, 0.5]) and len(served.stream) == 4


@given(
    gaps=st.lists(st.floats(0, 1), min_size=1, max_size=30),
    costs=st.lists(st.floats(0.001, 1), min_size=30, max_size=30),
    most=st.integers(1, 4),
)
def test_every_chunk_is_answered_once_in_order(gaps: list[float], costs: list[float], most: int) -> None:
    clock, answered = Hands(), []
    arrivals = [Arrival(float(at), 0, i) for i, at in enumerate(np.cumsum(gaps))]

    def answer(chunks: Sequence[Arrival]) -> None:
        assert 1 <= len(chunks) <= most
        assert all(100 + arrival.at <= clock.now() + 1e-9 for arrival in chunks)
        answered.extend(arrival.number for arrival in chunks)
        clock.time += costs[len(answered) % 30]

    served = serve(answer, arrivals, clock, most)
    assert answered == list(range(len(arrivals))) and (served.latency > 0).all()
    assert (np.diff(served.done) >= 0).all()
