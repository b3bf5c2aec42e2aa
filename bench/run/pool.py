"""Jobs on seats: one at a time on each; what is lost with its seat is done by another."""

import time
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, BrokenExecutor, CancelledError, Future, wait
from pathlib import Path
from typing import Any
from uuid import uuid4

from bench.accuracy.hearing import Found, Job
from variants import UserError

from . import worker
from .seats import Seat, Seats

POLL = 0.5  # seconds between looks at who is there
RETRIES = 3  # of what takes its seat with it each time
PATIENCE = 30.0  # seconds to wait for a worker where there is none: lost ones are started anew


class Pool:
    """Does jobs on all seats that can be made to do as this process does. seats: opened with the first job.

    refused: why a seat does no job, by its name. cpus: the instructions of those that do. ready: when each of them was.
    """

    def __init__(self, seats: Callable[[], Seats], setup: Callable[[], worker.Setup]) -> None:
        self._make, self._make_setup, self.key = seats, setup, uuid4().hex
        self.refused: dict[str, str] = {}
        self.cpus: set[str] = set()
        self.ready: list[float] = []
        self._seats: Seats | None = None
        self._met: set[Seat] = set()
        self._ready: set[Seat] = set()
        self._busy: dict[Future[Any], tuple[Seat, Job | None]] = {}  # None: with its beginning
        self._losses: Counter[Job | None] = Counter()

    def results(self, jobs: Sequence[Job], left: Callable[[], float]) -> Iterator[tuple[Job, Found | None]]:
        """What each found, as it comes. Once no seconds are left, none is begun."""
        if not jobs:
            return
        if self._seats is None:
            self._setup, self._seats = self._make_setup(), self._make()
        waiting, alone = deque(jobs), time.monotonic()
        while True:
            current = self._seats.current()
            for seat in [seat for seat in current if seat not in self._met]:
                self._met.add(seat)
                self._submit(seat, None, waiting)
            self._leave(current, waiting)
            for seat in [seat for seat in current if seat in self._ready]:
                if waiting and left() > 0:
                    self._submit(seat, waiting.popleft(), waiting)
            doing = any(job is not None for _, job in self._busy.values())
            if not doing and (not waiting or left() <= 0):
                return
            alone = time.monotonic() if self._busy or self._ready else alone
            nobody = bool(current) and all(seat.name in self.refused for seat in current)
            if nobody or time.monotonic() - alone > PATIENCE:
                raise UserError(self._nobody())
            if not self._busy:
                time.sleep(POLL)
            for future in wait(self._busy, POLL, FIRST_COMPLETED).done:
                yield from self._ended(future, waiting)

    def _submit(
        self, seat: Seat, job: Job | None, waiting: "deque[Job]", contents: Mapping[str, bytes] | None = None
    ) -> None:
        self._ready.discard(seat)
        try:
            call: Callable[..., Any] = worker.begin if job is None else worker.score
            future = seat.executor.submit(call, self.key, self._setup if job is None else job, contents or {})
        except BrokenExecutor:  # it ended while it had nothing to do
            self._lose(seat, job, waiting)
        else:
            self._busy[future] = seat, job

    def _ended(self, future: "Future[Any]", waiting: "deque[Job]") -> Iterable[tuple[Job, Found | None]]:
        seat, job = self._busy.pop(future)
        assert self._seats is not None
        lost: tuple[type[BaseException], ...] = (BrokenExecutor, CancelledError, worker.UnreadyError, *self._seats.lost)
        try:
            found = future.result()
        except worker.AbsentError as absent:
            (path,) = absent.args
            self._submit(seat, job, waiting, {path: Path(path).read_bytes()})
        except lost:
            self._lose(seat, job, waiting)
        except UserError as error:
            if job is not None:
                raise
            self.refused[seat.name] = str(error)
        except Exception as error:
            why = f"{type(error).__name__}: {(str(error).splitlines() or [''])[0]}"
            if job is not None:
                raise UserError(f"{seat.name}: {self._words(job)}: {why}") from error
            self.refused[seat.name] = why
        else:
            self._ready.add(seat)
            if job is not None:
                return [(job, found)]
            self._losses[None] = 0
            self.cpus.add(found[worker.CPU])
            self.ready.append(time.monotonic())
        return []

    def _leave(self, current: Sequence[Seat], waiting: "deque[Job]") -> None:
        """Take back what is being done on seats that are gone: nobody may ever say so."""
        for future, (seat, job) in list(self._busy.items()):
            if seat not in current and not future.done():
                del self._busy[future]
                future.cancel()
                self._lose(seat, job, waiting)
        self._ready &= {*current}

    def _lose(self, seat: Seat, job: Job | None, waiting: "deque[Job]") -> None:
        assert self._seats is not None
        self._losses[job] += 1
        self._ready.discard(seat)
        self._met.discard(seat)
        self._seats.forget(seat)
        if self._losses[job] >= RETRIES + (len(self._met) if job is None else 0):
            doing = "building the models" if job is None else self._words(job)
            raise UserError(f"{seat.name}: {doing}: the process ended {self._losses[job]} times (too little memory?)")
        if job is not None:
            waiting.appendleft(job)

    def _words(self, job: Job) -> str:
        return f"{self._setup.parts[job.part][0].name} with {', '.join(job.names)}"

    def _nobody(self) -> str:
        refused = "".join(f"; {name} is refused: {why}" for name, why in sorted(self.refused.items()))
        return f"--jobs: no worker is left, and what was scored is kept{refused}"

    def close(self) -> None:
        """End the seats; what they are doing is lost."""
        for future in self._busy:
            future.cancel()
        if self._seats is not None:
            self._seats.close()
