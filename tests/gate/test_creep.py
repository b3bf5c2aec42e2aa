"""Creep: the pinned run and the trend, in a gated run and on drawn releases with the noise of recorded runs."""

import json
import math
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

import pytest
from made import CONDITIONS, STATS
from scipy.stats import binomtest

from bench.gate import __main__ as commands
from bench.gate import verdict as rules
from bench.gate.creep import Noise, creep_table, noise_of, references, releases, trend
from bench.history.pins import Pins
from bench.history.runs import read_runs
from bench.statistics import Ratio
from variants.errors import UserError

# log ratio and half interval of the controls (model-only, pipeline) of the first, second, third and fifth run of this
# project: two on a busy machine, two on quiet ones
RECORDED: list[list[Noise]] = [
    [(-0.0151, 0.0714), (-0.0487, 0.0347)],
    [(-0.0507, 0.0739), (0.0218, 0.0980)],
    [(0.0057, 0.0116), (-0.0067, 0.0121)],
    [(0.0008, 0.0043), (0.0034, 0.0082)],
]
SERIES = 200


def drawn(step: float, **options: Any) -> list[dict[str, int]]:
    draw = Random(2)
    return [releases(step, RECORDED, draw, **options) for _ in range(SERIES)]


def test_ten_releases_that_stay_are_not_caught() -> None:
    """At most 1 % of gate runs, ten of them a series: the exact interval of a share over series, as runs depend."""
    caught = drawn(0.0)
    assert binomtest(sum(map(bool, caught)), SERIES).proportion_ci(0.95).high < 10 * rules.ALPHA


def test_ten_releases_that_creep_are_caught() -> None:
    caught = drawn(0.015)
    assert binomtest(sum(map(bool, caught)), SERIES).proportion_ci(0.95).low > 0.9
    assert sum("last" in first for first in caught) < 0.25 * SERIES  # as long as each was held against the one before
    assert sum("trend" in first for first in caught) > 0.9 * SERIES
    assert sum("pinned" in first for first in caught) > 0.6 * SERIES


def test_without_noise_each_rule_decides_where_arithmetic_says() -> None:
    """Steps of 1.5 %: half of 5 % is exceeded by the second release since the pinned one, never by one step."""
    first = releases(0.015, [[(0.0, 1e-6)]], Random(0))
    assert first == {"pinned": 2, "trend": 4}  # a trend takes five runs, the pinned one among them
    assert releases(-0.015, [[(0.0, 1e-6)]], Random(0)) == {}
    assert releases(0.03, [[(0.0, 1e-6)]], Random(0))["last"] == 1


def test_noise_is_that_of_the_controls(storage_of: Callable[..., Path]) -> None:
    folder = storage_of([0.8, 0.8], controls=[1.02, None])
    ((noise,),) = noise_of(read_runs(folder)[0])
    assert noise == pytest.approx((math.log(1.02), math.log(1.01 / 0.99) / 2))


