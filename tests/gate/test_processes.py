"""Measured in fresh processes: by made-up ones, by real ones of a small tree, and through pytest."""

import json
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import variants
from bench.gate import processes as module
from bench.gate.against import Worker
from bench.gate.messages import Block, Open
from bench.gate.processes import Processes
from bench.gate.worker import BlockError
from bench.latency.interleave import Interrupted
from bench.latency.results import summarize
from bench.report.document import document
from bench.report.extra_info import extra_info
from bench.report.findings import Findings
from bench.report.stored import from_stored
from bench.run.options import TimingOptions
from bench.statistics import ENOUGH, percentile_interval
from variants import UserError

NAMES = ["baseline", "baseline-twin", "distilled"]
PARENTS = {"baseline": None, "baseline-twin": "baseline", "distilled": "baseline"}


@pytest.fixture(autouse=True)
def fewer_resamples(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bench.statistics.bootstrap.RESAMPLES", 100)


class Fleet:
    """Made-up processes: each offset from the others, with 1 s a block; `acts` says what else happens, and when."""

    def __init__(self, acts: Callable[[int, str, int], None] = lambda process, name, number: None) -> None:
        self.now, self.started, self.alive, self.acts = 0.0, 0, 0, acts
        self.measured: list[tuple[int, str, int]] = []

    def start(self, label: str, order: Open) -> Any:
        assert self.alive == 0  # never two at once
        assert label == f"--processes, number {self.started + 1}"
        number, fleet = self.started, self
        self.started += 1
        self.alive += 1
        self.now += 100  # loading is no part of the budget

        class One:
            names, broken = [name for name in order.names if name != "distilled-int8"], {"distilled-int8": "no weights"}

            def block(self, kind: str, name: str, block: int) -> Block:
                fleet.acts(number, name, block)
                fleet.now += 1
                fleet.measured.append((number, name, block))
                second = {"distilled": 0.8 + 0.01 * number}.get(name, 1.0)
                return Block([second] * 3, [{"stage": second}] * 3, [], True)

            def close(self) -> None:
                fleet.alive -= 1

        return One()

    def measurer(self, count: int, budget: float, *names: str, seed: int = 0) -> Processes:
        options = TimingOptions(1, budget, seed, count)
        return Processes([*NAMES, *names], {"seed": seed}, options, self.start, lambda: self.now)


def test_every_process_measures_its_share_and_goes_on_in_the_audio() -> None:
    fleet = Fleet()
    shares: list[float] = []
    found = fleet.measurer(3, 54).measure("pipeline", shares.append)  # 18 s each: 6 blocks of three variants
    assert fleet.started == 3 and fleet.alive == 0
    assert found.processes == {number: number // 6 for number in range(18)}
    assert found.rounds["distilled"].blocks == [number for number in range(18) for _ in range(3)]
    assert found.rounds["distilled"].seconds[::18] == pytest.approx([0.8, 0.81, 0.82])
    assert shares == sorted(shares) and (shares[0], shares[-1]) == (0.0, 1.0)
    orders = [tuple(name for p, name, number in fleet.measured if number == block) for block in range(18)]
    assert len(set(orders)) > 3 and orders[:6] != orders[6:12]  # each process has a seed of its own
    again = Fleet()
    again.measurer(3, 54).measure("pipeline", lambda done: None)
    assert again.measured == fleet.measured
    another = Fleet()
    another.measurer(3, 54, seed=1).measure("pipeline", lambda done: None)
    assert another.measured != fleet.measured


def test_from_five_on_the_interval_holds_what_differs_between_processes() -> None:
    measurement = Fleet().measurer(ENOUGH, 90).measure("pipeline", lambda done: None)
    kind = summarize(measurement, PARENTS)
    ratio = kind.latencies["distilled"].to_baseline
    assert kind.processes == 5 and ratio is not None and ratio.processes == 5
    assert ratio.between == pytest.approx(0.0193, abs=1e-4) and ratio.share == pytest.approx(1)  # ln 0.80 to ln 0.84
    assert ratio.low < 0.81 and ratio.high > 0.83
    few = summarize(Fleet().measurer(4, 90).measure("pipeline", lambda done: None), PARENTS)
    ratio = few.latencies["distilled"].to_baseline
    assert few.processes == 4 and ratio is not None and ratio.between is None
    assert (ratio.low, ratio.high) == pytest.approx((ratio.estimate, ratio.estimate))  # no noise within


def test_high_percentiles_too_are_over_processes() -> None:
    latency = summarize(Fleet().measurer(5, 360).measure("pipeline", lambda done: None), PARENTS).latencies["distilled"]
    assert latency.rounds == 5 * 24 * 3 == 360
    assert latency.intervals["p95"] == percentile_interval(latency.seconds, latency.processes, 95)
    low, high = latency.intervals["p95"] or (0.0, 0.0)
    assert low < 0.82 and high == float("inf")  # of blocks, it would begin at 0.84: one process in five is so slow
    few = summarize(Fleet().measurer(4, 360).measure("pipeline", lambda done: None), PARENTS).latencies["distilled"]
    assert few.intervals["p95"] == percentile_interval(few.seconds, few.blocks, 95)


def test_a_stored_run_keeps_which_process_each_block_belonged_to() -> None:
    kind = summarize(Fleet().measurer(5, 90).measure("pipeline", lambda done: None), PARENTS)
    findings = Findings({"pipeline": kind}, {}, {}, {}, {}, {}, [], {}, {})
    benchmarks = [
        {"group": "pipeline", "extra_info": extra_info(latency, findings, name, 0.25), "stats": {"rounds": 90}}
        for name, latency in kind.latencies.items()
    ]
    doc = from_stored(json.loads(json.dumps({"benchmarks": benchmarks})))
    found = next(v for v in doc["variants"] if v["name"] == "distilled")["latency"]["pipeline"]
    whole = document(findings, "now")["variants"][2]["latency"]["pipeline"]
    assert found["to_baseline"] == whole["to_baseline"] and found["to_baseline"]["processes"] == 5
    assert found["rounds_process"] == [p for p in range(5) for _ in range(18)]
    assert found["rounds_block"] == whole["rounds_block"] == [b for b in range(30) for _ in range(3)]
    assert doc["kinds"]["pipeline"]["intervals"] == "over 5 processes"


def test_a_variant_that_raises_drops_out_of_all_processes() -> None:
    def acts(process: int, name: str, number: int) -> None:
        if (process, name) == (1, "distilled"):
            raise BlockError("ValueError: no")

    fleet = Fleet(acts)
    found = fleet.measurer(3, 36, "distilled-int8").measure("pipeline", lambda done: None)
    assert found.failures == {"distilled": "ValueError: no", "distilled-int8": "no weights"}
    assert sorted(found.rounds) == ["baseline", "baseline-twin"] and fleet.started == 3
    assert {process for process, name, _ in fleet.measured if name == "distilled"} == {0}


def test_a_process_that_dies_takes_its_variant_with_it_and_is_replaced() -> None:
    def acts(process: int, name: str, number: int) -> None:
        if (number, name) == (5, "distilled"):
            raise UserError("--processes, number 1: its process died (Segmentation fault)")

    fleet = Fleet(acts)
    found = fleet.measurer(2, 36).measure("pipeline", lambda done: None)
    assert found.failures == {"distilled": "--processes, number 1: its process died (Segmentation fault)"}
    assert fleet.started == 3 and fleet.alive == 0  # and what the first had measured of the others is kept
    assert set(found.processes.values()) == {0, 1, 2} and 0 in found.rounds["baseline"].blocks


def test_what_does_not_start_ends_it_with_what_there_is() -> None:
    fleet = Fleet()
    start = fleet.start

    def failing(label: str, order: Open) -> Any:
        if fleet.started == 2:
            raise UserError("its process died (out of memory)")
        return start(label, order)

    fleet.start = failing  # type: ignore[method-assign]
    found = fleet.measurer(5, 60).measure("pipeline", lambda done: None)
    assert found.notes == ["only 2 of 5 processes: its process died (out of memory)"]
    assert found.failures == {} and set(found.processes.values()) == {0, 1}
    assert summarize(found, PARENTS).notes == tuple(found.notes)
    fleet.started = 2
    nothing = fleet.measurer(5, 60).measure("pipeline", lambda done: None)
    assert nothing.rounds == {} and set(nothing.failures) == set(NAMES)


def test_ctrl_c_keeps_what_was_measured() -> None:
    def acts(process: int, name: str, number: int) -> None:
        if (process, number) == (1, 8):
            raise KeyboardInterrupt

    fleet = Fleet(acts)
    with pytest.raises(Interrupted) as stopped:
        fleet.measurer(2, 36).measure("pipeline", lambda done: None)
    assert fleet.alive == 0
    assert set(stopped.value.measurement.rounds["baseline"].blocks) == set(range(8))


def test_variants_of_a_conftest_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    mine = replace(variants.get("distilled"), name="mine", build=lambda model: model)
    monkeypatch.setitem(variants.registry._registry, "mine", mine)
    with pytest.raises(UserError, match=r"^--processes: mine: a fresh process knows only"):
        Fleet().measurer(5, 1, "mine")


def test_real_processes(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each imports the tree anew, is over before the next one starts, and may die."""
    side = tree / "bench/run/side.py"
    log = tree / "log"
    text = side.read_text().replace('list("abcdefgh")), (-1, ["bad"] * 4)', 'list("abcdefgh"))')
    text = text.replace("kind, name: Subject()", "kind, name: os._exit(3) if name == 'sleeper' else Subject()")
    side.write_text(f"import os\nprint(os.getpid(), file=open({str(log)!r}, 'a'))\n{text}")
    monkeypatch.setattr(module, "TREE", tree)
    monkeypatch.setattr(module, "_of_this_tree", lambda name: True)
    found = Processes(["baseline", "sleeper"], {"seed": 5}, TimingOptions(1, 0.0, 0, 2), Worker).measure(
        "pipeline", lambda done: None
    )
    ids = log.read_text().split()
    assert len(set(ids)) == 3 and str(os.getpid()) not in ids
    assert list(found.failures) == ["sleeper"]
    assert found.failures["sleeper"].startswith("--processes, number 1: its process died")
    assert list(found.rounds) == ["baseline"] and set(found.processes.values()) == {0, 1, 2}
    assert found.rounds["baseline"].seconds == pytest.approx([0.001] * len(found.rounds["baseline"].seconds))


@pytest.fixture
def fresh(made_project: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> pytest.Pytester:
    fleet = Fleet()
    monkeypatch.setattr("bench.gate.against.Worker", fleet.start)
    monkeypatch.setattr(Processes, "__init__", _ticking(Processes.__init__, fleet))
    return made_project


def _ticking(init: Any, fleet: Fleet) -> Any:
    def made(self: Processes, names: Any, values: Any, options: Any, start: Any) -> None:
        assert values["processes"] == options.processes and isinstance(values["corpus"], str | None)
        init(self, names, values, options, start, lambda: fleet.now)
        fleet.started = 0

    return made


ARGUMENTS = ("--pyargs", "bench.bench_pipeline", "--variants", "distilled", "--accuracy", "off", "--budget", "90")


def test_through_pytest_with_five(fresh: pytest.Pytester) -> None:
    fresh.makefile(".toml", pyproject="")
    result = fresh.runpytest_inprocess(*ARGUMENTS, "--processes", "5", "--report", "out", "--benchmark-json", "a.json")
    assert result.ret == 0
    result.stdout.fnmatch_lines([
        "3 variants: memory, 1 x 2 min of rounds, each in 5 processes: about *",
        "*Latency, pipeline (intervals over 5 processes)*",
        "*between processes, % (share)*", "*distilled*1.93 (100%)*", "*between the 5 processes*",
    ])  # fmt: skip
    doc = json.loads((fresh.path / "out/results.json").read_text())
    assert doc["kinds"]["pipeline"]["processes"] == 5
    assert doc["kinds"]["pipeline"]["intervals"] == "over 5 processes"
    distilled = next(v for v in doc["variants"] if v["name"] == "distilled")["latency"]["pipeline"]
    assert distilled["to_baseline"]["between"] == pytest.approx(0.0193, abs=1e-4)
    assert set(distilled["rounds_process"]) == set(range(5))
    page = (fresh.path / "out/index.html").read_text()
    assert "(intervals over 5 processes)" in page and "1.93 (100%)" in page


def test_through_pytest_with_three(fresh: pytest.Pytester) -> None:
    result = fresh.runpytest_inprocess(*ARGUMENTS, "--processes", "3")
    result.stdout.fnmatch_lines(["*Latency, pipeline (intervals within 3 processes)*"])
    result.stdout.no_fnmatch_line("*between processes*")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--processes", "0"), "*--processes 0: must be a number from 1*"),
        (("--processes", "5", "--gate"), "*--gate takes --processes only with --against*"),
    ],
)
def test_bad_options_are_one_line(fresh: pytest.Pytester, arguments: tuple[str, ...], message: str) -> None:
    result = fresh.runpytest_inprocess(*ARGUMENTS, *arguments)
    assert result.ret == 4
    result.stderr.fnmatch_lines([message])
