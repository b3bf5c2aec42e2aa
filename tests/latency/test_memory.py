"""Peak memory of a known array, in a child that leaves nothing behind."""

import os
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import psutil
import pytest

from bench.latency.memory import peak_memory

pytestmark = pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="no /proc/self/clear_refs here")
MIB = 1 << 20


@pytest.fixture(autouse=True)
def nothing_left_behind() -> Iterator[None]:
    before = psutil.Process().children()  # of other tests
    yield
    assert psutil.Process().children() == before


def resident() -> float:
    return psutil.Process().memory_info().rss / MIB


def test_memory_that_a_model_holds_is_seen() -> None:
    def make():
        array = np.ones(64 * MIB, np.uint8)  # touched, 64 MiB
        return lambda: array[0]

    before = resident()
    assert peak_memory(make) == pytest.approx(64, abs=8)
    assert resident() - before < 16  # it was the child's


def test_memory_that_only_running_takes_is_seen() -> None:
    assert peak_memory(lambda: lambda: int(np.ones(64 * MIB, np.uint8)[-1])) == pytest.approx(64, abs=8)


def test_memory_that_only_building_takes_is_not() -> None:
    def make():
        return (lambda last: lambda: last)(int(np.ones(256 * MIB, np.uint8)[-1]))

    found = peak_memory(make)
    assert found is not None
    assert found < 32


def test_nothing_takes_nothing() -> None:
    found = peak_memory(lambda: lambda: None)
    assert found is not None
    assert 0 <= found < 8


def test_what_fails_cannot_be_told(capfd: pytest.CaptureFixture[str]) -> None:
    def fails():
        raise RuntimeError("no such model")

    assert peak_memory(fails) is None
    assert peak_memory(lambda: fails) is None
    assert peak_memory(lambda: lambda: os._exit(3)) is None
    assert capfd.readouterr() == ("", "")


def test_a_child_that_hangs_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bench.latency.memory.PATIENCE", 0.5)
    begin = time.perf_counter()
    assert peak_memory(lambda: lambda: time.sleep(60)) is None
    assert time.perf_counter() - begin < 30
