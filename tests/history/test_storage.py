"""Stored runs: whole or not at all, one number each, and nothing lost to somebody else's files."""

import json
import multiprocessing
import warnings
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from bench.history.storage import SafeStorage, foreign

BENCHMARK = """
def test_something(benchmark):
    benchmark.pedantic(int, rounds=3)
"""


@pytest.fixture
def project(pytester: pytest.Pytester) -> pytest.Pytester:
    pytester.makeconftest('pytest_plugins = ["bench.plugin"]\n')
    pytester.makepyfile(BENCHMARK)
    return pytester


def stored(project: pytest.Pytester) -> list[str]:
    return sorted(path.name for path in project.path.glob(".benchmarks/*/*"))


def quiet_storage(folder: Path) -> SafeStorage:
    return SafeStorage(folder, SimpleNamespace(info=lambda *_, **__: None), "here")


def test_a_killed_run_leaves_no_broken_file(project: pytest.Pytester) -> None:
    project.makepyfile(
        kill="""
        import os, pathlib, signal
        from variants import files

        class Killing(type(pathlib.Path())):  # dies when the data is written, but not yet in its place
            def replace(self, target):
                assert self.stat().st_size > 1000
                os.kill(os.getpid(), signal.SIGKILL)

        files.Path = Killing
        """
    )
    arguments = ("--benchmark-save=one", "--benchmark-json=out.json")
    killed = project.runpytest_subprocess("-p", "kill", *arguments, timeout=120)
    assert killed.ret == -9
    assert not list(project.path.glob("out*")) and not [name for name in stored(project) if name.endswith(".json")]
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # nothing that would have to be skipped
        warnings.filterwarnings("ignore", "Can't compare")
        assert project.runpytest_inprocess(*arguments, "--benchmark-compare").ret == 0
    assert [name for name in stored(project) if name.endswith(".json")] == ["0001_one.json"]
    (saved,) = project.path.glob(".benchmarks/*/*.json")
    for path in (saved, project.path / "out.json"):
        assert json.loads(path.read_text())["benchmarks"][0]["stats"]["rounds"] == 3
        assert path.stat().st_mode & 0o777 == 0o644


def _save(folder: Path, name: str, barrier: Any) -> None:
    storage = quiet_storage(folder)
    barrier.wait()
    for _ in range(5):
        storage.save({"name": name, "filling": "x" * 100_000}, name)


def test_two_runs_at_once_do_not_clobber_one_another(tmp_path: Path) -> None:
    context = multiprocessing.get_context("fork")
    barrier = context.Barrier(2)
    runs = [context.Process(target=_save, args=(tmp_path, "same", barrier)) for _ in range(2)]
    for run in runs:
        run.start()
    for run in runs:
        run.join()
    assert [run.exitcode for run in runs] == [0, 0]
    names = sorted(path.name for path in (tmp_path / "here").iterdir())
    assert names == [f"{number:04}_same.json" for number in range(1, 11)]


def test_truncated_and_foreign_files_are_named_and_skipped(project: pytest.Pytester) -> None:
    assert project.runpytest_inprocess("--benchmark-save=whole", "-q").ret == 0
    (whole,) = project.path.glob(".benchmarks/*/0001_whole.json")
    text = whole.read_text()
    damaged = {"truncated": text[: len(text) // 2], "list": "[1, 2]", "empty": "", "foreign": '{"benchmarks": []}'}
    for name, content in damaged.items():
        whole.with_name(f"0002_{name}.json").write_text(content)
    with pytest.warns(Warning) as caught:
        result = project.runpytest_inprocess("--benchmark-compare", "--benchmark-save=next", "-q")
    assert result.ret == 0
    said = [str(warning.message) for warning in caught]
    for name in damaged:
        assert any(f"0002_{name}.json" in line for line in said)
    assert "0001_whole" in result.stdout.str()  # the one before them is compared with
    assert "0003_next.json" in stored(project)


def test_what_makes_a_file_foreign() -> None:
    whole: dict[str, Any] = {"machine_info": {}, "datetime": "", "benchmarks": [{"fullname": "x"}]}
    assert foreign(whole) is None
    assert "'datetime'" in (foreign({k: v for k, v in whole.items() if k != "datetime"}) or "")
    assert "'fullname'" in (foreign(whole | {"benchmarks": [{}]}) or "")


def test_nothing_stays_patched(project: pytest.Pytester) -> None:
    from pytest_benchmark import session

    before = session.load_storage, session.BenchmarkSession.save_json
    assert project.runpytest_inprocess("-q").ret == 0
    assert (session.load_storage, session.BenchmarkSession.save_json) == before
