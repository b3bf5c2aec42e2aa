"""Hand recorded rounds to pytest-benchmark through its public `timer` option.

Why replay, and not pair inside pedantic's untimed setup and teardown: there, every variant's benchmark would
have to run the baseline and the parent once more for itself, three times the work for the same precision, and
no two variants would ever meet in one block. Measured in common blocks, all share one baseline; then each
benchmark's rounds go through `benchmark.pedantic`, whose timer returns them. pytest-benchmark keeps, saves, compares
and plots them as if it had timed them itself; they come from the same `time.perf_counter`.
"""

from collections.abc import Callable, Sequence


def replay_timer(seconds: Sequence[float]) -> Callable[[], float]:
    """A timer for `benchmark.pedantic(rounds=len(seconds))`: the n-th pair of its readings is seconds[n] apart."""
    steps = iter([step for duration in seconds for step in (0.0, duration)])
    now = 0.0

    def perf_counter() -> float:
        nonlocal now
        now += next(steps)
        return now

    return perf_counter
