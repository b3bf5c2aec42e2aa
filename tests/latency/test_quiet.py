"""Waiting for a quiet process, with threads that really burn a CPU."""

import hashlib
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from bench.latency.quiet import LIMIT, wait_until_quiet


@contextmanager
def busy(iterations: int) -> Iterator[threading.Thread]:
    """A thread that burns a CPU in one long call without the interpreter's lock; 100,000 take 30 ms or more."""
    thread = threading.Thread(target=hashlib.pbkdf2_hmac, args=("sha256", b"", b"", iterations))
    thread.start()
    try:
        yield thread
    finally:
        thread.join()


def test_a_quiet_process_does_not_wait() -> None:
    begin = time.perf_counter()
    assert wait_until_quiet()
    assert time.perf_counter() - begin < LIMIT


def test_a_busy_thread_is_waited_for() -> None:
    for _ in range(5):
        with busy(100_000) as thread:
            assert wait_until_quiet(limit=5)
            assert not thread.is_alive()


def test_a_thread_that_stays_busy_is_given_up() -> None:
    with busy(2_000_000) as thread:
        begin = time.perf_counter()
        assert not wait_until_quiet(limit=0.1)
        assert time.perf_counter() - begin >= 0.1
        assert thread.is_alive()


def test_a_sleeping_thread_is_quiet() -> None:
    wake = threading.Event()
    thread = threading.Thread(target=wake.wait)
    thread.start()
    assert wait_until_quiet()
    wake.set()
    thread.join()
