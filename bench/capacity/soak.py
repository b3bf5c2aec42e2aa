"""What grows while streams go on and on: memory, latency, and the size of what the pipeline keeps."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from bench.statistics import Slope, slope
from variants.arrays import Doubles
from variants.errors import UserError

from .loop import Arrival, Clock, Wall
from .measure import Server, settled
from .state import state_bytes

STREAMS = 2  # interleaved, so that what tells them apart is at work
WINDOWS = 60  # into which a run is divided, each of which gives one value of everything
WARM = 0.2  # of the run: buffers fill, and the allocator finds its size


@dataclass(frozen=True)
class Soak:
    """One value per window. hours: of audio of each stream at its end. rss, state: bytes. latency: median seconds."""

    hours: Doubles
    rss: Doubles
    state: Doubles
    latency: Doubles

    @cached_property
    def slopes(self) -> dict[str, Slope]:
        """Growth per hour of audio, after the warm-up."""
        begin = int(WARM * len(self.hours))
        series = {"memory": self.rss, "state": self.state, "latency": self.latency}
        return {name: slope(self.hours[begin:], values[begin:]) for name, values in series.items()}


def verdict(found: Slope, show: Callable[[float], str]) -> str:
    """ "flat" with what it may hide at most, or "grows by x per hour"; show: a figure with its unit."""
    if np.isinf(found.high):
        return "too short to tell"
    if found.grows:
        return f"grows by {show(found.estimate)} [{show(found.low)}, {show(found.high)}] per hour"
    return f"flat: at most {show(max(found.high, 0.0))} per hour"


def soak(server: Server, minutes: float, rss: Callable[[], float], clock: Clock | None = None) -> Soak:
    """Let streams hear so many minutes of audio each, as fast as they can.

    rss: resident bytes of this process. UserError if a stream ends or is forgotten.
    """
    clock, step = clock or Wall(), server.audio.settings.step
    chunks = round(60 * minutes / step)
    per_window = max(1, chunks // WINDOWS)
    windows = chunks // per_window
    kept = np.full((4, windows), -1.0)  # all that a run notes has its place before the first window: it must not grow
    seconds = np.full(per_window * len(server.streams.pipelines), -1.0)
    with settled():
        for window in range(windows):
            place = 0
            for index in range(window * per_window, (window + 1) * per_window):
                for stream in range(len(server.streams.pipelines)):
                    begin = clock.now()
                    server([Arrival(0.0, stream, index)])
                    seconds[place] = clock.now() - begin
                    place += 1
            hours = (window + 1) * per_window * step / 3600
            kept[:, window] = hours, rss(), state_bytes(*server.streams.state), float(np.median(seconds))
    if server.streams.missed:
        raise UserError(f"{server.streams.missed} chunks were computed anew: a model forgot their stream")
    return Soak(*kept)
