"""One run of the open loop with so many streams, and whether they held their deadline. Pure, but for the clock."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from bench.statistics import Slope, percentile_interval, percentiles, slope
from bench.statistics.bootstrap import block_bootstrap
from variants.arrays import Doubles

from .loop import Arrival, Clock, Served, schedule, serve

SHARE = 0.99  # of the chunks that must be answered within one step
GROWN = 0.5  # chunks by which a backlog must have grown in a run, or it is no growth that could be told in longer ones
FEW = 8  # steps of a run below which nothing is said of its backlog


@dataclass(frozen=True)
class Trial:
    """What became of `streams` streams, a chunk per `step` seconds each. cpu: of one CPU, the share used."""

    streams: int
    step: float
    served: Served
    cpu: float = 0.0

    @cached_property
    def within(self) -> float:
        """Share of the chunks that were answered within one step."""
        return float(np.mean(self.served.latency <= self.step)) if len(self.served.at) else 1.0

    @cached_property
    def backlog(self) -> Doubles:
        """Chunks that waited or were in work, mean of each step."""
        return self.served.backlog(self.step)

    @cached_property
    def growth(self) -> Slope:
        """Of the backlog, chunks per minute."""
        return slope(self.step / 60 * np.arange(len(self.backlog)), self.backlog)

    @property
    def grows(self) -> bool:
        """Whether the backlog surely grows, by something that counts."""
        return self.growth.grows and self.growth.estimate * len(self.backlog) * self.step / 60 >= GROWN

    @property
    def holds(self) -> bool:
        """Whether 99 % were answered within one step, and the backlog does not grow."""
        return not self.served.cut and self.within >= SHARE and not self.grows

    @property
    def percentiles(self) -> dict[str, float | None]:
        """p50, p90, p95, p99 and max of the latency in seconds."""
        return percentiles(self.served.latency)

    def interval(self, q: float) -> tuple[float, float] | None:
        """Of a percentile of the latency, in seconds; None of too few chunks."""
        return percentile_interval(self.served.latency, self._steps, q)

    def since(self, begin: float) -> "Trial":
        """The part of it that arrived from then on."""
        heard = self.served.at >= begin
        served = self.served
        part = Served(
            served.at[heard] - begin, served.done[heard] - begin, served.stream[heard], served.together[heard],
            served.cut,
        )  # fmt: skip
        return Trial(self.streams, self.step, part, self.cpu)

    @property
    def _steps(self) -> Doubles:
        """The step in which each chunk arrived: the blocks of the bootstrap."""
        return np.asarray(np.floor(self.served.at / self.step))

    def neighbours(self, late: float) -> Slope:
        """What the last stream, which joined at `late` seconds, added to the others' median latency, in seconds."""
        others = self.served.stream < self.streams - 1
        sides = [others & (self.served.at < late), others & (self.served.at >= late)]
        both = [
            [self.served.latency[side & (self._steps == one)] for one in np.unique(self._steps[side])] for side in sides
        ]
        if min(map(len, both)) < FEW:
            return Slope(float("nan"), -float("inf"), float("inf"))
        before, after = (block_bootstrap(side, lambda drawn: np.median(drawn, axis=1)) for side in both)
        # the two halves are independent, but one seed draws alike from both
        moved = after - np.random.default_rng(0).permutation(before)
        low, high = np.quantile(moved, [0.025, 0.975])
        medians = [float(np.median(self.served.latency[side])) for side in sides]
        return Slope(medians[1] - medians[0], float(low), float(high))


def run_trial(
    answer: Callable[[Sequence[Arrival]], object],
    streams: int,
    step: float,
    seconds: float,
    clock: Clock,
    most: int = 1,
    seed: int = 0,
    late: float = 0.0,
    first: int = 0,
    cpu: Callable[[], float] = lambda: 0.0,
) -> Trial:
    """Serve so many streams for so many seconds, or until they cannot hold any more.

    late: when the last of them joins. first: number of their first chunk. cpu: seconds of CPU used so far.
    """
    arrivals = schedule(streams, step, seconds, seed, late, first)
    allowed = (1 - SHARE) * len(arrivals)
    missed = 0

    def hopeless(latency: float) -> bool:
        nonlocal missed
        missed += latency > step
        return missed > allowed

    before, begin = cpu(), clock.now()
    served = serve(answer, arrivals, clock, most, hopeless)
    return Trial(streams, step, served, (cpu() - before) / max(clock.now() - begin, 1e-9))


class Simulated:
    """A clock and a server of measured service times, on which a minute takes no time.

    seconds: of a pass, by the number of chunks in it; drawn in the order in which they were measured, over and over.
    """

    def __init__(self, seconds: Mapping[int, Sequence[float]]) -> None:
        self.seconds, self.time, self.passes = {size: list(found) for size, found in seconds.items()}, 0.0, 0

    def now(self) -> float:
        return self.time

    def sleep(self, seconds: float) -> None:
        self.time += seconds

    def answer(self, chunks: Sequence[Arrival]) -> None:
        self.time += self._service(len(chunks))
        self.passes += 1

    def _service(self, size: int) -> float:
        """Of sizes that were not measured, what lies between those that were."""
        sizes = sorted(self.seconds)
        drawn = [self.seconds[one][self.passes % len(self.seconds[one])] for one in sizes]
        return float(np.interp(size, sizes, drawn)) if size <= sizes[-1] else drawn[-1] * size / sizes[-1]


def simulate(seconds: Mapping[int, Sequence[float]], streams: int, step: float, length: float, seed: int) -> Trial:
    """The trial that measured service times predict."""
    made = Simulated(seconds)
    return run_trial(made.answer, streams, step, length, made, max(seconds), seed)
