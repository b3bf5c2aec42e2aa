"""A run with made-up rounds in place of models and audio, for tests of what pytest and its plugins make of it."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pytest_benchmark.utils import get_machine_id

from bench.gate import gate as gate_module
from bench.gate.messages import Block
from bench.latency.interleave import Measurement, Rounds
from bench.latency.machine import cpu_model
from bench.run.options import ScoringOptions
from bench.run.run import Run

SECONDS = {"baseline": 0.1, "baseline-twin": 0.1, "distilled": 0.08}
SETTINGS = {"duration": 5.0, "step": 0.25, "latency": 3.0, "tau": 0.5, "rho": 0.4, "delta": 1.0}
CONDITIONS: dict[str, Any] = {
    "machine": {"cpu": cpu_model(), "flags": []}, "threads": 1, "cpus": [0], "embedding": "e", "segmentation": "s",
    "settings": SETTINGS, "timed_on": ["a"], "scored_on": [], "scoring": {},
}  # fmt: skip


STATS: dict[str, Any] = dict.fromkeys(("min", "max", "mean", "median", "q1", "q3", "ld15iqr", "hd15iqr"), 0.1)
STATS |= {"rounds": 60, "iterations": 1, "stddev": 0.01, "iqr": 0.01, "total": 6.0, "ops": 10.0, "outliers": "0;0"}


class Made(Run):
    """A run without models, audio or accuracy."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        built: Any = (dict.fromkeys(SECONDS), {})
        vars(self.models).update(
            root=None, _built=built, trained=dict.fromkeys(SECONDS, True), segmentation_trained=True, sizes={}
        )
        vars(self.corpus).update(recordings=[], streams=[])
        self.scores.options = ScoringOptions("off", 0.0, False, 0.0, False)
        vars(self.timing).update(measure_memory=lambda: None, find_floors=lambda: None, pilot=lambda kind: None)

    def prepare(self, timed: bool) -> None: ...

    def conditions(self) -> dict[str, Any]:
        return CONDITIONS

    def extra_info(self, kind: str, name: str) -> dict[str, Any]:
        return {"variant": name}


class MadeTimed:
    def __init__(self, *_: Any) -> None: ...

    def block(self, kind: str, name: str, number: int) -> Block:
        seconds = [SECONDS[name] * (1 + 0.001 * ((number + i) % 5)) for i in range(3)]
        return Block(seconds, [{}] * 3, [], True)


def rounds(*_: Any) -> Measurement:
    """Eight blocks of three rounds of every variant."""
    seconds = {name: [s * (1 + 0.001 * (i % 5)) for i in range(24)] for name, s in SECONDS.items()}
    blocks = [i // 3 for i in range(24)]
    return Measurement({name: Rounds(s, [{}] * 24, blocks) for name, s in seconds.items()}, {})


@pytest.fixture
def made_project(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> pytest.Pytester:
    """A project whose runs in this process measure nothing."""
    monkeypatch.setattr("bench.run.run.Run", Made)
    monkeypatch.setattr("bench.latency.threads.apply", lambda threads: None)
    monkeypatch.setattr("bench.run.timing.Interleaved.measure", rounds)
    monkeypatch.setattr(gate_module, "Timed", MadeTimed)
    monkeypatch.setattr("bench.statistics.bootstrap.RESAMPLES", 100)
    pytester.makeconftest('pytest_plugins = ["bench.plugin"]\n')
    return pytester


@pytest.fixture
def store(made_project: pytest.Pytester) -> Callable[..., Path]:
    """Store a run of `distilled`, at a ratio to its baseline, under `conditions`; `scale` is that of its times."""

    def stored(ratio: float, fullname: str = "x", scale: float = 1.0, **conditions: Any) -> Path:
        info = {"variant": "distilled", "der": None,
                "ratio_to_baseline": {"estimate": ratio, "low": 0.99 * ratio, "high": 1.01 * ratio}}  # fmt: skip
        stats = {name: scale * value if isinstance(value, float) else value for name, value in STATS.items()}
        one = {"group": "model-only", "fullname": fullname, "name": "x", "stats": stats, "extra_info": info}
        saved = {"machine_info": {}, "datetime": "", "benchmarks": [one], "diartbench": CONDITIONS | conditions}
        folder = made_project.path / ".benchmarks" / get_machine_id()
        folder.mkdir(parents=True)
        (folder / "0001_one.json").write_text(json.dumps(saved))
        return folder / "0001_one.json"

    return stored
