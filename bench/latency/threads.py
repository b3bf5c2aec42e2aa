"""The one owner of threading: thread counts of every runtime, and the CPUs that every thread may use."""

import contextlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
from threadpoolctl import threadpool_limits

from variants.errors import UserError

from .quota import cpu_quota

THREAD_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
BINDING = ("OMP_PROC_BIND", "OMP_PLACES", "GOMP_CPU_AFFINITY", "KMP_AFFINITY")  # OpenMP narrows the mask as it loads


@dataclass(frozen=True)
class Threads:
    """`count` threads on `cpus`; an empty `cpus` means that this system has no affinity: not pinned."""

    count: int
    cpus: tuple[int, ...]

    def __str__(self) -> str:
        where = f"pinned to CPU {','.join(map(str, self.cpus))}" if self.cpus else "not pinned"
        return f"{self.count} thread{'s' if self.count > 1 else ''}, {where}"


def allowed_cpus() -> tuple[int, ...]:
    """CPUs that this process may use; empty where the system has no affinity (macOS)."""
    return tuple(sorted(os.sched_getaffinity(0))) if hasattr(os, "sched_getaffinity") else ()


def physical_cores(cpus: tuple[int, ...]) -> tuple[int, ...]:
    """One CPU of each distinct physical core among `cpus`."""
    cores: dict[tuple[str, str], int] = {}
    for cpu in cpus:
        topology = Path(f"/sys/devices/system/cpu/cpu{cpu}/topology")
        try:
            key = (
                topology.joinpath("physical_package_id").read_text(),
                topology.joinpath("core_id").read_text(),
            )
        except OSError:
            key = ("unknown", str(cpu))
        cores.setdefault(key, cpu)
    return tuple(cores.values())


def choose(count: int) -> Threads:
    """Pick CPUs for `count` threads: distinct physical cores out of the allowed ones.

    Raises UserError if there are not as many, or if they would not run at once.
    """
    if count < 1:
        raise UserError(f"--threads {count}: must be 1 or more")
    cores = physical_cores(allowed_cpus())
    if cores and count > len(cores):
        bound = [f"{name}={os.environ[name]}" for name in BINDING if os.environ.get(name)]
        why = f"; unset {', '.join(bound)}, which binds threads to CPUs" if bound else ""
        raise UserError(f"--threads {count}: only {len(cores)} physical cores are allowed to this process{why}")
    limit, quota = os.environ.get("OMP_THREAD_LIMIT", ""), cpu_quota()
    if limit.isdecimal() and count > int(limit):
        raise UserError(f"--threads {count}: unset OMP_THREAD_LIMIT={limit}, which allows no more")
    if quota is not None and count > max(1, quota):
        raise UserError(f"--threads {count}: a container's quota allows the time of {quota:g} CPUs")
    return Threads(count, cores[:count])


def apply(threads: Threads) -> None:
    """Give every runtime `threads.count` threads and every thread of this process the mask `threads.cpus`.

    To be called before the first torch work. Threads started later inherit the mask of the one that starts them.
    """
    for name in THREAD_VARIABLES:  # libraries not loaded yet
        os.environ[name] = str(threads.count)
    threadpool_limits(threads.count)
    torch.set_num_threads(threads.count)
    if torch.get_num_interop_threads() != threads.count:
        with contextlib.suppress(RuntimeError):  # torch takes this once only, before any parallel work
            torch.set_num_interop_threads(threads.count)
    if threads.cpus:
        for task in Path("/proc/self/task").iterdir():
            with contextlib.suppress(ProcessLookupError):  # it ended meanwhile
                os.sched_setaffinity(int(task.name), threads.cpus)


@contextlib.contextmanager
def untimed(back_to: Threads | None, cpus: tuple[int, ...]) -> Iterator[None]:
    """Work that is not timed, on any of `cpus`; afterwards everything is as `back_to` says.

    With one thread: results then depend on no number of cores, and threads that wait for one another while something
    else runs take longer than one alone.
    """
    apply(Threads(1, cpus))
    try:
        yield
    finally:
        if back_to is not None:
            apply(back_to)
