"""From hand-made rounds to latencies, ratios and verdicts."""

import math

import numpy as np
import pytest

from bench.latency.interleave import Measurement, Rounds
from bench.latency.results import TWIN, summarize
from bench.statistics import percentile_interval

PARENTS = {"baseline": None, TWIN: "baseline", "child": "baseline", "grandchild": "child", "orphan": "absent"}
BLOCKS = [block for block in range(8) for _ in range(3)]
BASE = (1 + 0.2 * np.random.default_rng(0).random(24)) / 10


@pytest.fixture(autouse=True)
def fewer_resamples(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bench.statistics.bootstrap.RESAMPLES", 100)


def rounds(factor: float, blocks: int = 8) -> Rounds:
    """The baseline's rounds times a factor; a quarter in each of two stages, the rest in a third."""
    seconds = [float(s) for s in factor * BASE[: 3 * blocks]]
    stages = [{"segmentation": s / 4, "embedding": s / 4, "rest": s / 2} for s in seconds]
    return Rounds(seconds, stages, BLOCKS[: 3 * blocks])


def measured(**factors: float) -> Measurement:
    names = {"twin": TWIN}
    made = {names.get(name, name): rounds(factor) for name, factor in {"baseline": 1.0, **factors}.items()}
    return Measurement(made, {"broken": "RuntimeError: x"}, unquiet=3)


def test_ratios_are_to_the_baseline_and_to_the_parent() -> None:
    kind = summarize(measured(twin=1.0, child=0.8, grandchild=0.6), PARENTS)
    grandchild = kind.latencies["grandchild"]
    assert grandchild.to_baseline is not None
    assert grandchild.to_parent is not None
    assert grandchild.to_baseline.estimate == pytest.approx(0.6)
    assert grandchild.to_parent.estimate == pytest.approx(0.75)
    child = kind.latencies["child"]
    assert child.to_baseline == child.to_parent
    assert kind.latencies["baseline"].to_baseline is None
    assert kind.latencies["baseline"].to_parent is None


def test_a_parent_that_was_not_measured_gives_no_ratio() -> None:
    orphan = summarize(measured(twin=1.0, orphan=0.8), PARENTS).latencies["orphan"]
    assert orphan.to_parent is None
    assert orphan.parent_verdict == "reference"
    assert orphan.verdict == "faster"


def test_seconds_are_summarised() -> None:
    kind = summarize(measured(twin=1.0, child=2.0), PARENTS)
    child, seconds = kind.latencies["child"], 2 * BASE
    assert child.rounds == 24
    assert child.mean == pytest.approx(sum(seconds) / 24)
    deviation = math.sqrt(sum((s - child.mean) ** 2 for s in seconds) / 23)
    assert child.std == pytest.approx(deviation)
    assert child.percentiles["max"] == pytest.approx(max(seconds))
    assert child.percentiles["p50"] == pytest.approx(np.median(seconds))
    assert child.percentiles["p99"] is None
    assert child.stages == pytest.approx(
        {"segmentation": child.mean / 4, "embedding": child.mean / 4, "rest": child.mean / 2}
    )


def test_high_percentiles_have_intervals_where_rounds_suffice() -> None:
    child = summarize(measured(twin=1.0, child=2.0), PARENTS).latencies["child"]
    assert child.intervals == {"p95": None, "p99": None}  # 24 rounds
    seconds = (1 + 0.2 * np.random.default_rng(1).random(120)).tolist()
    blocks = [block for block in range(40) for _ in range(3)]
    many = summarize(Measurement({"baseline": Rounds(seconds, [{}] * 120, blocks)}, {}), PARENTS).latencies["baseline"]
    assert many.intervals == {"p95": percentile_interval(seconds, blocks, 95), "p99": None}
    low, high = many.intervals["p95"] or (math.nan, math.nan)
    assert low < np.percentile(seconds, 95) < high < 1.2


def test_only_common_blocks_are_paired() -> None:
    """The gate stops a decided variant earlier than others."""
    baseline = rounds(1.0)
    ahead = Rounds(rounds(0.5, 6).seconds + [9.0] * 3, [{}] * 21, BLOCKS[:18] + [99] * 3)
    ratio = summarize(Measurement({"baseline": baseline, "child": ahead}, {}), PARENTS).latencies["child"].to_baseline
    assert ratio is not None
    assert (ratio.estimate, ratio.rounds) == (pytest.approx(0.5), 18)


def test_failures_and_unquiet_turns_are_passed_on() -> None:
    kind = summarize(measured(), PARENTS)
    assert kind.failures == {"broken": "RuntimeError: x"}
    assert kind.unquiet == 3


def test_verdicts_rest_on_the_twin() -> None:
    """A twin that is 10 % off puts everything within 10 % into the noise."""
    kind = summarize(measured(twin=1.1, child=0.95, grandchild=0.8), PARENTS)
    assert kind.floor == pytest.approx(0.1)
    assert kind.twin is not None
    assert kind.twin.estimate == pytest.approx(1.1)
    latencies = kind.latencies
    assert latencies["baseline"].verdict == "reference"
    assert latencies[TWIN].verdict == latencies[TWIN].parent_verdict == "control"
    assert latencies["child"].verdict == "within noise"
    assert latencies["grandchild"].verdict == "faster"
    exact = summarize(measured(twin=1.0, child=0.95, grandchild=1.2), PARENTS).latencies
    assert exact["child"].verdict == "faster"
    assert (exact["grandchild"].verdict, exact["grandchild"].parent_verdict) == ("slower", "slower")


def test_without_a_twin_nothing_is_told_from_noise() -> None:
    kind = summarize(measured(child=0.5), PARENTS)
    assert kind.floor == math.inf
    assert kind.twin is None
    assert kind.latencies["child"].verdict == "within noise"


def test_no_rounds_no_latency() -> None:
    kind = summarize(Measurement({"baseline": Rounds(), TWIN: Rounds()}, {}), PARENTS)
    assert kind.latencies == {}
    assert kind.twin is None


def test_one_round_has_no_spread() -> None:
    one = Rounds([0.1], [{}], [0])
    kind = summarize(Measurement({"baseline": one, TWIN: Rounds([0.2], [{}], [0])}, {}), PARENTS)
    assert kind.latencies["baseline"].std == 0
    assert kind.latencies["baseline"].stages == {}
    assert kind.twin is not None
    assert kind.twin.high == math.inf
    assert kind.floor == math.inf
