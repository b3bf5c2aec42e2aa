"""Starts from nothing: made-up ones, and a real process of a small tree."""

from collections.abc import Callable, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import made
import numpy as np
import pytest
from made import CONDITIONS

from bench.latency.interleave import Interrupted
from bench.latency.results import TWIN, summarize
from bench.report.document import document
from bench.report.findings import Findings
from bench.report.page import page
from bench.report.tables import ledger
from bench.report.terminal import render
from bench.run import cold
from bench.run.cold import ColdError, ColdStarts, cold_start
from bench.run.options import Options
from variants import UserError

SECONDS = {"baseline": 4.0, TWIN: 4.0, "distilled": 2.0}
PARENTS = {TWIN: "baseline", "distilled": "baseline"}


class Starts:
    """Made-up starts of as many seconds as `SECONDS` says; `acts` says what else happens."""

    def __init__(self, acts: Callable[[int, str], None] = lambda count, name: None) -> None:
        self.now, self.names, self.acts = 0.0, [], acts  # type: tuple[float, list[str], Any]

    def __call__(self, name: str, chunk: Path, values: Mapping[str, Any]) -> dict[str, float]:
        assert np.load(chunk).shape == (80000, 1) and values["threads"] == 1
        self.names.append(name)
        self.acts(len(self.names), name)
        self.now += SECONDS[name]
        return {"import": SECONDS[name] / 2, "load": SECONDS[name] / 4, "first chunk": SECONDS[name] / 4}

    def measurer(self, options: Options, oracle: bool = False) -> ColdStarts:
        item = SimpleNamespace(chunk=SimpleNamespace(data=np.zeros((80000, 1), np.float32)))
        models: Any = type("Models", (dict,), {"oracle": oracle})(SECONDS)
        corpus: Any = SimpleNamespace(streams=[(None, [item] * 3)])
        return ColdStarts(models, corpus, options, self, lambda: self.now)


def ignored(done: float) -> None: ...


def test_one_start_of_every_variant_after_the_other(options: Callable[..., Options]) -> None:
    starts, shares = Starts(), []  # type: tuple[Starts, list[float]]
    found = starts.measurer(options("--budget", "60")).measure("cold-start", shares.append)
    blocks = [starts.names[i : i + 3] for i in range(0, len(starts.names), 3)]
    assert len(blocks) == 1 + 6 and all(set(block) == set(SECONDS) for block in blocks)  # 10 s each, the first untimed
    assert len({tuple(block) for block in blocks}) > 1
    assert found.processes == {number: number for number in range(6)}
    assert found.rounds["distilled"].seconds == [2.0] * 6 and found.rounds["distilled"].blocks == list(range(6))
    assert shares == sorted(shares) and shares[-1] == 1.0
    short = Starts()
    short.measurer(options("--budget", "0")).measure("cold-start", ignored)
    assert len(short.names) == 3 * (1 + 5)
    kind = summarize(found, PARENTS)
    ratio = kind.latencies["distilled"].to_baseline
    assert ratio is not None and ratio.estimate == pytest.approx(0.5) and ratio.processes == 6 == kind.processes
    assert kind.latencies["distilled"].stages == {"import": 1.0, "load": 0.5, "first chunk": 0.5}
    findings = Findings({"cold-start": kind}, {}, {}, {}, {}, {}, [], CONDITIONS, {})
    text = render(findings)
    assert "Latency, cold-start (intervals over 6 processes)" in text and "between processes" not in text
    assert "Stages of the cold-start, mean ms" in text and "first chunk" in text
    doc = document(findings, "now")
    table = ledger(doc, "cold-start")
    assert "A start from nothing" in page(doc) and "first chunk" in page(doc)
    assert ["distilled", "1000.0", "500.0", "500.0", "2000.0"] in [list(row) for row in table.rows]


