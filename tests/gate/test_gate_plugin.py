"""`pytest bench --gate` as a user drives it, with made-up rounds in place of models."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyannote.audio  # noqa: F401 - a session in this process forgets its imports, and torch allows no second
import pytest
from made import Made, MadeTimed

from bench.gate import against
from bench.gate import gate as gate_module
from bench.gate.messages import Block
from variants import UserError
from variants.fetch import path_of

Store = Callable[..., Path]


@pytest.fixture
def project(made_project: pytest.Pytester) -> pytest.Pytester:
    return made_project


def run(project: pytest.Pytester, *args: str) -> pytest.RunResult:
    arguments = ("--variants", "distilled", "-k", "model_only", *args)
    asked = ("--pyargs", "bench", "--gate", "--gate-budget", "1e-6", *arguments)
    return project.runpytest_inprocess(*asked, no_reraise_ctrlc=True)


@pytest.mark.parametrize(("ratio", "code", "verdict"), [(0.8, 0, "pass"), (0.7, 10, "regressed")])
def test_exit_code_table_and_json(
    project: pytest.Pytester, store: Store, ratio: float, code: int, verdict: str
) -> None:
    store(ratio)
    result = run(project, "--benchmark-json", "out.json")
    assert result.ret == code
    result.stdout.fnmatch_lines([f"*model-only*distilled*stored*5*{verdict}*", "*0 of 8 blocks*", f"*Gate: {verdict}*"])
    saved = json.loads((project.path / "out.json").read_text())
    gate = saved["diartbench"]["gate"]
    assert (gate["verdict"], gate["judgements"][0]["variant"]) == (verdict, "distilled")
    assert saved["benchmarks"][0]["stats"]["rounds"] == 24


def test_ctrl_c_keeps_the_kind_that_was_being_measured(
    project: pytest.Pytester, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stopped(self: object, kind: str, name: str, number: int) -> Block:
        if kind == "pipeline" and number == 5:
            raise KeyboardInterrupt
        return whole(self, kind, name, number)

    whole = MadeTimed.block
    monkeypatch.setattr(MadeTimed, "block", stopped)
    store(0.8)
    result = run(project, "-k", "", "--benchmark-json", "out.json")
    assert result.ret == pytest.ExitCode.INTERRUPTED
    result.stdout.fnmatch_lines(
        ["*Latency, model-only*", "*distilled*80.0*", "*Latency, pipeline*", "*distilled*80.0*",
         "*pipeline: 15 rounds;*", "*model-only*distilled*pass*", "pipeline: stopped by Ctrl-C", "*Gate: inconclusive*"]
    )  # fmt: skip
    saved = json.loads((project.path / "out.json").read_text())
    assert [benchmark["group"] for benchmark in saved["benchmarks"]] == ["model-only"]


def test_an_imprecise_stored_run_is_inconclusive(project: pytest.Pytester, store: Store) -> None:
    file = store(0.8)
    file.write_text(file.read_text().replace(f"{1.01 * 0.8}", "1.6"))
    result = run(project)
    assert result.ret == 11
    result.stdout.fnmatch_lines(["*inconclusive*stored ratio is too imprecise*"])


def test_other_threads_fail_by_name(project: pytest.Pytester, store: Store) -> None:
    store(0.8, threads=2)
    result = run(project)
    assert result.ret == 10
    result.stdout.fnmatch_lines(["*model-only*distilled*failed*threads: 2 then, 1 now*"])


def test_without_a_stored_run_it_says_how_to_store_one(project: pytest.Pytester) -> None:
    result = run(project)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    (line,) = [line for line in result.errlines + result.outlines if line.startswith("ERROR")]
    assert "--benchmark-save=NAME" in line


@pytest.mark.parametrize(
    ("args", "pattern"),
    [
        (("--against", "main"), "*--against needs --gate*"),
        (("--gate", "--gate-budget", "0"), "*--gate-budget must be above 0*"),
        (("--gate", "--benchmark-disable"), "*leave out --benchmark-disable*"),
        (("--gate",), "*no benchmark is selected*"),
    ],
)
def test_bad_options_are_one_line(project: pytest.Pytester, args: tuple[str, ...], pattern: str) -> None:
    project.makepyfile("def test_nothing(): pass")
    result = project.runpytest_inprocess(*args)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([pattern])


def test_a_revision_that_cannot_be_measured_is_refused_before_anything_is_loaded(
    project: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(checkout: Path, revision: str, environment: bool) -> None:
        raise UserError(f"--against {revision}: too old, says {checkout}")

    monkeypatch.setattr(against, "checkout_of", lambda path: path.name)
    monkeypatch.setattr(against, "commit_of", refuse)
    monkeypatch.setattr(Made, "prepare", lambda *_: pytest.fail("loaded"))
    result = run(project, "--against", "v0")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert "ERROR: --against v0: too old, says gate" in result.errlines


def test_both_sides_get_the_default_models_by_name(
    project: pytest.Pytester, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent: dict[str, Any] = {}

    def compare_with(self: Any, revision: str, options: dict[str, Any], environment: None) -> None:
        sent.update(options)
        raise UserError("enough")

    monkeypatch.setattr("bench.gate.against.checkout_of", lambda _: tmp_path)
    monkeypatch.setattr("bench.gate.against.commit_of", lambda *_: "a" * 40)
    monkeypatch.setattr(gate_module.Gate, "compare_with", compare_with)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    path_of("pyannote/segmentation").parent.mkdir(parents=True)
    path_of("pyannote/segmentation").touch()
    run(project, "--against", "HEAD")
    assert (sent["embedding"], sent["segmentation"]) == ("bundled", "pyannote/segmentation")
