"""The open loop: chunks arrive by a schedule, are answered in order, and their latency counts from their arrival.

A closed loop asks for the next chunk when the last is answered, and so counts one slow answer where a live source would
have had ten wait for it (coordinated omission). Here a stall shows in every chunk that arrived meanwhile.
"""

import time
from bisect import bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from variants.arrays import Doubles


class Arrival(NamedTuple):
    """A chunk of a stream is complete: seconds from the loop's begin, and its number in the stream."""

    at: float
    stream: int
    number: int


class Clock(Protocol):
    """Seconds that pass, by themselves or in a test's hands."""

    def now(self) -> float: ...

    def sleep(self, seconds: float) -> None: ...


class Wall:
    """The real clock."""

    now = staticmethod(time.perf_counter)
    sleep = staticmethod(time.sleep)


def schedule(streams: int, step: float, seconds: float, seed: int, late: float = 0.0, first: int = 0) -> list[Arrival]:
    """Arrivals of as many streams within `seconds`, each a chunk per step from a random phase of its own on.

    late: when the last stream joins. first: number of each stream's first chunk.
    """
    phases = step * np.random.default_rng(seed).random(streams)
    begins = [*([0.0] * (streams - 1)), late]
    found = [
        Arrival(float(begin + phase + step * i), stream, first + i)
        for stream, (phase, begin) in enumerate(zip(phases, begins, strict=True))
        for i in range(int(np.ceil((seconds - begin - phase) / step)))
    ]
    return sorted(found)


@dataclass(frozen=True)
class Served:
    """What became of the arrivals: seconds from the loop's begin, in order of arrival.

    at: of arrival. done: of the answer. stream: whose. together: chunks in the pass that answered it. cut: whether the
    loop was stopped before all were answered.
    """

    at: Doubles
    done: Doubles
    stream: NDArray[np.int64]
    together: NDArray[np.int64]
    cut: bool = False

    @property
    def latency(self) -> Doubles:
        """Seconds from arrival to answer."""
        return np.asarray(self.done - self.at)

    def backlog(self, step: float) -> Doubles:
        """Chunks arrived and not answered, mean of each whole step of the schedule."""
        edges = step * np.arange(int((self.at[-1] if len(self.at) else 0.0) / step) + 1)
        waited = np.clip(edges[:, None] - self.at, 0, self.latency).sum(axis=1)
        return np.asarray(np.diff(waited) / step)


def serve(
    answer: Callable[[Sequence[Arrival]], object],
    arrivals: Sequence[Arrival],
    clock: Clock,
    most: int = 1,
    hopeless: Callable[[float], bool] = lambda latency: False,
) -> Served:
    """Answer `arrivals` (in order of time) as they come, up to `most` of those that wait at a time.

    hopeless: told each latency; once it is true the loop stops.
    """
    count, begin = len(arrivals), clock.now()
    done, together = np.full(count, np.nan), np.zeros(count, int)
    due, first, stopped = [begin + arrival.at for arrival in arrivals], 0, False
    while first < count and not stopped:
        now = clock.now()
        if due[first] > now:
            clock.sleep(due[first] - now)
            continue
        last = min(bisect_right(due, now), first + most)
        answer(arrivals[first:last])
        done[first:last], together[first:last] = clock.now(), last - first
        for when in due[first:last]:
            stopped = hopeless(float(done[first]) - when) or stopped
        first = last
    heard = slice(first)
    stream = np.array([arrival.stream for arrival in arrivals], int)
    at = np.array(due) - begin
    return Served(at[heard], done[heard] - begin, stream[heard], together[heard], cut=first < count)
