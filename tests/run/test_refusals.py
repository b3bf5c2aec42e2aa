"""Options of pytest and its plugins under which nothing could be measured or kept: one line, before any loading."""

import contextlib
import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import made
import pyannote.audio  # noqa: F401 - a session in this process forgets its imports, and torch allows no second
import pytest

from bench.accuracy.der import Accuracy, Components, FileScore
from bench.run.refusals import check_jobs
from variants import UserError

XDIST = "benchmarks are not measured by several processes at once*-n 0*"
NOWHERE = "file/in"  # no folder can be made in a file


@pytest.fixture
def project(made_project: pytest.Pytester) -> pytest.Pytester:
    (made_project.path / "file").write_text("")
    return made_project


def run(project: pytest.Pytester, *args: str) -> pytest.RunResult:
    return project.runpytest_inprocess("--pyargs", "bench", "--variants", "distilled", "--accuracy", "off", *args)


def refused(result: pytest.RunResult, pattern: str) -> None:
    """A usage error of one line and no traceback."""
    lines = result.outlines + result.errlines
    errors = [line for line in lines if line.startswith("ERROR")]
    assert result.ret == pytest.ExitCode.USAGE_ERROR and len(errors) == 1, lines
    result.stderr.fnmatch_lines([f"ERROR: {pattern}"])
    assert not any("Traceback" in line or "INTERNALERROR" in line for line in lines)


@pytest.fixture
def unloaded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(made.Made, "prepare", lambda *_: pytest.fail("loaded"))


@pytest.mark.usefixtures("unloaded")
@pytest.mark.parametrize(
    ("args", "pattern"),
    [
        (("--dist", "loadfile"), XDIST),
        (("--dist", "loadfile", "--gate"), XDIST),
        (
            ("--benchmark-json", f"{NOWHERE}/out.json"),
            "--benchmark-json *: cannot be written there (*)",
        ),
        (("--benchmark-json", "."), "--benchmark-json .: this is a folder; name the file to write"),
        (
            ("--benchmark-save=one", f"--benchmark-storage=file://{NOWHERE}"),
            "--benchmark-storage *: cannot be written*",
        ),
        (("--benchmark-autosave", f"--benchmark-storage={NOWHERE}"), "--benchmark-storage *: cannot be written*"),
        (("--benchmark-histogram", f"{NOWHERE}/plot"), "--benchmark-histogram *: cannot be written*"),
        (("--report", NOWHERE), f"{NOWHERE}: Not a directory; name a folder*"),
        (("--benchmark-compare-fail=min:5%",), "--benchmark-compare-fail needs --benchmark-compare, and a stored run*"),
        (("-p", "no:benchmark"), "benchmarks need pytest-benchmark, which is blocked*-p no:benchmark*"),
        (("-p", "no:benchmark", "--gate"), "benchmarks need pytest-benchmark, which is blocked*"),
        (("--gate", "--benchmark-skip"), "--gate needs rounds: leave out --benchmark-skip"),
        (("--gate", "--benchmark-disable"), "--gate needs rounds: leave out --benchmark-disable"),
    ],
)
def test_refused_before_anything_is_loaded(project: pytest.Pytester, args: tuple[str, ...], pattern: str) -> None:
    refused(run(project, *args), pattern)


def test_refused_once_a_process_of_xdist_has_collected_benchmarks(project: pytest.Pytester) -> None:
    """In a process of its own: one that xdist runs in cannot hold a second session of it."""
    refused(project.runpytest_subprocess("--pyargs", "bench", "--variants", "distilled", "-n", "1"), XDIST)


@pytest.mark.parametrize(("jobs", "processes", "fails"), [("2", 2, True), ("2", None, False), ("1", 2, False)])
def test_processes_are_not_multiplied(jobs: str, processes: int | None, fails: bool) -> None:
    """Not by a run: one that xdist runs in cannot hold a second session of it."""
    config: Any = SimpleNamespace(getoption=lambda _: jobs, option=SimpleNamespace(numprocesses=processes))
    with pytest.raises(UserError, match=r"^--jobs beside pytest-xdist") if fails else contextlib.nullcontext():
        check_jobs(config)


