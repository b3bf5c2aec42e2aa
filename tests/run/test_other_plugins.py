"""Beside other plugins, and in projects with names of their own: it works, or one line says what is in the way."""

import json
import os
import shutil
import subprocess
from pathlib import Path

import made
import pyannote.audio  # noqa: F401 - a session in this process forgets its imports, and torch allows no second
import pytest

import bench
from bench.latency.interleave import Interrupted, interleave

LOADED = 'pytest_plugins = ["bench.plugin"]\n'


def run(project: pytest.Pytester, *args: str) -> pytest.RunResult:
    asked = ("--pyargs", "bench", "--variants", "distilled", "--accuracy", "off", *args)
    return project.runpytest_inprocess(*asked, no_reraise_ctrlc=True)


def refused(result: pytest.RunResult, pattern: str) -> None:
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([f"ERROR: {pattern}"])
    assert not any("Traceback" in line for line in result.outlines + result.errlines)


@pytest.mark.parametrize("option", ["--seed", "--report", "--gate", "--against"])
def test_a_taken_option_is_named(made_project: pytest.Pytester, option: str) -> None:
    made_project.makeconftest(LOADED + f"def pytest_addoption(parser): parser.addoption('{option}')")
    refused(
        made_project.runpytest_inprocess(), f"{option}: a conftest.py or another plugin has an option of that name*"
    )


@pytest.mark.parametrize(
    "add", ["addoption('--seed')", "getgroup('x').addoption('--seed')", "getgroup('x').addoption('--own', dest='seed')"]
)
def test_an_option_that_another_takes_later_is_named(pytester: pytest.Pytester, add: str) -> None:
    pytester.makeconftest('pytest_plugins = ["bench.plugin", "other"]')
    pytester.makepyfile(other=f"def pytest_addoption(parser): parser.{add}")
    if "dest" in add:  # which pytest has them share
        pytester.makepyfile("def test_shared(pytestconfig): assert pytestconfig.getoption('seed') == 0")
        pytester.runpytest_inprocess().assert_outcomes(passed=1)
    else:
        refused(pytester.runpytest_inprocess(), "--seed: a conftest.py or another plugin has an option of that name*")


def test_another_plugins_own_mistake_is_shown_as_it_is(pytester: pytest.Pytester) -> None:
    pytester.makeconftest('pytest_plugins = ["bench.plugin", "other"]')
    pytester.makepyfile(other="def pytest_addoption(parser): parser.addoption('--x'); parser.addoption('--x')")
    result = pytester.runpytest_inprocess()
    result.stderr.fnmatch_lines(["ValueError: *--x*"])
    result.stderr.no_fnmatch_line("*DiartBench*")


