"""Stored runs made up: a storage folder of them."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Save = Callable[..., Path]


@pytest.fixture
def storage(tmp_path: Path) -> Path:
    folder = tmp_path / "stored"
    (folder / "Linux").mkdir(parents=True)
    return folder


@pytest.fixture
def save(storage: Path) -> Save:
    """Store run `number`, made on that day of a month, with a pipeline ratio of `best` and its control's."""

    def saved(number: int, ratio: float = 0.2, cpu: str = "Xeon", where: str = ".", **facts: Any) -> Path:
        def benchmark(name: str, ratio: float | None) -> dict[str, Any]:
            facts = None if ratio is None else {"estimate": ratio, "low": 0.99 * ratio, "high": 1.01 * ratio}
            info = {"variant": name, "ratio_to_baseline": facts, "mean_s": 0.25, "p50_s": 0.2, "size_mib": 2.0,
                    "memory_mib": None, "der": 20.0, "operations": {"float32": 10, "int8": 3}}  # fmt: skip
            return {"group": "pipeline", "fullname": name, "extra_info": info, "stats": {"rounds": 60}}

        conditions = {"machine": {"cpu": cpu, "flags": ["avx2"]}, "threads": 1, "embedding": "e", "segmentation": "s",
                      "settings": {"step": 0.25}, "timed_on": ["a"]} | facts  # fmt: skip
        run = {
            "machine_info": {},
            "datetime": f"2026-01-{number:02}T10:30:00+00:00",
            "commit_info": {"id": f"{number:040}", "dirty": number % 2 == 0},
            "benchmarks": [benchmark("baseline", None), benchmark("baseline-twin", 1.01), benchmark("best", ratio)],
            "diartbench": conditions,
        }
        path = storage / where / f"{number:04}_run{number}.json"
        path.write_text(json.dumps(run))
        return path

    return saved
