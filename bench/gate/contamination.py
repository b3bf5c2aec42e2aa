"""What else the machine did during a round, and the rule by which a block counts as contaminated.

The rule is fixed before any run and knows no side: it judges the rounds of all subjects in a block together, and takes
the block away from all of them. Single disturbed rounds stay, as a median of many bears them: judged one by one, they
cost two thirds of the blocks on a shared machine without load, and all of them beside a competitor; judged together
3 % and all. It looks at what the system says, never at durations, which would drop what is to be found.
"""

import contextlib
import functools
import os
import resource
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

PROC, ROOT = "/proc/self/cgroup", "/sys/fs/cgroup"
STEAL = 0.05  # share of the wall time that the hypervisor took away (it counts in ticks of 10 ms)
PRESSURE = 0.7  # share of the wall time in which some task of the machine waited for a CPU
SWITCHES = 50.0  # involuntary context switches per second (a competitor on the same core forces 100 to 300)
THROTTLED = 0.05  # share of the wall time for which a container's quota stopped the process
IDLE = 0.1  # share of the wall time in which no thread of the process had a CPU
TOO_MANY = 0.5  # share of contaminated blocks above which a run says nothing


@dataclass(frozen=True)
class Reading:
    """Counters at one instant: seconds of wall and process CPU time, switches, seconds of steal, pressure, quota."""

    wall: float
    cpu: float
    switches: int
    steal: float
    pressure: float | None
    throttled: float = 0.0


@dataclass(frozen=True)
class Usage:
    """What a round cost besides its duration: the differences of two readings; pressure None where it is unknown."""

    wall: float
    cpu: float
    switches: int
    steal: float
    pressure: float | None
    throttled: float = 0.0


def read(cpus: Sequence[int] = ()) -> Reading:
    """The counters now; steal is that of `cpus` (all, if empty). Takes some 0.1 ms: not to be called while timing."""
    used = resource.getrusage(resource.RUSAGE_SELF)  # all threads of the process
    return Reading(time.perf_counter(), time.process_time(), used.ru_nivcsw, _steal(cpus), _pressure(), _throttled())


def between(before: Reading, after: Reading) -> Usage:
    """What happened between two readings."""
    then, now = before.pressure, after.pressure
    return Usage(
        after.wall - before.wall,
        after.cpu - before.cpu,
        after.switches - before.switches,
        after.steal - before.steal,
        None if then is None or now is None else now - then,
        after.throttled - before.throttled,
    )


def total(used: Iterable[Usage]) -> Usage:
    """The sum of several rounds; pressure is None if it is unknown of one."""
    rounds = list(used)
    pressures = [one.pressure for one in rounds if one.pressure is not None]
    return Usage(
        sum(one.wall for one in rounds),
        sum(one.cpu for one in rounds),
        sum(one.switches for one in rounds),
        sum(one.steal for one in rounds),
        sum(pressures) if len(pressures) == len(rounds) else None,
        sum(one.throttled for one in rounds),
    )


def causes(turns: Sequence[tuple[Sequence[Usage], bool]]) -> list[str]:
    """Why a block counts as contaminated; empty if it does not.

    turns: the rounds of each subject in the block, and whether its variant is pinned. One that is not lets its own
    threads compete for the CPUs that they are pinned to: switches and CPU time then say nothing about others.
    """
    everything = total(one for used, _ in turns for one in used)
    own = total(one for used, pinned in turns if pinned for one in used)
    found = []
    if everything.steal > STEAL * everything.wall:
        found.append("steal")
    if everything.pressure is not None and everything.pressure > PRESSURE * everything.wall:
        found.append("pressure")
    if everything.throttled > THROTTLED * everything.wall:
        found.append("throttled by a quota")
    if own.switches > max(1.0, SWITCHES * own.wall):
        found.append("involuntary switches")
    if own.cpu < (1 - IDLE) * own.wall:
        found.append("CPU time below wall time")
    return found


def _steal(cpus: Sequence[int]) -> float:
    """Seconds stolen from `cpus` (all, if empty) since boot; 0 where the system does not say."""
    wanted = {f"cpu{cpu}" for cpu in cpus} or {"cpu"}
    with contextlib.suppress(OSError, IndexError, ValueError):
        fields = [
            line.split()
            for line in Path("/proc/stat").read_text(encoding="utf-8").splitlines()
            if line.startswith("cpu")
        ]
        return sum(int(field[8]) for field in fields if field[0] in wanted) / os.sysconf("SC_CLK_TCK")
    return 0.0


def _pressure() -> float | None:
    """Seconds since boot in which some task waited for a CPU; None where the system does not say."""
    with contextlib.suppress(OSError, IndexError, ValueError):
        return int(Path("/proc/pressure/cpu").read_text(encoding="utf-8").partition("total=")[2].split()[0]) / 1e6
    return None


def _throttled() -> float:
    """Seconds for which a quota of the process' control groups has stopped their threads; 0 where nothing says so."""
    with contextlib.suppress(OSError):
        return sum(
            int(value) * (1e-6 if name == "throttled_usec" else 1e-9)  # version 2, version 1
            for file in _statistics()
            for name, value in (line.split() for line in file.read_text(encoding="utf-8").splitlines())
            if name in ("throttled_usec", "throttled_time")
        )
    return 0.0


@functools.cache
def _statistics() -> tuple[Path, ...]:
    """`cpu.stat` of each control group that the process is in, as `bench.latency.quota` finds those."""
    found: list[Path] = []
    with contextlib.suppress(OSError, ValueError):
        for line in Path(PROC).read_text(encoding="utf-8").splitlines():
            _, controllers, group = line.split(":", 2)
            if not controllers or "cpu" in controllers.split(","):
                path = PurePosixPath(group)
                found += [Path(ROOT, controllers, part.relative_to("/")) for part in (path, *path.parents)]
    return tuple(folder / "cpu.stat" for folder in found if (folder / "cpu.stat").is_file())
