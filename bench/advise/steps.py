"""What measured service times allow: streams per core by step, and the shortest step that leaves a margin. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from bench.capacity.measure import Way, best_size
from bench.capacity.search import largest
from bench.capacity.trial import Trial, simulate

STEPS = (0.1, 0.2, 0.25, 0.5, 1.0, 2.0)  # seconds
MARGIN = 0.2  # of the step, which the slowest of a hundred chunks leaves
LENGTH, SHORTEST = 60.0, 400  # seconds of a simulated run, and chunks at least: fewer do not tell p99


@dataclass(frozen=True)
class Service:
    """One variant at one step, by measured service times.

    seconds: of passes, by the number of chunks in one. step: seconds. asked: streams that one core is to carry.
    """

    seconds: Mapping[int, Sequence[float]]
    step: float
    asked: int = 1
    seed: int = 0

    def passes(self, way: Way) -> dict[int, Sequence[float]]:
        """Those of the sizes that the way uses."""
        most = best_size(self.seconds, self.step) if way == "batched" else 1
        return {size: found for size, found in self.seconds.items() if size <= most}

    def run(self, streams: int, way: Way = "in turn") -> Trial:
        """A simulated run of so many streams."""
        length = max(LENGTH, SHORTEST * self.step / streams)
        return simulate(self.passes(way), streams, self.step, length, self.seed)

    @cached_property
    def streams(self) -> dict[Way, int]:
        """The most that one core carries, in either way."""
        ways: tuple[Way, ...] = ("in turn", "batched")
        return {way: largest(lambda count, way=way: self.run(count, way).holds) for way in ways}  # type: ignore[misc]

    @cached_property
    def way(self) -> Way:
        """That which carries more; in turn where both carry as many, as its latency is the lower."""
        return "batched" if self.streams["batched"] > self.streams["in turn"] else "in turn"

    @cached_property
    def p99(self) -> float | None:
        """Of the latency of the streams that were asked for, in seconds; None where they do not hold."""
        if self.streams[self.way] < self.asked:
            return None
        best = min((self.run(self.asked, way) for way in self.streams), key=lambda run: run.served.latency.max())
        return float(np.percentile(best.served.latency, 99)) if best.holds else None

    @property
    def margin(self) -> float | None:
        """The share of the step that p99 leaves."""
        return None if self.p99 is None else 1 - self.p99 / self.step


def shortest(services: Mapping[float, Service]) -> Service | None:
    """That of the shortest step which leaves the margin, as all longer ones do; None if not even the longest does."""
    found = None
    for step in sorted(services, reverse=True):
        margin = services[step].margin
        if margin is None or margin < MARGIN:
            return found
        found = services[step]
    return found