def test_a_git_hook_of_another_repository(made_project: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("here", "other"):
        folder = made_project.mkdir(name) if name == "other" else made_project.path
        for arguments in (["init", "-q", "-b", name], ["commit", "-q", "--allow-empty", "-m", name]):
            subprocess.run(["git", "-c", "user.name=a", "-c", "user.email=a@b", *arguments], cwd=folder, check=True)
    commit = subprocess.run(
        ["git", "rev-parse", "HEAD"], cwd=made_project.path, capture_output=True, text=True, check=True
    ).stdout.strip()
    monkeypatch.setenv("GIT_DIR", str(made_project.path / "other/.git"))
    monkeypatch.setenv("GIT_WORK_TREE", str(made_project.path / "other"))
    assert run(made_project, "--benchmark-json=out.json").ret == 0
    info = json.loads((made_project.path / "out.json").read_text())["commit_info"]
    assert (info["id"], info["branch"]) == (commit, "here")
    assert os.environ["GIT_DIR"].endswith("other/.git")


def test_fixtures_of_the_users_own_may_be_called_like_ours(made_project: pytest.Pytester) -> None:
    made_project.makepyfile(
        """
        import pytest

        @pytest.fixture(params=["a", "b"])
        def recorded(request):
            return request.param

        @pytest.mark.parametrize(("variant", "scored"), [("mine", 1)])
        def test_mine(variant, scored, recorded):
            assert (variant, scored) == ("mine", 1) and recorded in "ab"
        """
    )
    made_project.runpytest_inprocess("--accuracy", "full").assert_outcomes(passed=2)
    assert made_project.runpytest_inprocess("--gate").ret == pytest.ExitCode.USAGE_ERROR


def test_codspeed_in_the_place_of_pytest_benchmark(made_project: pytest.Pytester) -> None:
    """As pytest-codspeed 5 does under --codspeed."""
    made_project.makeconftest(
        LOADED
        + """
import pytest
from types import SimpleNamespace

@pytest.hookimpl(tryfirst=True)
def pytest_configure(config):
    config.option.benchmark_disable = True
    config.pluginmanager.set_blocked("pytest_benchmark")
    config.pluginmanager.set_blocked("pytest-benchmark")
    config.pluginmanager.register(SimpleNamespace(is_codspeed_enabled=True), "codspeed_plugin")
"""
    )
    refused(run(made_project), "pytest-codspeed takes the place of pytest-benchmark: leave out --codspeed*")
    refused(run(made_project, "--gate"), "pytest-codspeed takes the place of pytest-benchmark: *")


def test_codspeed_that_is_only_installed_is_no_matter(made_project: pytest.Pytester) -> None:
    made_project.makeconftest(
        LOADED
        + """
from types import SimpleNamespace
def pytest_configure(config):
    config.pluginmanager.register(SimpleNamespace(is_codspeed_enabled=False), "codspeed_plugin")
"""
    )
    run(made_project).assert_outcomes(passed=2)


@pytest.mark.parametrize("name", ["bench", "variants"])
def test_a_package_that_hides_ours_is_named(pytester: pytest.Pytester, name: str) -> None:
    """Ours, installed as editable, whose modules are found by their full names, too."""
    home = Path(bench.__file__).parents[1]
    pytester.mkpydir(name)
    pytester.makeconftest(
        f"""
        import sys
        sys.path.append({str(home)!r})
        import {name}
        {name}.__path__ = [*{name}.__path__, {str(home / name)!r}]
        pytest_plugins = ["bench.plugin"]
        """
    )
    result = pytester.runpytest_subprocess()
    refused(result, f"*/{name} hides DiartBench's package `{name}` by its name: rename it*")


def test_a_timeout_for_tests_is_none_for_benchmarks(made_project: pytest.Pytester) -> None:
    """pytest-timeout's markers, without it: the first benchmark of a kind measures all of it."""
    made_project.makeconftest(
        LOADED
        + """
import pytest
from types import SimpleNamespace

def pytest_configure(config):
    config.addinivalue_line("markers", "timeout: pytest-timeout's")
    config.pluginmanager.register(SimpleNamespace(), "timeout")

@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items):
    print([(item.originalname, marker.args) for item in items for marker in item.iter_markers("timeout")])
"""
    )
    made_project.makepyfile("def test_mine(): pass")
    result = run(made_project, ".", "-s")
    result.stdout.fnmatch_lines(["*('bench_model_only', (0,)), ('bench_pipeline', (0,))]*"])
    assert "test_mine" not in result.stdout.str()


def test_ctrl_c_keeps_what_was_measured(made_project: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    def measure(_: object, kind: str, progress: object) -> object:
        if kind == "pipeline":
            raise Interrupted(made.rounds())
        return made.rounds()

    monkeypatch.setattr("bench.run.timing.Interleaved.measure", measure)
    result = run(made_project, "--benchmark-save=x", "--report", "report")
    assert result.ret == pytest.ExitCode.INTERRUPTED
    result.stdout.fnmatch_lines(["*Latency, model-only*", "*Latency, pipeline*", "*distilled*80.0*", "report: *"])
    assert len(list(made_project.path.glob(".benchmarks/*/0001_x.json"))) == 1


def test_ctrl_c_between_rounds() -> None:
    class Subject:
        calls = 0

        def start(self, stream: object) -> None: ...

        def __call__(self, item: object) -> dict[str, float]:
            Subject.calls += 1
            if Subject.calls == 10:  # the second round of the third block
                raise KeyboardInterrupt
            return {}

    with pytest.raises(KeyboardInterrupt) as caught:
        interleave({"a": Subject()}, [("x", range(40))], budget=1e9, quiet=lambda: True)
    assert isinstance(caught.value, Interrupted)
    assert len(caught.value.measurement.rounds["a"].seconds) == 6


def test_a_corpus_elsewhere(made_project: pytest.Pytester, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Behind a space, pytest would look for the conftest.py there, as the README says."""
    folder = tmp_path_factory.mktemp("elsewhere")
    run(made_project, f"--corpus={folder}").assert_outcomes(passed=2)
    assert run(made_project, "--corpus", str(folder)).ret == pytest.ExitCode.USAGE_ERROR


def test_a_folder_with_spaces(made_project: pytest.Pytester) -> None:
    (made_project.path / "of mine").mkdir()
    shutil.move(made_project.path / "conftest.py", made_project.path / "of mine")
    made_project.chdir()
    result = made_project.runpytest_inprocess(
        "--rootdir", "of mine", "of mine", "--pyargs", "bench", "--variants", "distilled", "--accuracy", "off",
        "--report", "of mine/a report", "--benchmark-json", "of mine/o u t.json", "-p", "no:randomly",
    )  # fmt: skip
    result.assert_outcomes(passed=2)
    assert (made_project.path / "of mine/a report/index.html").is_file()
    assert (made_project.path / "of mine/o u t.json").is_file()