def test_one_that_fails_drops_out_and_ctrl_c_keeps_the_rest(options: Callable[..., Options]) -> None:
    def acts(count: int, name: str) -> None:
        if name == "distilled":
            raise ColdError("ValueError: no")
        if count == 10:
            raise KeyboardInterrupt

    with pytest.raises(Interrupted) as stopped:
        Starts(acts).measurer(options()).measure("cold-start", ignored)
    measurement = stopped.value.measurement
    assert measurement.failures == {"distilled": "ValueError: no"}
    assert len(measurement.rounds["baseline"].seconds) >= 3


def test_an_oracle_is_refused(options: Callable[..., Options]) -> None:
    with pytest.raises(UserError, match="oracle is no segmentation"):
        Starts().measurer(options(), oracle=True).measure("cold-start", ignored)


TREE = """
import json, sys, time
def main():
    order = json.loads(sys.stdin.read())
    if order["name"] == "torn":
        print("ValueError: no weights", file=sys.stderr)
        sys.exit(1)
    begin = order["begin"]
    assert 0 < time.perf_counter() - begin < 60 and order["values"] == {"threads": 1}  # one clock for both processes
    print(json.dumps({"begin": begin, "import": begin + 3, "load": begin + 5, "first chunk": begin + 6}))
"""


def test_a_process_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "bench/run").mkdir(parents=True)
    for name, text in {"__init__": "", "run/__init__": "", "run/first": TREE}.items():
        (tmp_path / f"bench/{name}.py").write_text(text)
    monkeypatch.setattr(cold, "TREE", tmp_path)
    found = cold_start("baseline", tmp_path / "chunk.npy", {"threads": 1})
    assert found == pytest.approx({"import": 3, "load": 2, "first chunk": 1})
    with pytest.raises(ColdError, match=r"^ValueError: no weights$"):
        cold_start("torn", tmp_path / "chunk.npy", {"threads": 1})
    monkeypatch.setattr(cold, "START", "import sys; sys.exit(3)")
    with pytest.raises(ColdError, match=r"^exit code 3$"):
        cold_start("baseline", tmp_path / "chunk.npy", {"threads": 1})


def test_the_real_stages(options: Callable[..., Options], tmp_path: Path) -> None:
    np.save(tmp_path / "chunk.npy", np.zeros((80000, 1), np.float32))
    found = cold_start("shared-folded", tmp_path / "chunk.npy", options("--threads", "1").values)
    assert list(found) == ["import", "load", "first chunk"] and min(found.values()) > 0


@pytest.mark.parametrize(
    ("arguments", "collected"),
    [
        ((), ["model_only", "pipeline"]),
        (("-m", "cold_start"), ["cold_start"]),
        (("-k", "cold_start"), ["cold_start"]),
    ],
)
def test_only_where_it_is_named(
    made_project: pytest.Pytester, arguments: tuple[str, ...], collected: list[str]
) -> None:
    result = made_project.runpytest_inprocess("--pyargs", "bench", "--co", "-q", "--variants", "distilled", *arguments)
    lines = [line for line in result.outlines if "::bench_" in line]
    assert [line.split("::bench_")[1].split("[")[0] for line in lines] == collected


def test_the_file_by_its_name_and_not_with_the_gate(
    made_project: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    arguments = ("--pyargs", "bench.bench_cold_start", "--variants", "distilled", "--accuracy", "off")
    result = made_project.runpytest_inprocess(*arguments, "--co", "-q")
    result.stdout.fnmatch_lines(["*::bench_cold_start[[]distilled[]]"])
    monkeypatch.setattr(ColdStarts, "measure", made.rounds)
    measured = made_project.runpytest_inprocess(*arguments)
    measured.assert_outcomes(passed=1)
    outlook = "3 variants: memory, 1 x 60 s of rounds: about 2 min on a quiet machine"  # 5 + 3 + 18 starts of 6 s
    measured.stdout.fnmatch_lines([outlook, "Latency, cold-start *"])
    refused = made_project.runpytest_inprocess(*arguments, "--gate")
    assert refused.ret == 4
    refused.stderr.fnmatch_lines(["*--gate does not judge cold-start*"])
