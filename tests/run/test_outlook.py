"""The line on what a run will see, and the stored run or pilot that it rests on."""

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from made import CONDITIONS

from bench.history.controls import Control, last_controls
from bench.latency.results import TWIN
from bench.run.options import Options
from bench.run.power import outlook
from bench.run.run import Run
from bench.statistics import Ratio

KINDS = ["model-only", "pipeline"]
NAMES = ["baseline", TWIN, "distilled"]
SECONDS = {"baseline": 0.1, TWIN: 0.1, "distilled": 0.05}  # 0.25 s, of a block's four items three are timed: 1/3 s


def ratio(half: float, rounds: int, *processes: float) -> Ratio:
    return Ratio(1.0, math.exp(-half), math.exp(half), rounds, *processes)  # type: ignore[arg-type]


def test_the_line_by_hand() -> None:
    # 1 % of half-width at 180 rounds, which 60 s hold; 4 runs in 5 see 1.43 times that, 1 % after 2.04 times 60 s
    line = outlook("pipeline", Control("0005_fifth", ratio(0.01, 180), SECONDS), NAMES, 60, 1)
    assert line == (
        "pipeline: in 60 s you can see differences of 1.4%; for 1% take 2 min "
        "(4 runs in 5 do, by the control of 0005_fifth)"
    )
    # one more variant of unknown speed counts as 0.1 s: 0.35 s x 4/3 a round, 128.6 rounds, 1.43 % x sqrt(1.4) = 1.69 %
    line = outlook("pipeline", Control("x", ratio(0.01, 180), SECONDS), [*NAMES, "new"], 60, 1)
    assert line is not None and "differences of 1.7%; for 1% take 3 min" in line
    line = outlook("pipeline", Control("x", ratio(0.005, 180), SECONDS), NAMES, 60, 1)
    assert line == "pipeline: in 60 s you can see differences of 0.7% (4 runs in 5 do, by the control of x)"


def test_the_line_of_several_processes_by_hand() -> None:
    # a standard error of 0.5 % at 180 rounds, all between processes: t of 4 degrees 2.776 x 0.5 % x 1.43 = 1.98 %
    control = Control("x", ratio(0.005 * 2.7764, 180, 5, 0.0112, 1.0), SECONDS)
    line = outlook("pipeline", control, NAMES, 60, 5)
    assert line is not None and line.startswith("pipeline: in 60 s in 5 processes you can see differences of 2.0%; ")
    # sd 1.12 %: x 1.43 x t / sqrt(n) below 0.71 % from 23 processes on: t 2.074, 0.692 %
    assert "for 1% take 23 processes and 0 s" in line
    one = outlook("pipeline", control, NAMES, 60, 1)
    assert one is not None and one.endswith("by the control of x; processes differ by 1.1% besides)")


@pytest.mark.parametrize("budget", [0, 60])
def test_no_interval_no_line(budget: float) -> None:
    nothing = Ratio(1.0, 0.0, math.inf, 9) if budget else ratio(0.01, 180)
    assert outlook("pipeline", Control("x", nothing, SECONDS), NAMES, budget, 1) is None


def stored(folder: Path, name: str, low: float, kind: str = "pipeline", **conditions: Any) -> None:
    twin = {"estimate": 1.0, "low": low, "high": 1.02}
    benchmarks = [
        {"group": kind, "fullname": v, "stats": {"rounds": 90},
         "extra_info": {"variant": v, "mean_s": SECONDS[v], "ratio_to_baseline": twin if v == TWIN else None}}
        for v in SECONDS
    ]  # fmt: skip
    saved = {"machine_info": {}, "datetime": "", "benchmarks": benchmarks, "diartbench": {**CONDITIONS, **conditions}}
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{name}.json").write_text(json.dumps(saved))


def test_the_last_comparable_control_of_each_kind(tmp_path: Path) -> None:
    stored(tmp_path / "m", "0001_a", 0.95, "model-only")
    stored(tmp_path / "m", "0002_b", 0.97)
    stored(tmp_path / "m", "0003_c", 0.98)
    stored(tmp_path / "n", "0004_d", 0.99, threads=2)
    (tmp_path / "0005_e.json").write_text("[1")
    (tmp_path / "0006_f.json").write_text('{"benchmarks": 3}')
    found = last_controls(tmp_path, CONDITIONS, TWIN, KINDS)
    assert found == {
        "pipeline": Control("0003_c", Ratio(1.0, 0.98, 1.02, 90), SECONDS),
        "model-only": Control("0001_a", Ratio(1.0, 0.95, 1.02, 90), SECONDS),
    }
    assert last_controls(tmp_path, CONDITIONS, TWIN, ["pipeline"]).keys() == {"pipeline"}  # no further than needed
    assert last_controls(tmp_path / "nowhere", CONDITIONS, TWIN, KINDS) == {}


def test_a_pilot_stands_in_where_nothing_is_stored(
    options: Callable[..., Options], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pilots: list[str] = []

    def made(budget: float) -> Run:
        run = Run(options("--budget", f"{budget}"), ["distilled"], tmp_path, lambda task, done: None)
        monkeypatch.setattr(run, "conditions", lambda: CONDITIONS)
        vars(run.models).update(_built=(dict.fromkeys(SECONDS), {}))
        vars(run.timing).update(pilot=lambda kind: pilots.append(kind) or Control("a pilot", ratio(0.01, 180), SECONDS))
        return run

    stored(tmp_path, "0001_a", 0.98)
    lines = made(60).power(["model-only", "pipeline"], tmp_path)
    assert pilots == ["model-only"] and "by the control of a pilot" in lines[0] and "0001_a" in lines[1]
    assert made(20).power(["model-only"], tmp_path) == [] and len(pilots) == 1  # not worth it


def test_a_real_pilot(options: Callable[..., Options], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Subject:
        def start(self, stream: object) -> None: ...

        def __call__(self, item: object) -> dict[str, float]:
            return {}

    run = Run(options(), ["distilled"], tmp_path, lambda task, done: None)
    monkeypatch.setattr("bench.run.cores.threads.apply", lambda threads: None)
    vars(run.corpus).update(streams=[(None, list(range(40)))])
    monkeypatch.setattr(run.timing, "subject", lambda kind, name: Subject())
    found = run.timing.pilot("pipeline")
    assert found is not None and found.ratio.rounds == 8 * 3 and set(found.seconds) == {"baseline", TWIN}
    vars(run.corpus).update(streams=[])
    assert run.timing.pilot("pipeline") is None
