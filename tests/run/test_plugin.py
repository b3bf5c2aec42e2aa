"""The pytest plugin as a user drives it: options, errors, stored files, somebody else's variant."""

import json
import re

import numpy as np
import pyannote.audio  # noqa: F401 - a session in this process forgets its imports, and torch allows no second
import pytest
import soundfile

from bench.corpus import Recording

CONFTEST = 'pytest_plugins = ["bench.plugin"]\n'
STEP = 0.5
BUNDLED = ("--embedding", "bundled", "--segmentation", "bundled")
FAST = (*BUNDLED, "--budget", "0", "--accuracy", "off", "--corpus", "clip", "--step", str(STEP))


@pytest.fixture
def project(pytester: pytest.Pytester, clip: Recording) -> pytest.Pytester:
    """A user's own project: a folder with a short recording, whose conftest loads the plugin."""
    pytester.makeconftest(CONFTEST)
    (pytester.path / "clip").symlink_to(clip.path.parent)
    (pytester.mkdir("bare") / "clip.wav").symlink_to(clip.path)
    return pytester


def run(project: pytest.Pytester, *args: str) -> pytest.RunResult:
    return project.runpytest_subprocess("--pyargs", "bench", *args, timeout=300)


def one_line_error(result: pytest.RunResult, pattern: str) -> None:
    """A usage error: non-zero exit, one ERROR line that matches, no traceback."""
    output = result.outlines + result.errlines
    errors = [line for line in output if line.startswith("ERROR")]
    assert result.ret == pytest.ExitCode.USAGE_ERROR, "\n".join(output)
    assert len(errors) == 1 and re.search(pattern, errors[0]), errors
    assert not any("Traceback" in line for line in output)


@pytest.mark.slow
def test_somebody_elses_variant_is_measured_and_saved(project: pytest.Pytester) -> None:
    project.makeconftest(
        CONFTEST
        + """
from variants import variant

@variant("mine", title="half precision weights", tolerance=0.5)
def mine(model):
    return model.half().float()
"""
    )
    result = run(project, "--variants", "mine", *FAST, "--benchmark-json", "out.json", "--benchmark-save", "first")
    result.assert_outcomes(passed=2)
    result.stdout.fnmatch_lines(["*Latency, pipeline*", "*mine*", "*paper's claims*", "*Answer:*"])
    saved = json.loads((project.path / "out.json").read_text())
    names = [benchmark["name"] for benchmark in saved["benchmarks"]]
    assert names == ["bench_model_only[mine]", "bench_pipeline[mine]"]
    for benchmark in saved["benchmarks"]:
        info, stats = benchmark["extra_info"], benchmark["stats"]
        assert stats["rounds"] == len(stats["data"]) == 12  # 4 blocks of 3 timed chunks
        assert stats["mean"] == pytest.approx(info["mean_s"]) == pytest.approx(np.mean(stats["data"]))
        assert info["ratio_to_baseline"]["low"] < info["ratio_to_baseline"]["estimate"]
        assert info["p99_s"] is None and info["p50_s"] == pytest.approx(stats["median"])
        assert info["real_time_factor"] == pytest.approx(info["mean_s"] / STEP)
        assert info["parameters"] == 4_346_366 and info["size_mib"] == pytest.approx(16.62, abs=0.01)
    pipeline = saved["benchmarks"][1]["extra_info"]
    assert sum(pipeline["stages_s"].values()) == pytest.approx(pipeline["mean_s"], rel=0.02)
    assert saved["diartbench"]["threads"] == 1 and saved["diartbench"]["machine"]["cpu"]
    (stored,) = project.path.glob(".benchmarks/*/0001_first.json")
    assert json.loads(stored.read_text())["benchmarks"][0]["stats"]["data"]

    again = run(project, "--variants", "mine", *FAST, "-k", "model_only", "--benchmark-compare")
    again.assert_outcomes(passed=1)
    again.stdout.fnmatch_lines(["*Compared with the run of*", "*mine*model-only*"])
    saved["diartbench"]["machine"]["cpu"] = "another CPU"
    stored.write_text(json.dumps(saved))
    elsewhere = run(project, "--variants", "mine", *FAST, "-k", "model_only", "--benchmark-compare")
    assert elsewhere.ret == 0
    elsewhere.stdout.fnmatch_lines(["*no verdict, measured under other conditions (CPU: another CPU then*"])


