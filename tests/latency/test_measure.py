"""Interleaving: common items, order, lead-in, budget, failures and quiet, on a clock that only the subjects move."""

import hashlib
import threading
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any

import pytest

from bench.latency.interleave import BLOCK, LEAD, Measurement, interleave

STREAMS = [("one", [f"one{i}" for i in range(9)]), ("two", [f"two{i}" for i in range(5)])]  # 2 blocks and 1


class Clock:
    """Seconds that pass only where a subject says so."""

    now = 100.0

    def __call__(self) -> float:
        return self.now


class Fake:
    """A subject that takes `seconds` for each item, and logs (its name, what it was given)."""

    def __init__(self, name: str, clock: Clock, log: list[tuple[str, Any]], seconds: Callable[[Any], float]) -> None:
        self.name, self.clock, self.log, self.seconds = name, clock, log, seconds

    def start(self, stream: Any) -> None:
        self.log.append((self.name, ("start", stream)))

    def __call__(self, item: Any) -> Mapping[str, float]:
        self.log.append((self.name, item))
        self.clock.now += self.seconds(item)
        return {"stage": self.seconds(item)}


def run(
    budget: float = 30.0, seconds: Mapping[str, Callable[[Any], float]] | None = None, **options: Any
) -> tuple[Measurement, list[tuple[str, Any]]]:
    seconds = seconds or {"a": lambda item: 0.5, "b": lambda item: 0.25, "c": lambda item: 0.75}
    clock, log = Clock(), []
    options = {"streams": STREAMS, "quiet": lambda: True, **options}
    subjects = {name: Fake(name, clock, log, spent) for name, spent in seconds.items()}
    return interleave(subjects, options.pop("streams"), budget=budget, clock=clock, **options), log


def given(log: list[tuple[str, Any]], name: str) -> list[Any]:
    return [what for who, what in log if who == name]


def turns(log: list[tuple[str, Any]]) -> list[str]:
    """Who was on, block by block."""
    items = [who for who, what in log if isinstance(what, str)]
    return items[::BLOCK]


def test_all_get_the_same_items_and_starts() -> None:
    _, log = run()
    expected = [("start", "one"), *STREAMS[0][1][:8], ("start", "two"), *STREAMS[1][1][:4]]
    for name in "abc":  # 30 s at 6 s a block: five blocks, streams start over after three
        assert given(log, name) == expected + expected[:9]


def test_a_block_is_one_subject_at_a_time() -> None:
    _, log = run()
    items = [(who, what) for who, what in log if isinstance(what, str)]
    for first in range(0, len(items), BLOCK):
        block = items[first : first + BLOCK]
        assert len({who for who, _ in block}) == 1
    for first in range(0, len(items), 3 * BLOCK):
        block = items[first : first + 3 * BLOCK]
        assert Counter(who for who, _ in block) == dict.fromkeys("abc", BLOCK)
        assert len({what for _, what in block}) == BLOCK


def test_seconds_are_those_of_the_items_after_the_lead_in() -> None:
    durations = {item: 0.125 * (i + 1) for i, item in enumerate(STREAMS[0][1] + STREAMS[1][1])}
    measured, log = run(budget=10, seconds={"a": durations.__getitem__, "b": lambda item: 2 * durations[item]})
    items = [item for item in given(log, "a") if isinstance(item, str)]
    timed = [item for i, item in enumerate(items) if i % BLOCK >= LEAD]
    assert LEAD >= 1
    assert measured.rounds["a"].seconds == [durations[item] for item in timed]
    assert measured.rounds["b"].seconds == [2 * durations[item] for item in timed]
    assert measured.rounds["a"].stages == [{"stage": durations[item]} for item in timed]


def test_rounds_are_aligned() -> None:
    measured, _ = run()
    expected = [block for block in range(5) for _ in range(BLOCK - LEAD)]
    assert [rounds.blocks for rounds in measured.rounds.values()] == [expected] * 3


def test_order_is_random_and_seeded() -> None:
    orders = {seed: turns(run(budget=180, seed=seed)[1]) for seed in (0, 1)}
    assert turns(run(budget=180, seed=0)[1]) == orders[0] != orders[1]
    firsts = Counter(orders[0][::3])
    assert sum(firsts.values()) == 30
    assert min(firsts[name] for name in "abc") >= 3  # of 30 blocks, each goes first in about ten