def test_the_table_is_printed_by_a_command(
    storage_of: Callable[..., Path], capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    folder = storage_of([0.8], controls=[1.001])
    assert commands.main(["creep", "--storage", str(folder), "--series", "3"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 6 and lines[-1].startswith("| 1.5 | 3 | ") and lines[-1].count("|") == 8
    assert creep_table([0.015], [[(0.0, 1e-6)]], 4, 3).splitlines()[-1].endswith("100.0 [39.8, 100.0] | 2 releases |")
    folder = storage_of([0.8], controls=[None], folder=tmp_path / "without")
    assert commands.main(["creep", "--storage", str(folder)]) == 1
    assert "no stored run has a control" in capsys.readouterr().err


def test_a_trend_looks_back_no_further_than_its_window() -> None:
    def ratio(log: float) -> Ratio:
        return Ratio(math.exp(log), math.exp(log - 0.001), math.exp(log + 0.001), 60)

    flat = [ratio(0.0005 * (-1) ** i) for i in range(20)]
    assert trend([ratio(-1.0)] * 5 + flat, ratio(0.0), 0.001).estimate == pytest.approx(1, abs=0.002)


@pytest.mark.parametrize(
    ("now", "then", "usual", "expected"),
    [(1.0, 1.0, 0.0, 0.0), (math.exp(0.03), math.exp(-0.04), 0.0, 0.1), (1.0, None, 0.05, 0.2 / math.sqrt(2))],
)
def test_what_no_interval_covers(now: float, then: float | None, usual: float, expected: float) -> None:
    controls = [None if r is None else Ratio(r, r, r, 60) for r in (now, then)]
    assert rules.systematic(*controls, usual) == pytest.approx(expected)
    assert rules.spread([*controls, None]) == pytest.approx(
        math.sqrt(sum(math.log(c.estimate) ** 2 for c in controls if c) / sum(c is not None for c in controls))
    )
    assert rules.spread([]) == 0


# A gated run, as a user drives it.


@pytest.fixture
def storage_of(tmp_path: Path) -> Callable[..., Path]:
    """Runs stored one after the other, of `distilled` at these ratios and of the control."""

    def stored(
        ratios: list[float], controls: list[float | None] | None = None, folder: Path | None = None, **facts: Any
    ) -> Path:
        folder = folder or tmp_path / ".benchmarks"
        folder.mkdir(exist_ok=True)
        begin = len(list(folder.glob("0*"))) + 1
        for number, ratio in enumerate(ratios, begin):
            found = {"distilled": ratio, "baseline-twin": 1.0 if controls is None else controls[number - begin]}
            benchmarks = [
                {
                    "group": "model-only",
                    "fullname": name,
                    "stats": STATS,
                    "extra_info": {
                        "variant": name,
                        "der": None,
                        "ratio_to_baseline": {"estimate": r, "low": 0.99 * r, "high": 1.01 * r},
                    },
                }
                for name, r in found.items()
                if r is not None
            ]
            saved = {"machine_info": {}, "datetime": f"2026-01-{number:02}", "benchmarks": benchmarks,
                     "diartbench": CONDITIONS | facts}  # fmt: skip
            (folder / f"{number:04}_run.json").write_text(json.dumps(saved))
        return folder

    return stored


@pytest.fixture
def gated(made_project: pytest.Pytester, storage_of: Callable[..., Path]) -> Callable[..., pytest.RunResult]:
    def run(*ratios: float, pin: str | None = None, **facts: Any) -> pytest.RunResult:
        folder = storage_of(list(ratios), folder=made_project.path / ".benchmarks", **facts)
        if pin:
            Pins(folder).pin(next(run for run in read_runs(folder)[0] if run.name.startswith(pin)))
        arguments = ("--gate", "--gate-budget", "1e-6", "--variants", "baseline-twin,distilled", "-k", "model_only")
        return made_project.runpytest_inprocess("--pyargs", "bench", *arguments, "--benchmark-json", "out.json")

    return run


def rows(result: pytest.RunResult) -> dict[str, str]:
    """The verdict of each comparison of `distilled`."""
    lines = [line.split() for line in result.outlines if line.split()[:2] == ["model-only", "distilled"]]
    return {
        line[2]: next(word for word in line if word in ("pass", "regressed"))
        for line in lines
        if line[2] in ("stored", "pinned", "trend")
    }


def test_the_pinned_run_is_held_against_as_well(gated: Callable[..., pytest.RunResult]) -> None:
    """0.8 now, 0.79 in the last run, 0.72 in the pinned one: 1.3 % and 11 % slower."""
    result = gated(0.6, 0.72, 0.79, pin="0002")
    assert result.ret == 10 and rows(result) == {"stored": "pass", "pinned": "regressed"}
    result.stdout.fnmatch_lines(["stored: 0003_run.json", "pinned: 0002_run.json"])


def test_to_pin_a_run_accepts_what_came_before(gated: Callable[..., pytest.RunResult]) -> None:
    result = gated(0.6, 0.72, 0.79, pin="0003")
    assert result.ret == 0 and rows(result) == {"stored": "pass"}  # the same run is not judged by twice
    result.stdout.no_fnmatch_line("*no run is pinned*")


def test_a_trend_fails_though_each_step_passes(gated: Callable[..., pytest.RunResult]) -> None:
    """1.5 % a run for ten runs, up to the 0.8 of now."""
    result = gated(*(0.8 / 1.015**i for i in range(9, 0, -1)))
    assert result.ret == 10 and rows(result) == {"stored": "pass", "trend": "regressed"}
    result.stdout.fnmatch_lines(["*distilled*trend*+14*regressed*over 10 runs*", "no run is pinned for these*"])


def test_a_trend_begins_at_the_pinned_run_and_needs_equal_conditions(gated: Callable[..., pytest.RunResult]) -> None:
    falling = [0.8 / 1.015**i for i in range(9, 0, -1)]
    assert rows(gated(*falling, pin="0008")) == {"stored": "pass", "pinned": "regressed"}  # three runs are no trend


def test_other_conditions_are_another_history(
    gated: Callable[..., pytest.RunResult], storage_of: Callable[..., Path], made_project: pytest.Pytester
) -> None:
    storage_of([0.8 / 1.015**i for i in range(9, 0, -1)], folder=made_project.path / ".benchmarks", threads=2)
    assert rows(gated(0.79)) == {"stored": "pass"}


def test_a_pinned_run_that_is_gone_is_said(
    gated: Callable[..., pytest.RunResult], made_project: pytest.Pytester
) -> None:
    gated(0.8, 0.79, pin="0001")
    (made_project.path / ".benchmarks/0001_run.json").unlink()
    result = gated(0.79)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["ERROR: --gate: the pinned run *0001_run.json is gone: pin another, or*unpin*"])


def test_references_of_a_folder(storage_of: Callable[..., Path]) -> None:
    folder = storage_of([0.8, 0.81])
    storage_of([0.7], threads=2)
    storage_of([0.82])
    assert [run.name[:4] for run in references(folder, CONDITIONS)[1]] == ["0001", "0002", "0004"]
    runs, _ = read_runs(folder)
    for run in runs[1:3]:
        Pins(folder).pin(run)
    pinned, past = references(folder, CONDITIONS)
    assert pinned is not None and [run.name[:4] for run in (pinned, *past)] == ["0002", "0002", "0004"]
    assert references(folder, CONDITIONS | {"threads": 3}) == (None, [])
    assert references(folder / "nowhere", CONDITIONS) == (None, [])
    runs[1].path.unlink()
    with pytest.raises(UserError, match="is gone"):
        references(folder, CONDITIONS)
