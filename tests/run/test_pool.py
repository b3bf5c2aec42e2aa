"""Who does which job, with seats that are made up: what is lost, refused, absent, late."""

import math
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from bench.accuracy.hearing import Job
from bench.run import pool as pool_module
from bench.run import worker
from bench.run.pool import Pool
from bench.run.seats import Seat
from variants import UserError

JOBS = [Job(("baseline",), part) for part in range(6)]
Act = Callable[[str, object, dict[str, bytes]], Any]


class Made(Executor):
    """Does at once what `act` says of (seat, setup or job, contents); what it returns if that is a Future."""

    def __init__(self, name: str, act: Act) -> None:
        self.name, self.act = name, act

    def submit(self, function: Any, /, *args: Any, **_: Any) -> Any:
        if self.act is dead:
            raise BrokenProcessPool
        future: Future[Any] = Future()
        try:
            found = self.act(self.name, None if function is worker.begin else args[1], args[2])
            if isinstance(found, Future):
                return found
            future.set_result(found)
        except Exception as error:
            future.set_exception(error)
        return future


class Seats:
    lost: tuple[type[BaseException], ...] = (EOFError,)

    def __init__(self, acts: dict[str, Act], later: Iterable[Any] = ()) -> None:
        self.seats = [Seat(name, Made(name, act)) for name, act in acts.items()]
        self.later, self.forgotten, self.closed = iter(later), [], False  # type: ignore[var-annotated]

    def current(self) -> Sequence[Seat]:
        next(self.later, lambda: None)()
        return list(self.seats)

    def forget(self, seat: Seat) -> None:
        self.forgotten.append(seat.name)
        self.seats = [mine for mine in self.seats if mine is not seat]

    def close(self) -> None:
        self.closed = True


def works(name: str, job: object, contents: dict[str, bytes]) -> Any:
    return {"CPU": "avx2"} if job is None else (name, job)


def dead(*_: Any) -> Any: ...


def refuses(name: str, job: object, contents: dict[str, bytes]) -> Any:
    raise UserError("torch 1 there, 2 here")


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pool_module, "POLL", 0.01)
    monkeypatch.setattr(pool_module, "PATIENCE", 0.1)


def made(seats: Seats, paths: Sequence[str] = "abcdef") -> Pool:
    parts = [(SimpleNamespace(name=name, path=Path(name)), None) for name in paths]
    setup: Any = SimpleNamespace(parts=parts)
    return Pool(lambda: seats, lambda: setup)


def done(pool: Pool, jobs: Sequence[Job] = JOBS, left: Callable[[], float] = lambda: math.inf) -> dict[int, str]:
    """Which seat did each part; each once."""
    found: list[Any] = [found for _, found in pool.results(jobs, left)]
    assert len({job.part for _, job in found}) == len(found)
    return {job.part: name for name, job in found}


def test_all_jobs_are_done_once_by_all() -> None:
    seats = Seats({"one": works, "two": works})
    pool = made(seats)
    assert not list(pool.results([], lambda: 1.0)) and pool._seats is None  # nothing is started for nothing
    found = done(pool)
    assert sorted(found) == list(range(6)) and {*found.values()} == {"one", "two"} and pool.cpus == {"avx2"}
    pool.close()
    assert seats.closed


def test_what_is_lost_with_its_seat_is_done_by_another() -> None:
    fell: list[object] = []

    def falls(name: str, job: object, contents: dict[str, bytes]) -> Any:
        if job is None:
            return {"CPU": "avx2"}
        fell.append(job)
        raise EOFError

    def silent(name: str, job: object, contents: dict[str, bytes]) -> Any:
        return {"CPU": "avx2"} if job is None else Future()  # never done: its seat leaves

    seats = Seats({"falls": falls, "silent": silent, "dead": dead, "works": works})
    gone = seats.seats[1]
    seats.later = iter([*[lambda: None] * 3, lambda: seats.seats.remove(gone)])
    found = done(made(seats))
    assert sorted(found) == list(range(6)) and {*found.values()} == {"works"}
    assert len(fell) == 1 and {*seats.forgotten} == {"falls", "silent", "dead"}