@pytest.mark.usefixtures("unloaded")
def test_refused_inside_another_runs_worker(project: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTEST_XDIST_WORKER", "gw0")
    refused(run(project), XDIST)


@pytest.mark.usefixtures("unloaded")
def test_skipped_benchmarks_need_no_models(project: pytest.Pytester) -> None:
    run(project, "--benchmark-skip").assert_outcomes(skipped=2)


@pytest.mark.parametrize("args", [("-n", "0"), ("-n", "0", "--dist", "loadfile"), ("--dist", "no")])
def test_one_process_measures(project: pytest.Pytester, args: tuple[str, ...]) -> None:
    result = run(project, *args)
    result.assert_outcomes(passed=2)
    outlook = "3 variants: memory, 2 x 60 s of rounds: about 2 min on a quiet machine"  # 5 + 3 + 120 s
    took = "took: pilot 0 s, memory * s, accuracy * s, model-only * s, pipeline * s"
    result.stdout.fnmatch_lines([outlook, "*Latency, pipeline*", took])


def test_accuracy_is_scored_in_a_process_of_xdist(project: pytest.Pytester) -> None:
    project.makeconftest(
        f"""
        import sys
        sys.path.insert(0, {str(Path(made.__file__).parent)!r})
        import bench.run.run, made
        bench.run.run.Run = made.Made
        pytest_plugins = ["bench.plugin"]
        """
    )
    project.makepyfile("def test_score(variant, scored): assert scored")
    result = project.runpytest_subprocess("-n", "1", "--variants", "baseline,distilled", "--accuracy", "off", "-rs")
    result.assert_outcomes(skipped=2)
    result.stdout.fnmatch_lines(["*--accuracy off*"])


@pytest.mark.parametrize("more", [(), ("--gate", "--gate-budget", "1e-6")])
def test_enabled_on_the_command_line_wins_over_disabled_by_default(
    project: pytest.Pytester, store: Callable[..., None], more: tuple[str, ...]
) -> None:
    project.makeini("[pytest]\naddopts = --benchmark-disable")
    store(0.8)
    result = run(project, "--benchmark-enable", "--benchmark-json", "out.json", *more)
    result.assert_outcomes(passed=2)
    saved = json.loads((project.path / "out.json").read_text())
    assert [benchmark["stats"]["rounds"] for benchmark in saved["benchmarks"]] == [24, 24]


def test_an_unwritable_cache_is_a_warning(project: pytest.Pytester) -> None:
    result = run(project, "-o", f"cache_dir={NOWHERE}")
    result.assert_outcomes(passed=2, warnings=result.parseoutcomes()["warnings"])
    result.stdout.fnmatch_lines(["*accuracy is scored anew in each run: */file: File exists", "*Answer: *"])


@pytest.mark.parametrize("what", ["--benchmark-json=out/out.json", "--benchmark-save=one"])
def test_a_disk_that_fills_up_costs_the_file_and_not_the_tables(
    project: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device", "x")

    monkeypatch.setattr("variants.files.write_atomically", full)
    result = run(project, what, "--report", "report")
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    name = what.partition("=")[0]
    result.stdout.fnmatch_lines(["*Answer: *", f"{name}: not written: *: No space left on device"])
    assert "Traceback" not in result.stdout.str() and "INTERNALERROR" not in result.stdout.str()


@pytest.mark.parametrize(("gate", "code"), [((), 1), (("--gate",), 1), (("--gate", "regressed"), 10)])
def test_compare_fail_comes_after_the_tables_and_the_gates_verdict(
    project: pytest.Pytester, store: Callable[..., None], gate: tuple[str, ...], code: int
) -> None:
    run(project, "--benchmark-json", "out.json", "-k", "model_only")
    (benchmark,) = json.loads((project.path / "out.json").read_text())["benchmarks"]
    store(0.7 if "regressed" in gate else 0.8, fullname=benchmark["fullname"], scale=0.1)
    asked = ("--benchmark-compare=0001", "--benchmark-compare-fail=min:5%", "-k", "model_only")
    result = run(project, *asked, *(("--gate", "--gate-budget", "1e-6") if gate else ()))
    assert result.ret == code
    result.stdout.fnmatch_lines(["*Answer: *", "--benchmark-compare-fail: Performance has regressed.", "*1 passed*"])
    if gate:
        result.stdout.fnmatch_lines([f"*Gate: {'regressed' if code == 10 else 'pass'}*"])
    assert "Traceback" not in result.stdout.str() + result.stderr.str()


@pytest.mark.parametrize(("asked", "code"), [((), 0), (("--accuracy", "quick"), 1), (("--accuracy", "full"), 1)])
def test_accuracy_that_was_asked_for_and_not_scored_is_no_success(
    made_project: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, asked: tuple[str, ...], code: int
) -> None:
    silence = Accuracy((FileScore("a", Components(0, 0, 0, 0), Components(1, 0, 0, 0), 1.0, 1.0, ()),))

    def silent(self: made.Made, *arguments: object) -> None:
        before(self, *arguments)
        self.scores.known = dict.fromkeys(made.SECONDS, silence)

    before = made.Made.__init__
    monkeypatch.setattr(made.Made, "__init__", silent)
    result = made_project.runpytest_inprocess("--pyargs", "bench", "--variants", "distilled", *asked)
    assert result.ret == code
    result.stdout.fnmatch_lines(["*Latency, model-only*"])
    if asked:
        result.stdout.fnmatch_lines([f"--accuracy {asked[1]}: no DER was scored: *"])