def test_budget_and_least_number_of_blocks() -> None:
    blocks = lambda measured: measured.rounds["a"].blocks[-1] + 1  # noqa: E731
    assert blocks(run(budget=30)[0]) == 5
    assert blocks(run(budget=31)[0]) == 6  # no block is cut short
    assert blocks(run(budget=0)[0]) == 4
    assert blocks(run(budget=0, min_blocks=2)[0]) == 2


def test_progress_grows_to_the_whole() -> None:
    seen: list[float] = []
    run(budget=31, progress=seen.append)
    assert seen == pytest.approx([0, 6 / 31, 12 / 31, 18 / 31, 24 / 31, 30 / 31, 1])


def test_a_subject_that_raises_drops_out() -> None:
    def breaks(item: str) -> float:
        if item == "one6":
            raise RuntimeError("no kernel for this\nand much more")
        return 0.5

    whole, _ = run(seconds={"a": lambda item: 0.5, "c": lambda item: 0.75})
    measured, log = run(seconds={"a": lambda item: 0.5, "b": breaks, "c": lambda item: 0.75})
    assert measured.failures == {"b": "RuntimeError: no kernel for this"}
    assert set(measured.rounds) == {"a", "c"}
    assert given(log, "b")[-1] == "one6"
    for name in "ac":
        rounds = len(measured.rounds[name].seconds)
        assert rounds >= 12
        assert measured.rounds[name].seconds == whole.rounds[name].seconds[:rounds]


def test_nothing_is_left_if_all_raise() -> None:
    def breaks(item: str) -> float:
        raise ValueError

    measured, log = run(seconds={"a": breaks, "b": breaks})
    assert measured.failures == {"a": "ValueError: ", "b": "ValueError: "}
    assert not measured.rounds
    assert len(log) == 4  # a start and an item each


def test_streams_shorter_than_a_block_end_without_rounds() -> None:
    measured, log = run(streams=[("short", ["x"] * (BLOCK - 1))])
    assert not log
    assert all(not rounds.seconds for rounds in measured.rounds.values())


def test_quiet_is_awaited_before_each_turn_and_failures_are_counted() -> None:
    answers = iter([True, False, True] * 100)
    clock, log = Clock(), []
    subjects = {name: Fake(name, clock, log, lambda item: 1.0) for name in "abc"}

    def quiet() -> bool:
        log.append(("quiet", None))
        return next(answers)

    measured = interleave(
        subjects, [("one", list(map(str, range(8))))], budget=0, min_blocks=2, clock=clock, quiet=quiet
    )
    assert measured.unquiet == 2
    spans = [who for who, what in log if not isinstance(what, tuple)]
    assert spans == [x for name in turns([e for e in log if e[0] != "quiet"]) for x in ["quiet", *[name] * BLOCK]]


class Spinner:
    """Returns at once and leaves a thread behind that burns a CPU in one call, without the interpreter's lock."""

    def __init__(self) -> None:
        self.threads: list[threading.Thread] = []

    def start(self, stream: Any) -> None: ...

    def __call__(self, item: Any) -> Mapping[str, float]:
        self.threads.append(threading.Thread(target=hashlib.pbkdf2_hmac, args=("sha256", b"", b"", 50_000)))
        self.threads[-1].start()
        return {}


class Victim:
    """Notes when its turns begin and how many of the spinner's threads then live."""

    def __init__(self, spinner: Spinner) -> None:
        self.spinner = spinner
        self.alive: list[int] = []

    def start(self, stream: Any) -> None: ...

    def __call__(self, item: Any) -> Mapping[str, float]:
        self.alive.append(sum(thread.is_alive() for thread in self.spinner.threads))
        return {}


def test_a_spinning_thread_left_behind_delays_no_other() -> None:
    spinner = Spinner()
    victim = Victim(spinner)
    items = list(range(4 * BLOCK))
    measured = interleave({"spinner": spinner, "victim": victim}, [("one", items)], budget=0, min_blocks=8)
    assert len(spinner.threads) == len(victim.alive) == 8 * BLOCK
    assert victim.alive == [0] * (8 * BLOCK)
    assert measured.unquiet == 0


def test_without_waiting_it_would() -> None:
    spinner = Spinner()
    victim = Victim(spinner)
    interleave(
        {"spinner": spinner, "victim": victim},
        [("one", list(range(BLOCK)))],
        budget=0,
        min_blocks=8,
        quiet=lambda: True,
    )
    assert any(victim.alive)
