"""Counts held against stored ones: by hand, and in a gated run as a user drives it."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from made import CONDITIONS, Made

from bench.gate.counts import grown, memory_spread
from bench.history.counts import counts_of
from bench.history.pins import Pins
from bench.history.runs import read_runs

THEN: dict[str, Any] = {
    "operations": {"float32": 1000, "int8": 200},
    "size_mib": 10.0,
    "memory_mib": 50.0,
    "counts": {"embedding_calls": 1, "sessions": 0, "session_runs": 2, "threads": 0},
}


def changed(**facts: Any) -> dict[str, Any]:
    counts = {name: facts.pop(name) for name in list(facts) if name in THEN["counts"]}
    return THEN | facts | {"counts": THEN["counts"] | counts}


def test_what_a_run_stores_by_name() -> None:
    assert counts_of(THEN) == {"operations": 600, "size": 10, "memory": 50, "embedding_calls": 1, "sessions": 0,
                               "session_runs": 2, "threads": 0}  # fmt: skip
    early = {"operations": 1000, "size_mib": None, "memory_mib": 50.0}  # memory was not yet that
    assert counts_of(early) == {"operations": 500}


@pytest.mark.parametrize(
    ("now", "why"),
    [
        (changed(), None),
        (changed(size_mib=10.5), None),
        (changed(size_mib=10.6),
         "saved size in MiB: 10 then, 10.6 now (+6.0 %; threshold 5 %)"),
        (changed(operations={"float32": 200, "int8": 1000}), None),
        (changed(operations={"float32": 1000, "int8": 262}),
         "multiply-adds of the embedding model per chunk: 600 then, 631 now (+5.2 %; threshold 5 %)"),
        (changed(embedding_calls=3),
         "calls of the embedding model per chunk: 1 then, 3 now (+200.0 %; threshold 5 %)"),
        (changed(sessions=1), "ONNX Runtime sessions: 0 then, 1 now (there were none; threshold 5 %)"),
        (changed(session_runs=3),
         "runs of ONNX Runtime sessions per chunk: 2 then, 3 now (+50.0 %; threshold 5 %)"),
        (changed(threads=4), "threads started: 0 then, 4 now (there were none; threshold 5 %)"),
        (changed(memory_mib=56.0), None),  # 52.5 were 5 %, 57.75 are 10 % more than those
        (changed(memory_mib=58.0), "peak memory in MiB: 50 then, 58 now (+16.0 %; threshold 5 %, and 10.0 % between "
         "measurements of one model)"),
        (changed(size_mib=5.0, memory_mib=20.0, session_runs=1), None),
        (THEN | {"size_mib": None, "counts": None}, None),  # not known now
    ],
)  # fmt: skip
def test_an_increase_above_the_threshold_is_named(now: dict[str, Any], why: str | None) -> None:
    assert list(grown(counts_of(now), counts_of(THEN), 0.05, 0.1)) == ([] if why is None else [why])


def test_memory_spreads_as_that_of_one_model_does() -> None:
    now = {"baseline": {"memory": 40.0}, "baseline-twin": {"memory": 41.0}, "best": {"memory": 90.0}}
    then = {"baseline": {"memory": 44.0, "size": 1.0}, "baseline-twin": {"size": 1.0}}
    assert memory_spread(now, then) == pytest.approx(0.1)
    assert memory_spread({}, {"best": {"memory": 1.0}}) == 0


@pytest.fixture
def gated(made_project: pytest.Pytester, store: Callable[..., Path], monkeypatch: pytest.MonkeyPatch) -> Any:
    """A gated run whose `distilled` has these counts; the stored one has `THEN`."""
    file = store(0.8)
    saved = json.loads(file.read_text())
    saved["benchmarks"][0]["extra_info"] |= THEN
    file.write_text(json.dumps(saved))

    def run(**facts: Any) -> pytest.RunResult:
        monkeypatch.setattr(Made, "counted", lambda self, name: changed(**facts) if name == "distilled" else THEN)
        asked = ("--pyargs", "bench", "--gate", "--gate-budget", "1e-6", "--variants", "distilled", "-k", "model_only")
        return made_project.runpytest_inprocess(*asked, "--benchmark-json", "out.json")

    return run


def test_a_count_that_grew_fails_though_time_passes(gated: Any, made_project: pytest.Pytester) -> None:
    assert gated().ret == 0
    result = gated(sessions=2, size_mib=12.0)
    assert result.ret == 10
    result.stdout.fnmatch_lines(
        [
            "*model-only*distilled*pass*",
            "*count*distilled*failed*saved size in MiB: 10 then, 12 now (+20.0 %; * 5 %), in the last stored run*",
            "*count*distilled*failed*ONNX Runtime sessions: 0 then, 2 now*",
            "*Gate: regressed*",
        ]
    )
    gate = json.loads((made_project.path / "out.json").read_text())["diartbench"]["gate"]
    assert [(f["kind"], f["variant"]) for f in gate["failures"]] == [("count", "distilled")] * 2


def test_to_store_and_pin_a_run_accepts_its_counts(gated: Any, made_project: pytest.Pytester) -> None:
    folder = made_project.path / ".benchmarks"
    (run,), _ = read_runs(folder)
    Pins(folder).pin(run)
    grew = json.loads(run.path.read_text())
    grew["benchmarks"][0]["extra_info"] |= changed(sessions=2)
    grew["datetime"] = "later"
    new = run.path.with_name("0002_two.json")
    new.write_text(json.dumps(grew))
    result = gated(sessions=2)  # no more than in the last run, but than in the pinned one
    assert result.ret == 10
    result.stdout.fnmatch_lines(["*count*distilled*0 then, 2 now*in the pinned run*"])
    Pins(folder).pin(read_runs(folder)[0][1])
    assert gated(sessions=2).ret == 0


def test_counts_of_another_machine_or_model_are_not_held_against(gated: Any, made_project: pytest.Pytester) -> None:
    file = next((made_project.path / ".benchmarks").rglob("0001*"))
    saved = json.loads(file.read_text())
    saved["diartbench"]["machine"] = CONDITIONS["machine"] | {"cores": 64}
    file.write_text(json.dumps(saved))
    assert gated(threads=3).ret == 0  # as many as there are cores
    assert gated(sessions=3).ret == 10
    saved["diartbench"]["embedding"] = "another"
    file.write_text(json.dumps(saved))
    gated(sessions=3).stdout.no_fnmatch_line("*count*distilled*")
