"""Thresholds, the stored run to compare with, and what must not silently pass."""

import copy
from pathlib import Path
from typing import Any

import pytest

import variants
from bench.gate.stored import Stored, latest, thresholds
from variants.errors import UserError

NOW: dict[str, Any] = {
    "machine": {"cpu": "Xeon", "flags": ["avx2", "fma"]},
    "threads": 1,
    "embedding": "e",
    "segmentation": "s",
    "settings": {"step": 0.25},
    "timed_on": ["sample"],
    "scored_on": ["sample"],
    "scoring": {"collar": 0.0},
}


def saved(**conditions: Any) -> dict[str, Any]:
    def benchmark(kind: str, name: str, ratio: float | None) -> dict[str, Any]:
        facts = None if ratio is None else {"estimate": ratio, "low": 0.9 * ratio, "high": 1.1 * ratio}
        info = {"variant": name, "ratio_to_baseline": facts, "der": 20.0 if ratio else None}
        return {"group": kind, "extra_info": info, "stats": {"rounds": 60}}

    benchmarks = [benchmark("pipeline", "baseline", None), benchmark("pipeline", "distilled", 0.8)]
    return {"benchmarks": benchmarks, "diartbench": copy.deepcopy(NOW) | conditions}


def run(**conditions: Any) -> Stored:
    return latest([("one.json", saved(**conditions))], "Xeon")


@pytest.mark.parametrize(
    ("text", "distilled", "other"),
    [
        ("", 0.05, 0.05),
        ("[tool.ruff]\nline-length = 120\n", 0.05, 0.05),
        ("[tool.bench.gate]\ndefault = 3\n", 0.03, 0.03),
        ("[tool.bench.gate]\ndistilled = 12.5\n", 0.125, 0.05),
    ],
)
def test_thresholds(tmp_path: Path, text: str, distilled: float, other: float) -> None:
    (tmp_path / "pyproject.toml").write_text(text)
    found = thresholds(tmp_path / "pyproject.toml")
    assert (found["distilled"], found["shared-trunk"]) == pytest.approx((distilled, other))
    assert set(found) == set(variants.names())


def test_no_pyproject_means_defaults(tmp_path: Path) -> None:
    assert set(thresholds(tmp_path / "pyproject.toml").values()) == {0.05}


@pytest.mark.parametrize(
    ("text", "pattern"),
    [
        ("[tool.bench.gate]\ndistiled = 5\n", "unknown variant 'distiled'"),
        ("[tool.bench.gate]\ndistilled = '5'\n", "distilled: '5' is no percentage"),
        ("[tool.bench.gate]\ndefault = 0\n", "default: 0 is no percentage"),
        ("[tool.bench.gate]\ndefault = true\n", "True is no percentage"),
        ("[tool.bench.gate\n", "pyproject.toml: "),
    ],
)
def test_bad_thresholds_are_named(tmp_path: Path, text: str, pattern: str) -> None:
    (tmp_path / "pyproject.toml").write_text(text)
    with pytest.raises(UserError, match=pattern):
        thresholds(tmp_path / "pyproject.toml")


def test_the_last_run_of_the_same_cpu_counts() -> None:
    elsewhere = saved(machine={"cpu": "Epyc", "flags": []})
    runs = [("1", saved(threads=1)), ("2", saved(threads=2)), ("3", elsewhere), ("4", {"benchmarks": []})]
    found = latest(runs, "Xeon")
    assert found.name == "2" and found.saved["diartbench"]["threads"] == 2
    assert found.ratios[("pipeline", "distilled")].estimate == 0.8
    assert found.benchmarks == [("pipeline", "baseline"), ("pipeline", "distilled")]
    assert found.der == {"distilled": [20.0]}


@pytest.mark.parametrize("runs", [[], [("3", saved(machine={"cpu": "Epyc"}))], [("4", {"benchmarks": []}), ("5", [])]])
def test_without_one_it_says_how_to_store_one(runs: Any) -> None:
    with pytest.raises(UserError, match=r"no stored run of this CPU model, Xeon.*--benchmark-save=NAME") as error:
        latest(runs, "Xeon")
    assert "\n" not in str(error.value)
    assert all(name in str(error.value) for name, _ in runs)


def test_cold_starts_are_not_missed_and_a_run_of_them_alone_is_none() -> None:
    plain, cold = saved(), saved()
    cold["benchmarks"] = [{**benchmark, "group": "cold-start"} for benchmark in plain["benchmarks"]]
    assert latest([("1", plain), ("2", cold)], "Xeon").name == "1"
    with pytest.raises(UserError, match="2 has cold starts alone"):
        latest([("2", cold)], "Xeon")
    both = latest([("3", {**plain, "benchmarks": [*plain["benchmarks"], *cold["benchmarks"]]})], "Xeon")
    measured = {("pipeline", "baseline"), ("pipeline", "distilled")}
    assert len(both.benchmarks) == 4 and both.vanished(measured, ("model-only", "pipeline"), narrowed=False) == {}


def test_equal_conditions_do_not_differ() -> None:
    assert run().differing(NOW) == [] and run().same_scoring(NOW)


@pytest.mark.parametrize(
    ("conditions", "pattern"),
    [
        ({"threads": 2}, "threads: 2 then, 1 now"),
        ({"machine": {"cpu": "Xeon", "flags": ["fma"]}}, "CPU flags: fma then, avx2 fma now"),
        ({"embedding": "other"}, "embedding: other then, e now"),
        ({"segmentation": "other"}, "segmentation: other then, s now"),
        ({"calibration": "mine"}, "calibration: mine then, None now"),
        ({"settings": {"step": 0.5}}, "step: 0.5 then, 0.25 now"),
        ({"timed_on": ["a", "b"]}, "timed on: a b then, sample now"),
    ],
)
def test_other_conditions_are_named(conditions: dict[str, Any], pattern: str) -> None:
    (found,) = run(**conditions).differing(NOW)
    assert found.startswith(pattern)
    assert not run(**conditions).same_scoring(NOW)


@pytest.mark.parametrize("conditions", [{"scored_on": ["other"]}, {"scoring": {"collar": 0.5}}, {"scoring": None}])
def test_der_scored_otherwise_is_not_compared(conditions: dict[str, Any]) -> None:
    found = run(**conditions)
    assert found.differing(NOW) == [] and not found.same_scoring(NOW)


def test_what_vanished_is_missed() -> None:
    stored, kinds = run(), ("model-only", "pipeline")
    both = {("pipeline", "baseline"), ("pipeline", "distilled")}
    gone = ("pipeline", "distilled")
    assert stored.vanished(both, kinds, narrowed=False) == {}
    assert stored.vanished(both - {gone}, kinds, narrowed=False) == {gone: "stored, but not measured now"}
    assert stored.vanished(both - {gone}, kinds, narrowed=True) == {}
    assert set(stored.vanished(set(), ("model-only",), narrowed=True)) == both


def test_a_renamed_variant_is_missed_even_in_a_narrowed_run(monkeypatch: pytest.MonkeyPatch) -> None:
    left = [name for name in variants.names() if name != "distilled"]
    monkeypatch.setattr(variants, "names", lambda: left)
    gone = run().vanished({("pipeline", "baseline")}, ("pipeline",), narrowed=True)
    assert list(gone) == [("pipeline", "distilled")] and "renamed or removed" in gone["pipeline", "distilled"]
