"""Wait until the process is quiet: a thread pool that still spins must not be charged to the next variant."""

import contextlib
import threading
import time
from pathlib import Path

WINDOW, SHARE, LIMIT = 0.002, 0.1, 0.5  # seconds, CPU per wall time, seconds


def wait_until_quiet(window: float = WINDOW, share: float = SHARE, limit: float = LIMIT) -> bool:
    """Sleep until no other thread of this process is running or wants to, nor used a CPU over `window` seconds.

    Where threads' states cannot be read (no /proc), only CPU time counts: less than `share` of one CPU, all threads
    together. Returns False if the process is still busy after `limit` seconds.
    """
    deadline = time.perf_counter() + limit
    while True:
        wall, cpu = time.perf_counter(), time.process_time()
        time.sleep(window)
        if time.process_time() - cpu < share * (time.perf_counter() - wall) and not _other_thread_runs():
            return True
        if time.perf_counter() > deadline:
            return False


def _other_thread_runs() -> bool:
    """Whether another thread is runnable (Linux; elsewhere False).

    CPU time does not tell: the kernel adds it up once per tick (4 ms), and a preempted thread, which uses none, spins
    on as soon as it can.
    """
    for task in Path("/proc/self/task").glob("*"):
        if task.name != str(threading.get_native_id()):
            with contextlib.suppress(OSError):  # it ended meanwhile
                if (task / "stat").read_bytes().rpartition(b")")[2].split()[0] == b"R":
                    return True
    return False
