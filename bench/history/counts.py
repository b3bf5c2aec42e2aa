"""What does not jitter of a variant, by name, from what a run stores of it."""

from collections.abc import Mapping
from typing import Any

MEMORY, THREADS = "memory", "threads"


def counts_of(info: Mapping[str, Any]) -> dict[str, float]:
    """The counts of one variant by name, as far as they are known, from a benchmark's `extra_info`.

    `operations` are multiply-adds of the embedding model in a chunk, `size` and `memory` are in MiB; for the others see
    `bench.run.footprint`. Runs from before there were `counts` measured memory in another way: it is left out of them.
    """
    work, counts = info.get("operations"), info.get("counts") or {}
    total = sum(work.values()) if isinstance(work, Mapping) else work
    found = {"operations": None if total is None else total / 2, "size": info.get("size_mib")}
    found |= {name: counts.get(name) for name in ("embedding_calls", "sessions", "session_runs", THREADS)}
    found[MEMORY] = info.get("memory_mib") if counts else None
    return {name: float(value) for name, value in found.items() if value is not None}
