"""From findings, or from a stored run, to the document that the report is made of."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bench.accuracy.der import Accuracy, FileScore, Turn, turns
from bench.accuracy.errors import Components
from bench.accuracy.evidence import Evidence
from bench.accuracy.rows import Row
from bench.accuracy.verdict import Judgement
from bench.latency.floor import Floor, Operations
from bench.latency.interleave import Measurement, Rounds
from bench.latency.results import summarize
from bench.report import tables
from bench.report.document import document, finished, missing, past
from bench.report.extra_info import extra_info
from bench.report.findings import Findings
from bench.report.stored import read, stored_runs
from bench.report.timeline import timeline
from variants import UserError

ROOT = Path(__file__).parents[2]
FIRST = ROOT / ".benchmarks/0001_first.json"
SAID = ((0.0, 4.0, "a"), (4.0, 9.0, "b"))
OTHER = ((0.0, 5.0, "x"), (5.0, 9.0, "y"))


@pytest.fixture(autouse=True)
def fewer_resamples(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bench.statistics.bootstrap.RESAMPLES", 100)


def rounds(factor: float) -> Rounds:
    """Eight blocks of three rounds at `factor` times 60, 61, 62 ms."""
    seconds = [factor * (0.060 + 0.001 * (i % 3)) for i in range(24)]
    return Rounds(
        seconds, [{"segmentation": 0.2 * s, "embedding": 0.8 * s} for s in seconds], [i // 3 for i in range(24)]
    )


def scored(confusion: float, said: tuple[Turn, ...] = SAID) -> Accuracy:
    """Two files of 50 s of speech each."""
    der, labels = Components(50, 1, 2, confusion), Components(50, 0, 0, confusion)
    near = ((0.97, 1), (1.0, 19)), (Row(-2.5, 2.5, 2, 1.25, 0.97),)
    file = FileScore("talk", der, labels, 0.9, 0.99, (1.25,), said, (der,), (labels,), 10.0, "", 0.0, *near)
    return Accuracy((file, replace(file, name="meeting")))


def made(**changes: Any) -> Findings:
    """A run of three variants and one that broke."""
    speeds = {"baseline": 1.0, "baseline-twin": 1.0, "distilled": 0.9}
    parents = {"baseline-twin": "baseline", "distilled": "baseline"}
    kind = summarize(Measurement({n: rounds(s) for n, s in speeds.items()}, {"broken": "ValueError: no"}), parents)
    conditions = {
        "machine": {"cpu": "Test CPU", "flags": ["avx2"], "cores": 2, "governor": "unknown", "load": [0.1],
                    "system": "Linux", "torch": "2.8", "onnxruntime": "1"},
        "threads": 1, "cpus": [0], "embedding": "bundled embedding", "segmentation": "bundled segmentation",
        "timed_on": ["talk"], "scored_on": ["talk", "meeting"], "settings": {"duration": 5.0, "step": 0.25},
    }  # fmt: skip
    findings = Findings(
        kinds={"model-only": kind, "pipeline": kind},
        accuracy={"baseline": scored(5), "baseline-twin": scored(5), "distilled": scored(6, OTHER)},
        judgements={"distilled": Judgement("worse", 2.0, 1.5, 2.5, True, heard=8, others=(1.0, 3.0))},
        evidence=Evidence({"baseline": [scored(5)] * 9, "distilled": [scored(6, OTHER)] * 9}, 1, {}),
        sizes=dict.fromkeys(speeds, 16.62),
        memory=dict.fromkeys(speeds, 80.5),
        trained={"baseline": True, "baseline-twin": True, "distilled": False},
        skipped={"openvino": "needs openvino"},
        notes=["bad.wav: unreadable audio"],
        conditions=conditions,
        compared={},
        broken={"unbuildable": "cannot be built: RuntimeError: x"},
        references={"talk": SAID, "meeting": SAID},
        in_int8=["distilled"],
        floors={"baseline": Floor(Operations(6_100_000_000), Operations(2e11, 8e11))},
    )
    return replace(findings, **changes)


def by_name(doc: dict[str, Any], name: str) -> dict[str, Any]:
    return next(variant for variant in doc["variants"] if variant["name"] == name)


def test_the_document_holds_what_was_found() -> None:
    doc = document(made(), "2026-01-02T03:04:05+00:00")
    distilled = by_name(doc, "distilled")
    pipeline = distilled["latency"]["pipeline"]
    assert pipeline["to_baseline"]["estimate"] == pytest.approx(0.9) and pipeline["verdict"] == "faster"
    assert pipeline["mean_s"] == pytest.approx(0.9 * 0.061) and len(pipeline["rounds_s"]) == 24
    assert distilled["accuracy"]["der"] == pytest.approx(18)  # (1 + 2 + 6) of 50 s
    assert distilled["accuracy"]["increase"] == {
        "points": pytest.approx(2),
        "low": pytest.approx(1.5),
        "high": pytest.approx(2.5),
    }
    assert distilled["accuracy"]["verdict"] == "worse" and distilled["accuracy"]["heard"] == 8
    assert distilled["accuracy"]["increase_elsewhere"] == [1.0, 3.0]
    # its labels differ from the baseline's in 6 of 50 s, in which the baseline's never differ
    assert distilled["accuracy"]["beyond_control"]["points"] == pytest.approx(12)
    assert distilled["accuracy"]["mean_disagreement"] == {key: pytest.approx(12) for key in ("points", "low", "high")}
    assert distilled["accuracy"]["low_cosine"] == 0.97
    worst = ["distilled *", "talk", "-2.50–2.50", "2", "1.25", "0.9700"]
    assert tables.worst(doc).rows == [worst, [worst[0], "meeting", *worst[2:]]]
    assert tables.accuracy(doc).rows[-1][9] == "12.00 [12.00, 12.00]"
    assert distilled["accuracy"]["by_file"] == {"talk": pytest.approx(18), "meeting": pytest.approx(18)}
    assert distilled["paper"] == {"der": 49.726088, "latency_s": 0.058739, "size_mib": 13.61}
    assert doc["answer"].startswith("None within tolerance") and not distilled["trained"]
    assert doc["lost"] == {
        "openvino": "needs openvino",
        "unbuildable": "cannot be built: RuntimeError: x",
        "broken": "pipeline: ValueError: no",
    }
    assert json.loads(json.dumps(doc, allow_nan=False)) == doc


def test_latency_and_der_stand_beside_the_papers_and_the_floor() -> None:
    trained = {"baseline": True, "baseline-twin": True, "distilled": True}
    doc = document(made(trained=trained), "now")
    rows = tables.pareto(doc).rows
    # 2 points for 10 % less time: neither beats the other; then the paper's 0.058739 s of 0.065127, 49.73 against 44.86
    assert rows[0] == ["distilled", "90.0 [90.0, 90.0]", "+2.00 [+1.50, +2.50]", "yes"]
    assert rows[1][0] == "baseline" and rows[1][-1] == "yes"
    assert ["paper: knowledge distillation", "90.2", "+4.87", ""] in rows
    # 6.1 G at 200 G a second; its median round takes 61 ms
    assert tables.floor(doc).rows == [["baseline", "6.10", "0.00", "30.5", "2.00"]]
    assert by_name(doc, "distilled")["arithmetic"] is None


def test_what_is_infinite_becomes_null() -> None:
    kind = summarize(Measurement({n: Rounds([0.1] * 3, [{}] * 3, [0] * 3) for n in ("baseline", "distilled")}, {}), {})
    assert kind.latencies["distilled"].to_baseline.high == float("inf")  # type: ignore[union-attr]
    doc = document(made(kinds={"pipeline": kind}, accuracy={}), "now")
    expected = {"floor": None, "control": None, "unquiet": 0, "processes": 0, "intervals": "within one process"}
    assert doc["kinds"]["pipeline"] == expected
    assert "no control" in doc["missing"]["pipeline"]
    json.dumps(doc, allow_nan=False)


def test_every_key_is_documented() -> None:
    gate = [{"variant": "distilled", "kind": "DER", "change": 1.0, "low": 0.5, "high": 2.0, "verdict": "pass"}]
    doc = document(made(), "2026", [past(read(FIRST), "first")], gate)
    free = {"kinds", "stages_s", "by_file", "lost", "latency", "missing"}  # keyed by names
    text = (ROOT / "docs/report.md").read_text()

    def keys(value: Any, inside: str = "") -> set[str]:
        if isinstance(value, list):
            return set().union(*(keys(item) for item in value))
        if not isinstance(value, dict):
            return set()
        own = set() if inside in free else set(value)
        return own.union(*(keys(item, key) for key, item in value.items() if key != "conditions"))

    assert len(keys(doc)) > 50
    assert [key for key in sorted(keys(doc)) if f"`{key}`" not in text] == []
    assert f"`{doc['schema']}`" in text


@pytest.mark.parametrize(
    ("changes", "topic", "words"),
    [
        ({"accuracy": {}}, "accuracy", "not scored"),
        ({"memory": {}}, "memory", "not measured for any variant"),
        ({"memory": {"baseline": 80.0, "baseline-twin": 80.0}}, "memory", "not measured for distilled"),
        ({"kinds": {}}, "pipeline", "pipeline latency was not measured"),
        ({"references": {}, "accuracy": {}}, "accuracy", "who spoke when"),
        ({"conditions": {}}, "conditions", "does not say"),
        ({}, "variants", "broken (pipeline: ValueError: no)"),
        ({}, "gate", "did not run"),
        ({}, "history", "no stored run"),
        ({}, "paper", "+ ONNX"),
        ({}, "training", "distilled"),
    ],
)
def test_a_partial_run_says_what_is_missing(changes: dict[str, Any], topic: str, words: str) -> None:
    assert words in document(made(**changes), "now")["missing"][topic]


def test_a_kind_that_was_not_measured_is_missing() -> None:
    doc = document(made(kinds={"model-only": made().kinds["model-only"]}), "now")
    assert "pipeline latency was not measured" in doc["missing"]["pipeline"] and "model-only" not in doc["missing"]
    assert doc["answer"] == "The pipeline was not measured."


def test_a_whole_run_misses_nothing_that_it_has() -> None:
    doc = document(made(), "now", [past(read(FIRST), "first")], gate=[])
    assert set(doc["missing"]) == {"variants", "paper", "training"}


def test_a_stored_run_goes_as_far_as_it_goes() -> None:
    saved = json.loads(FIRST.read_text())
    doc = read(FIRST)
    info = next(b for b in saved["benchmarks"] if b["name"] == "bench_pipeline[shared-folded]")["extra_info"]
    folded = by_name(doc, "shared-folded")
    assert folded["latency"]["pipeline"]["to_baseline"]["estimate"] == info["ratio_to_baseline"]["estimate"]
    assert folded["latency"]["pipeline"]["parent_verdict"] == "within noise"
    assert folded["accuracy"]["der"] == pytest.approx(info["der"])
    assert folded["accuracy"]["increase"] == {"points": 0.0, "low": None, "high": None}
    assert folded["accuracy"]["confusion"] is None and folded["accuracy"]["by_file"] is None
    assert by_name(doc, "distilled-int8")["accuracy"]["increase"]["points"] == pytest.approx(16.134, abs=0.001)
    assert folded["memory_mib"] == info["memory_mib"] and len(folded["latency"]["pipeline"]["rounds_s"]) == 42
    assert doc["conditions"]["machine"]["cpu"].startswith("Intel") and "in sum only" in doc["missing"]["accuracy"]
    assert folded["accuracy"]["verdict"] == "not resolved"  # runs of that time judged by one hearing
    assert doc["answer"].startswith("None within tolerance is distinguishable") and "Not resolved: s" in doc["answer"]
    assert doc["timeline"] is None
    assert tables.worst(doc).rows == [] and folded["accuracy"]["low_cosine"] is None  # not stored at that time


def test_what_int8_does_is_stored_and_read(tmp_path: Path) -> None:
    saved, findings = json.loads(FIRST.read_text()), made()
    benchmark = next(b for b in saved["benchmarks"] if b["name"] == "bench_pipeline[distilled]")
    latency = findings.kinds["pipeline"].latencies["distilled"]
    benchmark["extra_info"] |= extra_info(latency, findings, "distilled", step=0.25)
    (tmp_path / "run.json").write_text(json.dumps(saved))
    now, then = (by_name(doc, "distilled")["accuracy"] for doc in (document(findings, ""), read(tmp_path / "run.json")))
    for key in ("mean_disagreement", "low_cosine", "worst_chunks"):
        assert now[key] and then[key] == now[key]


def test_a_stored_verdict_is_read_and_one_that_there_is_not_is_refused(tmp_path: Path) -> None:
    saved = json.loads(FIRST.read_text())
    info = next(b for b in saved["benchmarks"] if b["name"] == "bench_pipeline[shared-folded]")["extra_info"]
    info["der_judgement"] = {
        "verdict": "worse", "points": 0.5, "low": 0.25, "high": None, "identical": False, "heard": 16
    }  # fmt: skip
    path = tmp_path / "run.json"
    path.write_text(json.dumps(saved))
    found = by_name(read(path), "shared-folded")["accuracy"]
    assert found["increase"] == {"points": 0.5, "low": 0.25, "high": None}
    assert (found["verdict"], found["heard"]) == ("worse", 16)
    info["der_judgement"]["verdict"] = "splendid"
    path.write_text(json.dumps(saved))
    with pytest.raises(UserError, match="splendid"):
        read(path)


def test_intervals_of_percentiles_are_kept_and_shown(tmp_path: Path) -> None:
    kind = made().kinds["pipeline"]
    baseline = replace(
        kind.latencies["baseline"],
        percentiles={"p50": 0.061, "p95": 0.062, "p99": 0.065, "max": 0.066},
        intervals={"p95": (0.0615, 0.0655), "p99": (0.063, float("inf"))},
    )
    doc = document(made(kinds={"pipeline": replace(kind, latencies={"baseline": baseline})}), "now")
    latency = by_name(doc, "baseline")["latency"]["pipeline"]
    assert latency["percentile_intervals_s"] == {"p95": [0.0615, 0.0655], "p99": [0.063, None]}
    assert tables.tails(doc).rows == [
        ["baseline", "pipeline", "24", "61.0", "–", "62.0 [61.5, 65.5]", "65.0 [63.0, ∞]", "66.0"]
    ]
    del latency["percentile_intervals_s"]  # documents of before
    assert tables.tails(doc).rows[0][5:7] == ["62.0", "65.0"]


def test_stored_intervals_of_percentiles_are_taken_up(tmp_path: Path) -> None:
    saved = json.loads(FIRST.read_text())
    info = next(b for b in saved["benchmarks"] if b["name"] == "bench_pipeline[shared-folded]")["extra_info"]
    info |= {"p95_interval_s": [0.1, 0.2], "p99_interval_s": [0.1, 1e9]}
    (tmp_path / "newer.json").write_text(json.dumps(saved))
    doc = read(tmp_path / "newer.json")
    found = by_name(doc, "shared-folded")["latency"]["pipeline"]["percentile_intervals_s"]
    assert found == {"p95": [0.1, 0.2], "p99": [0.1, None]}
    older = by_name(doc, "baseline")["latency"]["pipeline"]["percentile_intervals_s"]
    assert older == {"p95": None, "p99": None}


def test_a_stored_gate_has_its_rows(tmp_path: Path) -> None:
    saved = json.loads(FIRST.read_text())
    judged = {"kind": "pipeline", "variant": "distilled", "against": "main", "threshold": 0.05, "verdict": "regressed",
              "why": "slow"}  # fmt: skip
    saved["diartbench"]["gate"] = {
        "judgements": [{**judged, "ratio": {"estimate": 1.1, "low": 1.05, "high": 1e9}}, {**judged, "ratio": None}],
        "failures": [{"kind": "accuracy", "variant": "shared-trunk", "why": "DER +2.00"}],
    }
    (tmp_path / "gated.json").write_text(json.dumps(saved))
    doc = read(tmp_path / "gated.json")
    assert doc["gate"][0]["change"] == pytest.approx(10) and doc["gate"][0]["high"] is None
    assert "gate" not in doc["missing"] and "gate" not in doc["conditions"]
    assert tables.gate(doc).rows == [
        ["distilled", "pipeline", "main", "+10.0 [+5.0, ∞]", "regressed", "slow"],
        ["distilled", "pipeline", "main", "–", "regressed", "slow"],
        ["shared-trunk", "accuracy", "–", "–", "failed", "DER +2.00"],
    ]


def test_older_runs_are_judged_only_under_equal_conditions() -> None:
    before = document(made(), "2026-01-01")
    slower = by_name(before, "distilled")["latency"]["pipeline"]["to_baseline"]
    slower |= {"estimate": 0.7, "low": 0.69, "high": 0.71}
    elsewhere = {**before, "made": "2025-01-01", "conditions": {**before["conditions"], "threads": 2}}
    doc = finished(document(made(), "2026-02-02"), [past(before, "same"), past(elsewhere, "elsewhere")])
    first, second = doc["history"]
    assert (first["label"], second["label"]) == ("elsewhere", "same")  # in order of time
    assert first["differing"] == ["threads: 2 then, 1 now"] and {ratio["now"] for ratio in first["ratios"]} == {None}
    now = {(ratio["kind"], ratio["variant"]): ratio["now"] for ratio in second["ratios"]}
    assert now["pipeline", "distilled"] == "higher" and now["pipeline", "baseline-twin"] == "same within intervals"


def test_stored_runs_are_read_and_others_passed_over(tmp_path: Path) -> None:
    (tmp_path / "machine").mkdir()
    (tmp_path / "machine/0001_a.json").write_text(FIRST.read_text())
    (tmp_path / "0002_b.json").write_text("{")
    (tmp_path / "0003_c.json").write_text('{"benchmarks": [{"name": "somebody else\'s"}]}')
    (found,) = stored_runs(tmp_path)
    assert found["label"] == "0001_a" and len(found["ratios"]) == 20
    assert stored_runs(tmp_path / "none") == []


@pytest.mark.parametrize(
    ("text", "pattern"),
    [
        ("{", "no stored run"),
        ("[]", "no stored run"),
        ('{"benchmarks": []}', "no benchmark"),
        ('{"schema": "diartbench-results/99"}', "this version reads"),
        ('{"benchmarks": [{"group": "pipeline", "extra_info": {"variant": "x"}}]}', "no stored run"),
    ],
)
def test_what_is_no_run_is_refused_in_a_line(tmp_path: Path, text: str, pattern: str) -> None:
    (tmp_path / "x.json").write_text(text)
    with pytest.raises(UserError, match=rf"^\S*x\.json: .*{pattern}[^\n]*$"):
        read(tmp_path / "x.json")


def test_a_document_is_read_as_it_was_written(tmp_path: Path) -> None:
    doc = document(made(), "now")
    (tmp_path / "results.json").write_text(json.dumps(doc))
    assert read(tmp_path / "results.json") == doc and missing(doc) == doc["missing"]


def test_timeline_names_speakers_by_the_reference_and_groups_what_is_equal() -> None:
    swapped = tuple((start, end, {"a": "b", "b": "a"}[speaker]) for start, end, speaker in SAID)
    extra = (*OTHER, (9.0, 9.5, "z"))
    found = timeline(
        {
            "baseline": scored(5),
            "swapped": scored(5, swapped),
            "distilled": scored(6, OTHER),
            "extra": scored(6, extra),
        },
        {"talk": SAID},
    )
    assert found is not None and found["file"] == "talk" and found["speakers"] == ["a", "b", "unmatched z"]
    assert found["tracks"] == [
        {"names": ["reference"], "turns": [[0.0, 4.0, 0], [4.0, 9.0, 1]]},
        {"names": ["baseline", "swapped"], "turns": [[0.0, 4.0, 0], [4.0, 9.0, 1]]},
        {"names": ["distilled"], "turns": [[0.0, 5.0, 0], [5.0, 9.0, 1]]},
        {"names": ["extra"], "turns": [[0.0, 5.0, 0], [5.0, 9.0, 1], [9.0, 9.5, 2]]},
    ]


def test_timeline_without_reference_or_turns() -> None:
    found = timeline({"baseline": scored(5), "distilled": scored(6, OTHER)}, {})
    assert found is not None and [track["names"] for track in found["tracks"]] == [["baseline"], ["distilled"]]
    assert found["speakers"] == ["a", "b"]
    assert timeline({}, {}) is None and timeline({"baseline": scored(5, ())}, {}) is None


def test_turns_are_plain_and_in_order() -> None:
    from pyannote.core import Annotation, Segment

    annotation = Annotation()
    annotation[Segment(2, 3.00049), "x"] = "b"
    annotation[Segment(0, 1), "y"] = 7
    assert turns(annotation) == ((0.0, 1.0, "7"), (2.0, 3.0, "b"))


def test_drift_is_in_the_ratio_if_the_variant_creeps() -> None:
    spell = 1 + 0.3 * np.sin(np.arange(24))
    creeping = replace(rounds(1), seconds=[float(0.06 * s * 1.01**i) for i, s in enumerate(spell)])
    steady = replace(rounds(1), seconds=[float(0.06 * s) for s in spell])
    kind = summarize(Measurement({"baseline": steady, "baseline-twin": steady, "distilled": creeping}, {}), {})
    facts = by_name(document(made(kinds={"pipeline": kind}), "now"), "distilled")["latency"]["pipeline"]
    assert facts["drift_to_baseline"]["estimate"] == pytest.approx(1.01**23)
    rows = {row[0]: row[-1] for row in tables.creep(document(made(kinds={"pipeline": kind}), "now")).rows}
    assert rows == {"baseline": "–", "baseline-twin": "–", "distilled": "creeps up"}
