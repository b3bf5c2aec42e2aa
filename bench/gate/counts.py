"""What does not jitter, held against a stored run: work, size, calls, sessions, threads; and memory, which does a bit.

A count fails on an increase above the variant's threshold, whatever time says. Memory must also exceed what it differs
by, between both runs and within them, for the baseline and its twin, the same model measured twice.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from bench.latency.results import TWIN

MEMORY, THREADS = "memory", "threads"
WORDS = {  # of each count, in the verdict
    "operations": "multiply-adds of the embedding model per chunk",
    "size": "saved size in MiB",
    MEMORY: "peak memory in MiB",
    "embedding_calls": "calls of the embedding model per chunk",
    "sessions": "ONNX Runtime sessions",
    "session_runs": "runs of ONNX Runtime sessions per chunk",
    THREADS: "threads started",
}


def counts_of(info: Mapping[str, Any]) -> dict[str, float]:
    """The counts of one variant by name, as far as they are known, from what a run stores of it (`extra_info`).

    Runs from before there were `counts` measured memory in another way: it is left out of them.
    """
    work, counts = info.get("operations"), info.get("counts") or {}
    total = sum(work.values()) if isinstance(work, Mapping) else work
    found = {"operations": None if total is None else total / 2, "size": info.get("size_mib")}
    found |= {name: counts.get(name) for name in ("embedding_calls", "sessions", "session_runs", THREADS)}
    found[MEMORY] = info.get("memory_mib") if counts else None
    return {name: float(value) for name, value in found.items() if value is not None}


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
            yield f"{WORDS[name]}: {values} ({rise}; threshold {100 * threshold:g} %{beside})"
