"""How many live streams of one variant a core carries: measured service times, a guess from them, real runs."""

import gc
import time
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal

import numpy as np

from bench.statistics import Slope
from variants.errors import UserError

from .audio import Looped
from .loop import Arrival, Clock, Wall
from .search import largest
from .state import state_bytes
from .streams import Streams
from .trial import Trial, run_trial, simulate

Way = Literal["in turn", "batched"]
WAYS: tuple[Way, ...] = ("in turn", "batched")
SIZES = (1, 2, 4, 8)  # chunks of a pass that are tried; beyond, they wait for one another longer than they gain
# shares of the budget: service times of all sizes, each trial, the run that confirms, the time before the last joins
SERVICE, TRIAL, CONFIRM, LATE = 0.06, 0.14, 0.42, 0.12
SIMULATED = 120.0  # seconds that a simulated trial lasts
UNKNOWN = Slope(float("nan"), -float("inf"), float("inf"))
WARM = 2  # chunks of each stream that are answered before a run, so that caches and pages are there


@dataclass(frozen=True)
class Capacity:
    """Of one variant in one way, by the run that confirmed it.

    threads: of the run. most: chunks of a pass, at most. service: median seconds of a pass, by its chunks. neighbours:
    what the last stream cost the others' median latency. memory: bytes that a stream keeps. guess: what simulation
    said. tried: whether each number that was tried in real time held.
    """

    way: Way
    trial: Trial
    threads: int
    most: int
    service: Mapping[int, float]
    neighbours: Slope
    memory: float
    guess: int
    tried: Mapping[int, bool]

    @property
    def per_core(self) -> float:
        """Streams per core; none where not even one held."""
        return self.trial.streams / self.threads if self.trial.holds else 0.0

    @property
    def reach(self) -> float:
        """The share of step over median service time (of the best pass, per chunk) that was reached."""
        cost = min(seconds / size for size, seconds in self.service.items() if size <= self.most)
        return self.trial.streams * cost / self.trial.step if self.trial.holds else 0.0


class Server:
    """Streams and what they hear."""

    def __init__(self, streams: Streams, audio: Looped) -> None:
        self.streams, self.audio = streams, audio

    def __call__(self, arrivals: Sequence[Arrival]) -> None:
        self.streams([(arrival.stream, self.audio.chunk(arrival.stream, arrival.number)) for arrival in arrivals])
        if self.streams.failed:
            raise UserError(next(iter(self.streams.failed.values())))

    def warm(self, streams: int) -> int:
        """Let each stream hear its first chunks; the number of the next."""
        for index in range(WARM):
            for stream in range(streams):
                self([Arrival(0.0, stream, index)])
        return WARM


@contextmanager
def settled() -> Generator[None, None, None]:
    """All that was there before is left out of garbage collection: going through it takes longer than a step."""
    gc.collect()
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()


def service_times(server: Server, sizes: Sequence[int], seconds: float, clock: Clock) -> dict[int, list[float]]:
    """Seconds of passes of each size, streams taking turns, in a closed loop of so many seconds in all."""
    streams = len(server.streams.pipelines)
    first = server.warm(streams)
    found: dict[int, list[float]] = {size: [] for size in sizes}
    begin, turn = clock.now(), 0
    while clock.now() - begin < seconds or min(map(len, found.values())) < 3:
        for size in sizes:  # interleaved, so that a slow spell is of all
            chunks = [Arrival(0.0, i % streams, first + i // streams) for i in range(turn, turn + size)]
            start = clock.now()
            server(chunks)
            found[size].append(clock.now() - start)
            turn += size
    return found


def best_size(found: Mapping[int, Sequence[float]], step: float) -> int:
    """The size of pass that costs least per chunk, of those that take half a step at most; 1 where none does."""
    costs = {size: float(np.median(seconds)) for size, seconds in found.items()}
    fit = [size for size in costs if costs[size] <= step / 2] or [1]
    return min(fit, key=lambda size: costs[size] / size)


def measure(
    make: Callable[[int], Streams],
    audio: Looped,
    way: Way,
    budget: float,
    threads: int = 1,
    seed: int = 0,
    clock: Clock | None = None,
) -> Capacity:
    """Find the capacity of one variant in one way, in about `budget` seconds.

    make: as many streams of it. Service times say how many should hold; that many and one more are tried in real time,
    and what holds is confirmed by a longer run, which its figures are of. UserError if a stream ends or is forgotten.
    """
    clock, step = clock or Wall(), audio.settings.step
    with settled():
        server = Server(make(max(SIZES)), audio)
        sizes = SIZES if way == "batched" else SIZES[:1]
        found = service_times(server, sizes, SERVICE * budget, clock)
        most = best_size(found, step)
        kept = {size: found[size] for size in sizes if size <= most}
        guess = largest(lambda streams: simulate(kept, streams, step, SIMULATED, seed).holds)

        def real(streams: int, seconds: float, late: float = 0.0) -> tuple[Trial, Server]:
            server = Server(make(streams), audio)
            first = server.warm(streams)
            trial = run_trial(server, streams, step, seconds, clock, most, seed, late, first, time.process_time)
            if server.streams.missed:
                raise UserError(f"{server.streams.missed} chunks were computed anew: a model forgot their stream")
            return trial, server

        tried: dict[int, bool] = {}
        trials: dict[int, Trial] = {}

        def holds(streams: int) -> bool:
            trials[streams] = real(streams, TRIAL * budget)[0]
            tried[streams] = trials[streams].holds
            return tried[streams]

        count, late = largest(holds, guess), LATE * budget
        medians = {size: float(np.median(seconds)) for size, seconds in found.items()}
        result, cost, memory = trials.get(count or 1), UNKNOWN, 0.0
        while count:
            whole, server = real(count, late + CONFIRM * budget, late if count > 1 else 0.0)
            result = whole.since(late)
            tried[count] = result.holds
            if result.holds:
                cost, memory = whole.neighbours(late), state_bytes(*server.streams.state) / count
                break
            count -= 1
        assert result is not None  # of one stream at least
        return Capacity(way, result, threads, most, medians, cost, memory, guess, tried)
