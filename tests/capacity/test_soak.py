"""A soak tells what grows from what does not."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from bench.capacity.audio import Looped
from bench.capacity.measure import Server
from bench.capacity.soak import STREAMS, Soak, soak, verdict
from bench.capacity.streams import Streams
from bench.statistics import Slope

MIB = 2**20


def mib(size: float) -> str:
    return f"{size / MIB:.1f} MiB"


def made(growth: float, noise: float = 1.0) -> Soak:
    """An hour in 60 windows: 100 MiB, which grow by `growth` per hour, under noise."""
    hours, random = np.arange(1, 61) / 60, np.random.default_rng(0)
    rss = MIB * (100 + growth * hours + noise * random.standard_normal(60))
    rss[:6] = 50 * MIB  # the warm-up does not count
    return Soak(hours, rss, np.full(60, 7.0), 0.01 + 0.001 * random.random(60))


def test_what_grows_is_told_by_how_much() -> None:
    growing, flat = made(20.0), made(0.0)
    found = growing.slopes["memory"]
    assert found.grows and found.low < 20 * MIB < found.high and found.high - found.low < 6 * MIB
    assert verdict(found, mib).startswith("grows by ") and "MiB [" in verdict(found, mib)
    for name in ("memory", "latency", "state"):
        assert not flat.slopes[name].grows and verdict(flat.slopes[name], mib).startswith("flat: at most ")
    assert verdict(flat.slopes["state"], mib) == "flat: at most 0.0 MiB per hour"
    assert verdict(Slope(1.0, -float("inf"), float("inf")), mib) == "too short to tell"


class Leaky(Streams):
    """Keeps every chunk it ever heard."""

    def __init__(self, streams: Streams, clock: Any) -> None:
        vars(self).update(vars(streams), clock=clock, heard=[])

    def __call__(self, chunks: Any) -> Any:
        self.heard += [chunk.data.copy() for _, chunk in chunks]
        self.clock.time += 0.01 + 1e-5 * len(self.heard)
        return super().__call__(chunks)

    @property
    def state(self) -> tuple[object, ...]:
        return (*super().state, self.heard)


@pytest.mark.parametrize("leaky", [False, True])
def test_a_leak_is_found(leaky: bool, light: Callable[..., Streams], audio: Looped, clock: Any) -> None:
    streams = light(STREAMS)
    if leaky:
        streams = Leaky(streams, clock)
    resident = lambda: 1e8 + sum(data.nbytes for data in getattr(streams, "heard", []))  # noqa: E731
    found = soak(Server(streams, audio), 0.5, resident, clock)
    # by hand: 30 s of 4 chunks a second and stream, in 60 windows of 2; 64,000 bytes each; 9.6 us slower each
    assert found.hours == pytest.approx(np.arange(1, 61) * 0.5 / 3600)
    per_hour = 2 * 4 * 3600 if leaky else 0
    assert found.slopes["memory"].estimate == pytest.approx(64_000 * per_hour)
    assert found.slopes["latency"].estimate == pytest.approx(1e-5 * per_hour)
    assert found.slopes["state"].estimate == pytest.approx(64_000 * per_hour, rel=0.02, abs=4e6)
    assert found.slopes["memory"].grows == found.slopes["state"].grows == leaky
