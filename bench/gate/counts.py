"""What does not jitter, held against what it was: work, size, calls, sessions, threads; and memory, which does a bit.

A count fails on an increase above the variant's threshold, whatever time says. Memory must also exceed what it differs
by, between both runs and within them, for the baseline and its twin, the same model measured twice.
"""

from collections.abc import Iterator, Mapping

from bench.history.counts import MEMORY, THREADS
from bench.latency.results import TWIN

WORDS = {  # of each count, in the verdict
    "operations": "multiply-adds of the embedding model per chunk",
    "size": "saved size in MiB",
    MEMORY: "peak memory in MiB",
    "embedding_calls": "calls of the embedding model per chunk",
    "sessions": "ONNX Runtime sessions",
    "session_runs": "runs of ONNX Runtime sessions per chunk",
    THREADS: "threads started",
}


def memory_spread(*runs: Mapping[str, Mapping[str, float]]) -> float:
    """By how much, as a share, memory of one and the same model differs in these runs, each its counts by variant."""
    known = [run[name][MEMORY] for run in runs for name in ("baseline", TWIN) if MEMORY in run.get(name, {})]
    return max(known) / min(known) - 1 if known and min(known) > 0 else 0.0


def grown(now: Mapping[str, float], then: Mapping[str, float], threshold: float, spread: float) -> Iterator[str]:
    """Each count that rose by more than `threshold`, memory by more than `spread` on top: which, and both values."""
    for name, before in then.items():
        allowed = (1 + threshold) * (1 + (spread if name == MEMORY else 0.0))
        if now.get(name, 0.0) > before * allowed:
            rise = f"{100 * (now[name] / before - 1):+.1f} %" if before else "there were none"
            beside = f", and {100 * spread:.1f} % between measurements of one model" if name == MEMORY else ""
            values = f"{before:,.6g} then, {now[name]:,.6g} now"
            yield f"{WORDS.get(name, name)}: {values} ({rise}; threshold {100 * threshold:g} %{beside})"
