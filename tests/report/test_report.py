"""The tables as text, from results made by hand."""

import json
import math
import os
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest

from bench.accuracy.der import Accuracy, FileScore
from bench.accuracy.errors import Components
from bench.accuracy.evidence import Evidence
from bench.accuracy.rows import Row
from bench.accuracy.verdict import Judgement
from bench.history.compare import differing_conditions, judge, stored_ratios
from bench.latency.floor import Floor, Operations
from bench.latency.interleave import Measurement, Rounds
from bench.latency.results import summarize
from bench.report.extra_info import extra_info
from bench.report.findings import Findings
from bench.report.fitted import WIDTH, terminal_width
from bench.report.terminal import render
from bench.statistics import Ratio

NAMES = ["baseline", "baseline-twin", "distilled", "distilled-int8"]
CONFUSION = {"baseline": 5.0, "baseline-twin": 5.0, "distilled": 6.0, "distilled-int8": 9.0}  # seconds of 50
INT8 = Judgement("worse", 8.0, 7.0, 9.0, True, heard=8)
SPEED = {"baseline": 1.0, "baseline-twin": 1.0, "distilled": 0.9, "distilled-int8": 0.6}


def rounds(factor: float) -> Rounds:
    """Eight blocks of three rounds at `factor` times 60, 61, 62 ms."""
    seconds = [factor * (0.060 + 0.001 * (i % 3)) for i in range(24)]
    stages = [{"segmentation": 0.2 * s, "embedding": 0.7 * s, "rest": 0.1 * s} for s in seconds]
    return Rounds(seconds, stages, [i // 3 for i in range(24)])


def accuracy(confusion: float) -> Accuracy:
    """Two files of 50 s of speech each, with some confusion."""
    der, labels = Components(50, 1, 2, confusion), Components(50, 0, 0, confusion)
    near = ((0.97, 1), (1.0, 19)), (Row(10.0, 15.0, 1, 0.5, 0.97), Row(3.0, 8.0, 3, 4.0, 0.98))
    file = FileScore("talk", der, labels, 0.9, 0.99, (1.25,), (), (der,), (labels,), 10.0, "", 0.0, *near)
    return Accuracy((file, replace(file, name="meeting", worst=(Row(-2.5, 2.5, 2, 1.25, 0.5),))))


@pytest.fixture
def findings() -> Findings:
    measurement = Measurement({name: rounds(SPEED[name]) for name in NAMES}, {"broken": "ValueError: no"}, unquiet=2)
    parents = {"baseline-twin": "baseline", "distilled": "baseline", "distilled-int8": "distilled"}
    kind = summarize(measurement, parents)
    conditions = {
        "machine": {"cpu": "Test CPU", "flags": ["avx2"]}, "threads": 1, "cpus": [0], "embedding": "bundled embedding",
        "segmentation": "bundled segmentation", "timed_on": ["talk"], "scored_on": ["talk", "meeting"],
        "settings": {"duration": 5, "step": 0.25, "latency": 3, "tau": 0.5, "rho": 0.4, "delta": 1.5},
    }  # fmt: skip
    return Findings(
        kinds={"model-only": kind, "pipeline": kind},
        accuracy={name: accuracy(CONFUSION[name]) for name in NAMES},
        judgements={"distilled-int8": INT8},
        in_int8=["distilled-int8"],
        evidence=Evidence({name: [accuracy(CONFUSION[name])] * 9 for name in NAMES}, 2, {}),
        sizes=dict.fromkeys(NAMES, 16.62),
        memory={},
        trained={name: name != "distilled" for name in NAMES},
        skipped={"openvino": "needs openvino"},
        notes=["bad.wav: unreadable audio"],
        conditions=conditions,
        compared={},
        floors={"baseline": Floor(Operations(6_100_000_000), Operations(2e11, 8e11))},
    )  # fmt: skip


def row(text: str, title: str, name: str) -> str:
    """The line of variant `name` in the table `title`."""
    return next(line for line in text.split(title, 1)[1].splitlines() if line.split()[:1] == [name])


def test_paper_stands_beside_our_figures(findings: Findings) -> None:
    text = render(findings)
    distilled = row(text, "Latency, pipeline", "distilled")
    # paper: DER 49.73, 58.7 ms, 90.2 % of the baseline; here: (1 + 2 + 6) / 50 = 18 %, 0.9 x 61 ms, 90 %
    assert distilled.split()[:9] == ["distilled", "*", "18.00", "49.73", "54.9", "0.8", "58.7", "90.0", "[90.0,"]
    assert distilled.split()[9:12] == ["90.0]", "90.2", "faster"] and distilled.split()[-2:] == ["16.62", "13.61"]
    int8 = row(text, "Latency, pipeline", "distilled-int8")
    assert "66.7 [66.7, 66.7]" in int8 and int8.count("faster") == 2  # of the parent: 0.6 / 0.9
    assert "91.9" in int8.split()  # the paper's: 54.0 / 58.7
    model_only = row(text, "Latency, model-only", "distilled")
    assert "54.9" in model_only and "58.7" not in model_only  # the paper measured the pipeline only


def test_nothing_is_cut_off_or_left_out(findings: Findings) -> None:
    text = render(findings)
    assert "…" not in text and "left out for want" not in text


@pytest.mark.parametrize("width", [100, 80, 60])
def test_tables_fit_the_terminal_and_say_what_they_leave_out(findings: Findings, width: int) -> None:
    text = render(replace(findings, compared={"2026-01-01": stored()}), width)
    assert "…" not in text and max(map(len, text.splitlines())) <= width
    pipeline = text.split("Latency, pipeline")[1].split("Accuracy")[0]
    head, _, cells = (line.split() for line in pipeline.splitlines()[2:5])
    assert head[0] == "variant" and cells[0] == "baseline"
    if width == 100:
        assert " ".join(head) == "variant DER % mean ms % of baseline [95 %] verdict % of parent [95 %] MiB"
        assert "left out for want of width: paper, std, parent verdict" in " ".join(pipeline.split())
    assert "% of baseline [95 %]" in " ".join(head) and row(text, "Latency, pipeline", "distilled-int8")


def test_the_width_is_that_of_a_terminal_and_wide_elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("COLUMNS", raising=False)
    monkeypatch.setattr("shutil.get_terminal_size", lambda fallback: os.terminal_size((100, 24)))
    assert (terminal_width(True), terminal_width(False)) == (100, WIDTH)
    monkeypatch.setenv("COLUMNS", "100")
    assert terminal_width(False) == 100
    monkeypatch.setattr("shutil.get_terminal_size", lambda fallback: os.terminal_size((400, 24)))
    assert terminal_width(True) == WIDTH


@pytest.mark.parametrize("encoding", ["ascii", "latin-1"])
def test_what_an_encoding_lacks_is_replaced_and_the_lines_stay(
    findings: Findings, monkeypatch: pytest.MonkeyPatch, encoding: str
) -> None:
    lines = len(render(findings).splitlines())
    monkeypatch.setattr("sys.__stdout__", SimpleNamespace(encoding=encoding))
    text = render(findings)
    assert text.encode(encoding) and len(text.splitlines()) == lines and "-----" in text


def test_floor(findings: Findings) -> None:
    text = render(findings)
    assert "200 G operations/s, in int8 800" in text
    # 6.1 G at 200 G a second; its median round takes 61 ms
    assert row(text, "Arithmetic floor", "baseline").split() == ["baseline", "6.10", "0.00", "30.5", "61.0", "2.00"]


def test_pareto_has_the_paper_in_it_and_only_the_unbeaten_on_the_front(findings: Findings) -> None:
    text = render(findings)
    assert row(text, "Latency x DER", "baseline").split()[-1] == "yes"
    assert "baseline-twin" not in text.split("Latency x DER")[1].split("The paper's claims")[0]
    # Table III: 0.058739 s of 0.065127, DER 49.73 against 44.86
    paper = next(line for line in text.splitlines() if line.startswith(" paper: knowledge distillation"))
    assert paper.split()[-2:] == ["90.2", "+4.87"]
    # 8 points for 40 % less time: neither beats the other; the untrained one has no place
    assert row(text, "Latency x DER", "distilled-int8").split()[-2:] == ["+8.00", "yes"]
    assert " distilled " not in text.split("Latency x DER")[1].split("The paper's claims")[0]
    free = replace(findings, judgements={"distilled-int8": Judgement("within tolerance", 0.0, 0.0, 0.0, True, True)})
    assert row(render(free), "Latency x DER", "baseline").split()[-1] == "+0.00"
    assert row(render(free), "Latency x DER", "distilled-int8").split()[-1] == "yes"


def test_accuracy_and_stages(findings: Findings) -> None:
    text = render(findings)
    int8 = row(text, "Accuracy", "distilled-int8")
    # confusion 9 of 50 s against 5 of 50 s: 8 points more, in either file
    assert "24.00" in int8 and "+8.00 [+7.00, +9.00]" in int8 and "worse" in int8 and "0.900000" in int8
    # its labels differ in 9 of 50 s under all perturbations; of 20 cosines one is lower than 1
    assert "18.00 [18.00, 18.00]" in int8 and "0.9700" in int8
    assert "its labels disagree with its own in 0.00 [0.00, 0.00] % of speech" in " ".join(text.split())
    worst = text.split("Worst chunks in int8")[1].split("Stages")[0]
    lines = [line.split() for line in worst.splitlines() if "distilled" in line]
    assert lines == [
        ["distilled-int8", "meeting", "-2.50-2.50", "2", "1.25", "0.5000"],
        ["distilled-int8", "talk", "10.00-15.00", "1", "0.50", "0.9700"],
        ["distilled-int8", "talk", "3.00-8.00", "3", "4.00", "0.9800"],
    ]
    assert "Worst chunks" not in render(replace(findings, in_int8=()))
    stages = row(text, "Stages of the pipeline", "baseline").split()
    assert stages[1:5] == ["12.2", "42.7", "6.1", "61.0"]  # 20, 70 and 10 % of 61 ms
    assert stages[5:] == ["61.0", "62.0", "62.0", "-", "62.0"]  # p50, p90, p95 without its interval, p99 of 24 rounds
    baseline = findings.kinds["pipeline"].latencies["baseline"]
    percentiles, intervals = baseline.percentiles | {"p99": 0.065}, {"p95": (0.0615, 0.0655), "p99": (0.063, math.inf)}
    longer = replace(baseline, percentiles=percentiles, intervals=intervals)
    kind = replace(findings.kinds["pipeline"], latencies={"baseline": longer})
    line = row(
        render(replace(findings, kinds={**findings.kinds, "pipeline": kind})), "Stages of the pipeline", "baseline"
    )
    assert "62.0 [61.5, 65.5]" in line and "65.0 [63.0, ∞]" in line


def test_percentiles_of_every_kind_and_of_how_many_rounds(findings: Findings) -> None:
    alone = findings.kinds["model-only"]
    plain = replace(alone, latencies={name: replace(x, stages={}) for name, x in alone.latencies.items()})
    text = render(replace(findings, kinds={**findings.kinds, "model-only": plain}))
    percentiles = row(text, "Percentiles, model-only", "baseline").split()[1:]
    assert percentiles == ["61.0", "62.0", "62.0", "-", "62.0"]  # as below
    assert "Percentiles, pipeline" not in text  # they stand beside the stages
    note = "pipeline: 24 rounds are too few for some intervals of percentiles: p95 takes 72, p99 takes 368."
    assert note in " ".join(text.split())
    pipeline = findings.kinds["pipeline"]
    few = "rounds are too few for some intervals of percentiles"
    for count, expected in ((71, f"71 {few}: p95 takes 72, p99 takes 368."), (300, f"300 {few}: p99"), (368, "")):
        latencies = {name: replace(x, rounds=400) for name, x in pipeline.latencies.items()}
        latencies["distilled"] = replace(latencies["distilled"], rounds=count)
        kinds = {**findings.kinds, "pipeline": replace(pipeline, latencies=latencies)}
        found = " ".join(render(replace(findings, kinds=kinds)).split())
        assert expected in found and (f"pipeline: {count} {few}" in found) == bool(expected)


def test_notes_and_answer(findings: Findings) -> None:
    text = " ".join(render(findings).split())
    for expected in (
        "Test CPU (avx2), 1 thread, pinned to CPU 0", "scored on talk, meeting", "bad.wav: unreadable audio",
        "skipped openvino: needs openvino", "* an untrained student", "pipeline: broken failed: ValueError: no",
        "2 times the process did not get quiet", "differences up to 0.0% are noise here",
        "Answer: none within tolerance is distinguishable from the baseline. Faster, but left out: "
        "distilled-int8 (DER +8.00 [+7.00, +9.00] points), distilled (untrained).",
    ):  # fmt: skip
        assert expected in text


def test_extra_info(findings: Findings) -> None:
    info = extra_info(findings.kinds["pipeline"].latencies["distilled-int8"], findings, "distilled-int8", step=0.25)
    assert info["ratio_to_baseline"]["estimate"] == pytest.approx(0.6)
    assert info["ratio_to_parent"]["estimate"] == pytest.approx(0.6 / 0.9)
    assert info["real_time_factor"] == pytest.approx(0.6 * 0.061 / 0.25)
    assert info["der"] == pytest.approx(24) and info["der_increase"] == pytest.approx(8)
    assert info["mean_disagreement"] == {key: pytest.approx(18) for key in ("points", "low", "high")}
    row = {"file": "meeting", "start": -2.5, "end": 2.5, "speaker": 2, "spoken": 1.25, "cosine": 0.5}
    assert info["worst_chunks"][0] == row and len(info["worst_chunks"]) == 3 and info["low_cosine"] == 0.97
    assert info["p99_s"] is None and info["max_s"] == pytest.approx(0.6 * 0.062)
    assert info["p95_interval_s"] is None and info["p99_interval_s"] is None  # of 24 rounds


def test_an_unbounded_interval_is_kept_as_plain_json(findings: Findings) -> None:
    baseline = findings.kinds["pipeline"].latencies["baseline"]
    longer = replace(baseline, intervals={"p95": (0.061, 0.063), "p99": (0.063, math.inf)})
    info = extra_info(longer, findings, "baseline", step=0.25)
    assert (info["p95_interval_s"], info["p99_interval_s"]) == ([0.061, 0.063], [0.063, 1e9])
    json.dumps(info, allow_nan=False)


def stored(cpu: str = "Test CPU") -> dict[str, Any]:
    ratio = {"estimate": 0.7, "low": 0.69, "high": 0.71}
    return {
        "benchmarks": [
            {
                "group": "pipeline",
                "stats": {"rounds": 24},
                "extra_info": {"variant": "distilled", "ratio_to_baseline": ratio},
            },
            {"group": None, "stats": {}, "extra_info": {}},  # somebody else's benchmark
        ],
        "diartbench": {
            "machine": {"cpu": cpu}, "threads": 1, "embedding": "bundled embedding",
            "segmentation": "bundled segmentation",
            "settings": {"duration": 5, "step": 0.25, "latency": 3, "tau": 0.5, "rho": 0.4, "delta": 1.5},
        },
    }  # fmt: skip


def test_stored_run_on_the_same_machine_is_judged(findings: Findings) -> None:
    text = render(replace(findings, compared={"2026-01-01": stored()}))
    line = next(line for line in text.split("Compared with")[1].splitlines() if " distilled " in line)
    assert "70.0 [69.0, 71.0]" in line and "90.0 [90.0, 90.0]" in line and "higher" in line


def test_stored_run_of_another_machine_is_not(findings: Findings) -> None:
    text = render(replace(findings, compared={"2026-01-01": stored("Other CPU")})).split("Compared with")[1]
    assert "no verdict" in text and "CPU: Other CPU then, Test CPU now" in text
    line = next(line for line in text.splitlines() if " distilled " in line)
    assert line.split()[-1] == "-"


def test_foreign_json_has_no_ratios() -> None:
    assert list(stored_ratios({"benchmarks": [{"name": "x"}]})) == []
    assert differing_conditions({}, {}) == ["it does not say on what it was measured"]


def test_other_models_are_named_and_never_judged(findings: Findings) -> None:
    other = stored()
    other["diartbench"]["segmentation"] = "pyannote/segmentation (0b5b3216d60a)"
    text = render(replace(findings, compared={"2026-01-01": other})).split("Compared with")[1]
    assert "no verdict" in text
    assert "segmentation: pyannote/segmentation (0b5b3216d60a) then, bundled segmentation now" in " ".join(text.split())


def test_only_the_settings_that_differ_are_named() -> None:
    common = {"threads": "1", "embedding": "e", "segmentation": "s", "machine": {"cpu": "c"}}
    then, now = (common | {"settings": {"step": step, "latency": 3.0}} for step in (0.25, 0.5))
    assert differing_conditions({"diartbench": then}, now) == ["step: 0.25 then, 0.5 now"]
    assert differing_conditions({"diartbench": common}, common | {"settings": {"step": 0.5}}) == [
        "step: None then, 0.5 now"
    ]


def test_judge_by_whether_intervals_meet() -> None:
    middle = Ratio(1.0, 0.9, 1.1, 10)
    assert judge(middle, Ratio(1.3, 1.2, 1.4, 10)) == "higher"
    assert judge(middle, Ratio(0.8, 0.7, 0.85, 10)) == "lower"
    assert judge(middle, Ratio(1.2, 1.1, 1.4, 10)) == "same within intervals"
