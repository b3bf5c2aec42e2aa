"""Seats for jobs: local processes, each on a CPU of its own, or the workers of a Dask cluster.

Processes are spawned: a forked one would hold the locks and sessions of runtimes whose threads it lacks.
"""

import contextlib
import multiprocessing
import os
import signal
import threading
import warnings
from collections.abc import Sequence
from concurrent.futures import Executor, ProcessPoolExecutor
from dataclasses import dataclass
from typing import Any, Protocol

from bench.latency import threads
from bench.latency.quota import cpu_quota
from variants.errors import UserError

DASK = "dask://"


@dataclass(frozen=True, eq=False)
class Seat:
    """Where one task runs at a time, by an executor of its own."""

    name: str
    executor: Executor


class Seats(Protocol):
    """Where tasks may run. lost: errors by which a task's seat is gone."""

    lost: tuple[type[BaseException], ...]

    def current(self) -> Sequence[Seat]:
        """Those that are there now: new ones join, lost ones leave."""
        ...

    def forget(self, seat: Seat) -> None:
        """It is lost; another one may take its place."""
        ...

    def close(self) -> None:
        """End what runs there."""
        ...


def seats(jobs: str) -> Seats:
    """For a `--jobs` value; UserError where there are none."""
    return Cluster(jobs) if jobs.startswith(DASK) else Local(int(jobs))


def spread(count: int) -> list[tuple[int, ...]]:
    """The CPU of each of so many processes: distinct physical cores as far as they go; empty without affinity."""
    allowed, quota = threads.allowed_cpus(), cpu_quota()
    cores = threads.physical_cores(allowed)
    cpus = [*cores, *(cpu for cpu in allowed if cpu not in cores)]
    if cpus and count > len(cpus):
        raise UserError(f"--jobs {count}: only {len(cpus)} CPUs are allowed to this process")
    if quota is not None and count > max(1, quota):
        raise UserError(f"--jobs {count}: a container's quota allows the time of {quota:g} CPUs")
    return [(cpu,) for cpu in cpus[:count]] or [()] * count


def start(cpus: tuple[int, ...]) -> None:
    """What a process does first: it leaves Ctrl-C to the one that asks, ends with it, and keeps to its CPU."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_follow, daemon=True).start()
    warnings.simplefilter("ignore")  # of the libraries' own dependencies
    threads.apply(threads.Threads(1, cpus))


def _follow() -> None:
    """End with the process that started this one, however that ends."""
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)


class Local:
    """Processes of this machine; one that ends is replaced."""

    lost: tuple[type[BaseException], ...] = ()

    def __init__(self, count: int) -> None:
        self._cpus = {self._seat(cpus): cpus for cpus in spread(count)}

    def _seat(self, cpus: tuple[int, ...]) -> Seat:
        spawn = multiprocessing.get_context("spawn")
        executor = ProcessPoolExecutor(1, spawn, start, (cpus,))
        return Seat(f"the process on CPU {cpus[0]}" if cpus else "a process", executor)

    def current(self) -> Sequence[Seat]:
        return list(self._cpus)

    def forget(self, seat: Seat) -> None:
        seat.executor.shutdown(wait=False)
        self._cpus[self._seat(self._cpus[seat])] = self._cpus.pop(seat)

    def close(self) -> None:
        for seat in self._cpus:
            executor: Any = seat.executor
            processes = list((executor._processes or {}).values())  # else a job that runs would be waited for
            executor.shutdown(wait=False, cancel_futures=True)
            for process in processes:
                process.terminate()
            for process in processes:
                process.join()


class Cluster:
    """Workers of a Dask cluster, by address; such as join later, too."""

    def __init__(self, address: str) -> None:
        try:
            from distributed import Client, KilledWorker
        except ImportError:
            raise UserError(f"--jobs {address}: needs Dask: pip install 'diartbench[dask]'") from None
        self.lost: tuple[type[BaseException], ...] = (KilledWorker,)
        try:
            self.client: Any = Client(f"tcp://{address.removeprefix(DASK)}", timeout=10, set_as_default=False)
        except (OSError, ValueError) as error:
            why = (str(error).splitlines() or [type(error).__name__])[0]
            raise UserError(f"--jobs {address}: no scheduler answers there ({why}); docs/scale.md") from None
        self._seats: dict[str, Seat] = {}

    def current(self) -> Sequence[Seat]:
        there = self.client.nthreads()
        self._seats = {
            address: self._seats.get(address)
            or Seat(f"worker {address}", self.client.get_executor(workers=[address], pure=False))
            for address in there
        }
        return list(self._seats.values())

    def forget(self, seat: Seat) -> None:
        self._seats = {address: mine for address, mine in self._seats.items() if mine is not seat}

    def close(self) -> None:
        from .worker import end

        with contextlib.suppress(Exception):  # who has gone needs not be told
            self.client.run(end, on_error="ignore")
        self.client.close()