def test_a_job_that_takes_every_seat_with_it_ends_the_run() -> None:
    def falls(name: str, job: object, contents: dict[str, bytes]) -> Any:
        if job == JOBS[2]:
            raise EOFError
        return works(name, job, contents)

    seats = Seats({str(i): falls for i in range(5)})
    with pytest.raises(UserError, match=r"^\d: c with baseline: the process ended 3 times"):
        done(made(seats))
    seats = Seats({str(i): falls for i in range(5)})
    with pytest.raises(UserError, match=r"^one: c with baseline: KeyError: 'x'$"):
        done(made(Seats({"one": lambda n, job, c: {}["x"] if job == JOBS[2] else works(n, job, c)})))


def test_who_begins_again_is_told_again() -> None:
    begun: list[str] = []

    def anew(name: str, job: object, contents: dict[str, bytes]) -> Any:
        if job is None:
            begun.append(name)
        elif job == JOBS[3] and len(begun) == 1:
            raise worker.UnreadyError
        return works(name, job, contents)

    seats = Seats({})
    again = Seat("one", Made("one", anew))
    seats.seats = [Seat("one", Made("one", anew))]
    seats.later = iter([*[lambda: None] * 4, lambda: seats.seats.append(again) if not seats.seats else None] * 9)
    assert sorted(done(made(seats))) == list(range(6)) and begun == ["one", "one"]


def test_who_is_refused_does_nothing_and_is_named() -> None:
    pool = made(Seats({"old": refuses, "works": works}))
    assert {*done(pool).values()} == {"works"} and pool.refused == {"old": "torch 1 there, 2 here"}
    pool = made(Seats({"old": refuses, "bare": lambda *_: __import__("no_such_package")}))
    why = r"^--jobs: no worker is left, .*; bare is refused: ModuleNotFoundError: .*; old is refused: torch 1 there, .*"
    with pytest.raises(UserError, match=why):
        done(pool)


def test_a_cluster_without_workers_is_waited_for() -> None:
    seats = Seats({})
    seats.later = iter([lambda: None, lambda: seats.seats.append(Seat("late", Made("late", works)))])
    assert {*done(made(seats)).values()} == {"late"}
    with pytest.raises(UserError, match=r"no worker is left, and what was scored is kept$"):
        done(made(Seats({})))


def test_absent_files_come_along_once(tmp_path: Path) -> None:
    (tmp_path / "model").write_bytes(b"weights")
    (tmp_path / "a").write_bytes(b"audio")
    asked: list[tuple[object, list[str]]] = []

    def lacks(name: str, job: object, contents: dict[str, bytes]) -> Any:
        asked.append((job, [*contents]))
        path = str(tmp_path / ("model" if job is None else "a"))
        if path not in contents and (job is None or len(asked) < 4):
            raise worker.AbsentError(path)
        assert path not in contents or contents[path] in (b"weights", b"audio")
        return works(name, job, contents)

    done(made(Seats({"one": lacks})), JOBS[:2])
    model, audio = str(tmp_path / "model"), str(tmp_path / "a")
    assert asked == [(None, []), (None, [model]), (JOBS[0], []), (JOBS[0], [audio]), (JOBS[1], [])]


def test_no_job_is_begun_after_the_time_and_what_is_begun_ends() -> None:
    begun: list[object] = []
    with ThreadPoolExecutor(2) as threads:

        def slowly(name: str, job: object, contents: dict[str, bytes]) -> Any:
            if job is None:
                return works(name, job, contents)
            begun.append(job)
            return threads.submit(sleepy, name, job)

        def sleepy(name: str, job: object) -> Any:
            time.sleep(0.1)
            return name, job

        pool = made(Seats({"one": slowly, "two": slowly}))
        assert sorted(done(pool, left=lambda: 2.0 - len(begun))) == [0, 1]
    assert not done(pool, left=lambda: 0.0) and len(begun) == 2