@pytest.mark.slow
def test_a_variant_that_fails_leaves_the_others_their_rounds(project: pytest.Pytester) -> None:
    project.makeconftest(
        CONFTEST
        + """
from variants import variant

@variant("unbuildable", tolerance=1)
def unbuildable(model):
    raise RuntimeError("no such layer")

@variant("breaks", tolerance=1)
def breaks(model):
    model.forward = lambda *args, **kwargs: 1 / 0
    return model

@variant("absent", tolerance=1, needs=["a_package_that_is_not_there"])
def absent(model):
    return model
"""
    )
    asked = ("--variants", "baseline,unbuildable,breaks,absent")
    result = run(project, *asked, *FAST, "--benchmark-json", "out.json", "--report", "report")
    result.assert_outcomes(passed=2, errors=4, skipped=2)
    result.stdout.fnmatch_lines(["report: report/index.html"])
    doc = json.loads((project.path / "report/results.json").read_text())
    assert doc["lost"]["unbuildable"] == "cannot be built: RuntimeError: no such layer"
    assert "ZeroDivisionError" in doc["lost"]["breaks"]
    for name in ("index.html", "summary.md"):
        text = (project.path / "report" / name).read_text()
        assert "no such layer" in text and "ZeroDivisionError" in text and "Accuracy was not scored" in text
    text = result.stdout.str()
    assert "unbuildable cannot be built: RuntimeError: no such layer" in text
    assert "breaks failed: ZeroDivisionError" in text
    assert "needs a_package_that_is_not_there" in text
    assert "Traceback" not in text
    saved = json.loads((project.path / "out.json").read_text())
    assert {benchmark["extra_info"]["variant"] for benchmark in saved["benchmarks"]} == {"baseline"}


def test_a_users_own_parameter_called_variant_is_left_alone(project: pytest.Pytester) -> None:
    project.makepyfile(
        """
import pytest

@pytest.mark.parametrize("variant", ["one", "two"])
def test_mine(variant):
    assert variant in ("one", "two")

@pytest.fixture
def variant():
    return "three"

def test_fixture(variant):
    assert variant == "three"
"""
    )
    project.runpytest_inprocess().assert_outcomes(passed=3)


def test_unknown_variant_lists_the_known_ones(project: pytest.Pytester) -> None:
    one_line_error(run(project, "--variants", "baseline,distiled"), r"unknown variant 'distiled'.*distilled-fused")


@pytest.mark.parametrize(
    ("args", "pattern"),
    [
        (("--threads", "0"), "--threads 0"),
        (("--threads", "4096"), "physical cores"),
        (("--step", "4"), "step <= latency"),
        (("--collar", "-1"), "--collar"),
        (("--embedding", "missing.ckpt"), "missing.ckpt: no such file"),
        (("--corpus", "nowhere", "--files", "x"), "nowhere"),
        (("--files", "nothing"), "nothing"),
        (("--rttm", "none.rttm"), "none.rttm: no such file"),
        (("--uem", "clip/clip.rttm"), "clip.rttm, line 1: 10 fields, expected `uri channel start end`"),
        (("--corpus", "sample", "--rttm", "clip"), "--rttm and --uem need --corpus DIR"),
        (("--corpus", "bare", "--accuracy", "full"), "--accuracy full: no recording has a reference; name their RTTM"),
        (("--corpus", "bare", "--accuracy", "quick"), "--accuracy quick: no recording has a reference; name their"),
        (("--corpus", "bare", "--gate"), "--gate: accuracy cannot be judged, no recording has"),
        (("--report", "conftest.py"), r"conftest\.py: File exists"),
    ],
)
def test_bad_options_are_one_line(
    project: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, args: tuple[str, ...], pattern: str
) -> None:
    monkeypatch.setattr("bench.latency.threads.apply", lambda threads: None)  # the tests' own process stays unpinned
    fast = BUNDLED if "--gate" in args else FAST  # which turns accuracy off
    arguments = ("--pyargs", "bench", "--variants", "baseline", *fast, "--benchmark-autosave", *args)
    one_line_error(project.runpytest_inprocess(*arguments), pattern)
    assert not list(project.path.glob(".benchmarks/**/*.json"))


@pytest.mark.slow
def test_own_corpus_without_reference_gives_latency_and_disagreement(project: pytest.Pytester) -> None:
    folder = project.mkdir("corpus")
    generator = np.random.default_rng(0)
    soundfile.write(folder / "talk.wav", 0.1 * generator.standard_normal(9 * 16000), 16000)
    (folder / "broken.wav").write_bytes(b"RIFF")
    asked = (*BUNDLED, "--corpus", str(folder), "--variants", "baseline", "--budget", "0", "--step", str(STEP))
    result = run(project, *asked, "-k", "model_only")
    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(["*Accuracy*", "*broken.wav*unreadable*"])
    result.stdout.no_fnmatch_line("*Traceback*")


@pytest.mark.slow
def test_disabled_benchmarks_run_one_chunk(project: pytest.Pytester) -> None:
    result = run(project, "--variants", "baseline", "--benchmark-disable", *FAST)
    result.assert_outcomes(passed=2)
    result.stdout.no_fnmatch_line("*Latency*")


def test_what_is_not_resolved_is_counted_and_named_and_neither_passes_nor_fails(project: pytest.Pytester) -> None:
    project.makepyfile(
        """
def test_open(record_property):
    record_property("not_resolved", "best: DER +0.38 [-0.41, +1.16] points")

def test_closed():
    pass
"""
    )
    result = project.runpytest_inprocess("-v")
    assert result.ret == 0
    result.stdout.fnmatch_lines(
        [
            "*::test_open NOT RESOLVED*",
            "NOT RESOLVED best: DER +0.38 [[]-0.41, +1.16[]] points",
            "*1 passed, 1 not resolved*",
        ]
    )
