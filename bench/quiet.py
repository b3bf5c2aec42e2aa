"""Wait until the process is quiet: a thread pool that still spins must not be charged to the next variant."""

import time

WINDOW, SHARE, LIMIT = 0.002, 0.1, 0.5  # seconds, CPU per wall time, seconds


def wait_until_quiet(window: float = WINDOW, share: float = SHARE, limit: float = LIMIT) -> bool:
    """Sleep until this process, all threads together, uses less than `share` of one CPU over `window` seconds.

    Returns False if it is still busy after `limit` seconds.
    """
    deadline = time.perf_counter() + limit
    while True:
        wall, cpu = time.perf_counter(), time.process_time()
        time.sleep(window)
        if time.process_time() - cpu < share * (time.perf_counter() - wall):
            return True
        if time.perf_counter() > deadline:
            return False
