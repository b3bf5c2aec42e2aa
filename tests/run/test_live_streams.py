"""Benchmarks that run only when named, what they show, and what becomes of variants that fail."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bench.capacity.loop import Served
from bench.capacity.measure import Capacity
from bench.capacity.soak import Soak
from bench.capacity.trial import Trial
from bench.statistics import Slope
from variants import UserError


def capacity(way: Any, streams: int = 4, holds: bool = True) -> Capacity:
    """Four streams, a chunk per quarter second each, 0.1 s of latency."""
    at = np.repeat(0.25 * np.arange(100), streams)
    latency = (0.1 if holds else 0.4) + 1e-3 * np.random.default_rng(0).random(len(at))
    served = Served(at, at + latency, np.tile(np.arange(streams), 100), np.ones(len(at), int))
    cost = Slope(0.003, 0.002, 0.004)
    return Capacity(
        way, Trial(streams, 0.25, served, 0.8), 1, 1, {1: 0.05}, cost, 2.5 * 2**20, 5, {streams: holds, 5: False}
    )


@pytest.fixture
def project(made_project: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> pytest.Pytester:
    """Capacity and soak that are made up; `distilled` fails."""

    def found(self: Any, name: str) -> None:
        if name == "distilled":
            raise UserError("stream 2 ended: RuntimeError: no")
        self.capacities[name] = [capacity("in turn"), capacity("batched", 1, holds=False)]

    def soaked(self: Any, name: str, minutes: float) -> None:
        hours = minutes / 3600 * np.arange(1, 61)
        rss = 2**20 * (100 + 50 * hours + 1e-4 * np.random.default_rng(0).random(60))
        self.soaks[name] = Soak(hours, rss, np.full(60, 2.0**20), 0.01 + 1e-3 * np.random.default_rng(0).random(60))

    monkeypatch.setattr("bench.run.live.LiveStreams.capacity", found)
    monkeypatch.setattr("bench.run.live.LiveStreams.soak", soaked)
    return made_project


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ([], ["model_only", "pipeline"]),
        (["-m", "capacity"], ["capacity"]),
        (["-m", "capacity or soak"], ["capacity", "soak"]),
        (["-m", "not capacity"], ["model_only", "pipeline"]),
    ],
)
def test_they_run_only_when_named(project: pytest.Pytester, given: list[str], expected: list[str]) -> None:
    run = project.runpytest(
        "--pyargs", "bench", "--variants", "distilled", "--collect-only", "-q", "--strict-markers", *given
    )
    found = [line.partition("::bench_")[2] for line in run.outlines if "::" in line]
    assert found == [f"{name}[distilled]" for name in expected]


def test_capacity(project: pytest.Pytester) -> None:
    run = project.runpytest(
        "--pyargs", "bench", "-m", "capacity", "--variants", "baseline,distilled", "--live-json", "live.json"
    )
    run.assert_outcomes(passed=1, failed=1)
    run.stdout.fnmatch_lines(
        [
            "2 variants, in turn and batched, 60 s each: about 4 min",
            "*distilled: stream 2 ended: RuntimeError: no",
            "*DiartBench, live streams*",
            "*Live streams, a chunk every 0.25 s each*",
            "*baseline * in turn * 4 *100.[0-9]*101.0 [[]*+3.0 [[]+2.0, +4.0]*",
            "*baseline * batched * 0 *",
            "*baseline, in turn: 5 by measured service times; in real time 4 held, 5 did not",
        ]
    )
    run.stdout.no_fnmatch_line("*Latency, pipeline*")
    found = json.loads(Path(project.path, "live.json").read_text(encoding="utf-8"))
    one, other = found["capacity"]["baseline"]
    assert one["per_core"] == 4 and one["way"] == "in turn" and other["per_core"] == 0 and not other["holds"]
    assert one["neighbours"] == [0.003, 0.002, 0.004] and one["backlog"][0] == pytest.approx(4 * 0.1 / 0.25, rel=0.02)
    assert found["conditions"]["threads"] == 1 and found["soak"] == {}


def test_soak(project: pytest.Pytester) -> None:
    run = project.runpytest("--pyargs", "bench", "-m", "soak", "--variants", "baseline", "--minutes", "30")
    run.assert_outcomes(passed=1)
    run.stdout.fnmatch_lines(
        [
            "1 variants, 30 minutes of audio of 2 streams each, as fast as they can",
            "*Soak, growth per hour of audio*",
            "*baseline *grows by 50.0*",
        ]
    )
    run.stdout.fnmatch_lines(["*flat: at*"])


def test_what_cannot_be_is_said_first(project: pytest.Pytester) -> None:
    (project.path / "folder").mkdir()
    refused = project.runpytest("--pyargs", "bench", "-m", "capacity", "--live-json", "folder")
    assert refused.ret == pytest.ExitCode.USAGE_ERROR
    refused.stderr.fnmatch_lines(["*--live-json folder: this is a folder*"])
    assert project.runpytest("--pyargs", "bench", "-m", "soak", "--minutes", "0").ret == pytest.ExitCode.USAGE_ERROR
    disabled = project.runpytest("--pyargs", "bench", "-m", "capacity", "--variants", "baseline", "--benchmark-disable")
    disabled.assert_outcomes(skipped=1)
