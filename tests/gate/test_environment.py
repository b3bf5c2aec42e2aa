"""Another environment beside this one: stand-ins whose interpreter is this one with other packages on its path."""

import sys
from pathlib import Path

import pytest

from bench.gate.against import Worker
from bench.gate.environment import changed, difference, interpreter, versions
from bench.gate.messages import Open
from variants.errors import UserError


@pytest.fixture
def environment(tmp_path: Path) -> Path:
    """Has another torch, one package more, and takes four times as long."""
    for name, version in {"torch": "1.2.3", "Only_There": "1"}.items():
        (tmp_path / f"packages/{name}-{version}.dist-info").mkdir(parents=True)
        text = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
        (tmp_path / f"packages/{name}-{version}.dist-info/METADATA").write_text(text)
    python = tmp_path / "env/bin/python"
    python.parent.mkdir(parents=True)
    python.write_text(f'#!/bin/sh\nPYTHONPATH={tmp_path}/packages SECONDS=0.004 exec {sys.executable} "$@"\n')
    python.chmod(0o755)
    return tmp_path / "env"


def test_versions_are_those_of_that_interpreter(environment: Path) -> None:
    here, there = versions(Path(sys.executable)), versions(interpreter(environment))
    assert there == here | {"torch": "1.2.3", "only-there": "1"} and here["torch"] != "1.2.3"
    assert here["Python"] == ".".join(map(str, sys.version_info[:3]))
    assert changed(environment) == f"torch 1.2.3 (here {here['torch']})"


def test_what_matters_most_is_told_first_and_no_more_than_six() -> None:
    here = {"aaa": "1", "torch": "2.8.0", "onnxruntime": "1.22", "same": "1", "only-here": "3"}
    there = {"aaa": "2", "torch": "2.7.1", "same": "1", "only-there": "3"}
    assert difference(there, here) == "torch 2.7.1 (here 2.8.0), onnxruntime missing (here 1.22), aaa 2 (here 1)"
    assert difference(here, here) == "the same versions of all packages"
    many = {f"p{i}": "1" for i in range(9)}
    assert difference(dict.fromkeys(many, "2"), many).endswith("p5 2 (here 1) and 3 more")


def test_no_environment(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"^--against-env .*: no environment: it has no bin/python$"):
        interpreter(tmp_path)


@pytest.mark.parametrize(
    ("script", "pattern"),
    [
        ("#!/bin/sh\necho broken >&2\nexit 3\n", "fails: broken$"),
        ("#!/bin/sh\necho no json\n", "cannot be run: Expecting value"),
        ("#!/no/such/interpreter\n", "cannot be run: .*No such file"),
    ],
)
def test_an_interpreter_that_fails(tmp_path: Path, script: str, pattern: str) -> None:
    python = tmp_path / "bin/python"
    python.parent.mkdir()
    python.write_text(script)
    python.chmod(0o755)
    with pytest.raises(UserError, match=pattern):
        changed(tmp_path)


def test_the_same_tree_is_measured_by_that_interpreter(tree: Path, environment: Path) -> None:
    package = tree / "variants/__init__.py"
    package.write_text(package.read_text().replace("0.001", 'float(__import__("os").environ.get("SECONDS", "0.001"))'))
    order = Open(str(tree), {"seed": 5}, ["sleeper"], size=4, lead=1)
    seconds = []
    for python in (Path(sys.executable), interpreter(environment)):
        worker = Worker("side", order, python)
        seconds.append(worker.block("pipeline", "sleeper", 0).seconds)
        worker.close()
    assert seconds == [[pytest.approx(0.001)] * 3, [pytest.approx(0.004)] * 3]
