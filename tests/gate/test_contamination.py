"""What counts as contaminated."""

import time

import pytest

from bench.gate import contamination
from bench.gate.contamination import Reading, Usage, between, causes, read

CLEAN = Usage(wall=0.1, cpu=0.099, switches=1, steal=0.0, pressure=0.01)


@pytest.mark.parametrize(
    ("usage", "expected"),
    [
        (CLEAN, []),
        (Usage(0.1, 0.099, 1, 0.01, 0.01), ["steal"]),  # one tick
        (Usage(1.0, 0.99, 1, 0.01, 0.01), []),
        (Usage(0.1, 0.099, 1, 0.0, 0.08), ["pressure"]),
        (Usage(0.1, 0.099, 1, 0.0, None), []),
        (Usage(0.1, 0.099, 6, 0.0, 0.0), ["involuntary switches"]),
        (Usage(0.01, 0.0099, 1, 0.0, 0.0), []),  # one switch is no rate
        (Usage(0.1, 0.089, 0, 0.0, 0.0), ["CPU time below wall time"]),
        (Usage(0.1, 0.2, 0, 0.0, 0.0), []),  # two threads
        (Usage(1.0, 1.0, 0, 0.0, 0.0, throttled=0.06), ["throttled by a quota"]),
        (Usage(1.0, 1.0, 0, 0.0, 0.0, throttled=0.04), []),
    ],
)
def test_causes(usage: Usage, expected: list[str]) -> None:
    assert causes([([usage], True)]) == expected


def test_a_variant_with_threads_of_its_own_is_not_blamed_on_others() -> None:
    assert causes([([Usage(0.1, 0.05, 60, 0.0, 0.0)], False)]) == []
    assert causes([([Usage(0.1, 0.05, 60, 0.01, 0.09)], False)]) == ["steal", "pressure"]


def test_the_block_is_judged_as_a_whole() -> None:
    stolen = Usage(0.1, 0.1, 0, 0.01, None)
    assert causes([([CLEAN, stolen], True), ([CLEAN], True)]) == []  # 10 ms of 300
    assert causes([([stolen, stolen], True), ([CLEAN], False)]) == ["steal"]  # 20 ms of 300
    idle = Usage(0.1, 0.05, 60, 0.0, 0.0)
    assert causes([([idle], False), ([CLEAN], True)]) == []


def test_usage_is_the_difference() -> None:
    before, after = Reading(1.0, 2.0, 3, 4.0, 5.0, 6.0), Reading(1.5, 2.25, 7, 4.125, 5.0625, 6.5)
    assert between(before, after) == Usage(0.5, 0.25, 4, 0.125, 0.0625, 0.5)
    assert between(before, Reading(1.5, 2.25, 7, 4.125, None)).pressure is None


def test_a_sleeping_round_shows_idle() -> None:
    before = read()
    time.sleep(0.05)
    used = between(before, read())
    assert used.wall >= 0.05 and used.cpu < used.wall
    assert "CPU time below wall time" in causes([([used], True)])


def test_steal_is_that_of_the_given_cpus(monkeypatch: pytest.MonkeyPatch, tmp_path: object) -> None:
    lines = "cpu  1 2 3 4 5 6 7 800 0 0\ncpu0 1 2 3 4 5 6 7 300 0 0\ncpu1 1 2 3 4 5 6 7 500 0 0\nintr 1\n"
    monkeypatch.setattr(contamination.Path, "read_text", lambda *_, **__: lines)
    monkeypatch.setattr(contamination.os, "sysconf", lambda name: 100)
    assert (contamination._steal([1]), contamination._steal([])) == (5.0, 8.0)


def test_systems_without_proc_tell_less(monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(*_: object, **__: object) -> str:
        raise OSError

    monkeypatch.setattr(contamination.Path, "read_text", absent)
    assert contamination._steal([0]) == 0.0 and contamination._pressure() is None
