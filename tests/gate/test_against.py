"""Two revisions side by side: a git repository with the least of this project's own names, and a real clone."""

import os
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

import bench
from bench.corpus import Recording
from bench.gate import against
from bench.gate.against import Worker, checkout_of, worktree
from bench.gate.messages import Open
from bench.gate.session import NOW, Comparison, Key, measure
from bench.gate.verdict import REGRESSED
from bench.gate.worker import BlockError
from variants.errors import UserError


def git(where: Path, *arguments: str) -> str:
    identity = ("-c", "user.name=test", "-c", "user.email=test@example.org", "-c", "commit.gpgsign=false")
    done = subprocess.run(["git", "-C", str(where), *identity, *arguments], capture_output=True, text=True, check=True)
    return done.stdout.strip()


def commit(where: Path, **files: str) -> None:
    for name, text in files.items():
        path = where / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    git(where, "add", "--all")
    git(where, "commit", "--quiet", "--message", "change")


@pytest.fixture
def repository(tree: Path) -> Path:
    """Three revisions: before there was a `side.py`, a fast one, and a slow one."""
    git(tree, "init", "--quiet")
    side = (tree / "bench/run/side.py").read_text()
    (tree / "bench/run/side.py").unlink()
    commit(tree, **{"bench/run.py": "class Run: ...\n", "bench/measure.py": "BLOCK, LEAD = 4, 1\n"})
    git(tree, "tag", "old")
    (tree / "bench/run.py").unlink()
    commit(tree, **{"bench/run/side.py": side})
    git(tree, "tag", "fast")
    commit(tree, **{"variants/__init__.py": (tree / "variants/__init__.py").read_text().replace("0.001", "0.004")})
    return tree


def order(tree: Path, *names: str) -> Open:
    return Open(str(tree), {"seed": 5}, list(names), size=4, lead=1)


def test_each_side_runs_its_own_code(repository: Path) -> None:
    workers: dict[str, Worker] = {}
    with worktree(repository, "fast") as tree:
        assert tree != repository and "0.001" in (tree / "variants/__init__.py").read_text()
        try:
            for side, root in ((NOW, repository), ("fast", tree)):
                workers[side] = Worker(side, order(root, "baseline", "sleeper", "unknown"))
            assert workers["fast"].names == ["baseline", "sleeper"] == workers["fast"].registered
            block = workers["fast"].block("pipeline", "sleeper", 0)
            assert len(block.seconds) == len(block.usage) == 3 and block.stages == [{"seed": 5}] * 3
            with pytest.raises(BlockError, match=r"^ValueError: no such item$"):
                workers[NOW].block("pipeline", "sleeper", 2)
            comparison = Comparison("pipeline", "sleeper", "fast", 0.05)
            _, (judgement,) = measure(
                [comparison],
                [],
                lambda key, n: replace(workers[key.side].block("pipeline", key.name, n % 2), usage=[]),
                budget=0.1,
                judged=1,
            )
            assert comparison.keys == {Key(NOW, "sleeper"), Key("fast", "sleeper")}
            assert judgement.verdict == REGRESSED
        finally:
            for worker in workers.values():
                worker.close()
    assert not tree.exists() and git(repository, "worktree", "list").count("\n") == 0


def test_the_worktree_goes_even_if_something_fails(repository: Path) -> None:
    with pytest.raises(KeyError), worktree(repository, "fast") as tree:
        raise KeyError
    assert not tree.exists() and git(repository, "worktree", "list").count("\n") == 0


@pytest.mark.parametrize("revision", ["nowhere", "--output=x", "fast:variants"])
def test_unknown_revision(repository: Path, revision: str) -> None:
    with pytest.raises(UserError, match=f"--against {revision}: no such revision"), worktree(repository, revision):
        pass


def test_a_revision_from_before_the_side_is_refused_without_a_worktree(
    repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(against.tempfile, "TemporaryDirectory", lambda **_: pytest.fail("checked out"))
    message = r"^--against old: too old to be compared with: it has no bench/run/side\.py$"
    with pytest.raises(UserError, match=message), worktree(repository, "old"):
        pass


def test_other_constraints_are_refused(repository: Path) -> None:
    commit(repository, **{"constraints.txt": "numpy==2\n"})
    with pytest.raises(UserError, match=r"constraints\.txt differs.* add --against-env"), worktree(repository, "fast"):
        pass
    with worktree(repository, "fast", environment=True) as tree:
        assert "0.001" in (tree / "variants/__init__.py").read_text(), "it has packages of its own"
    git(repository, "rm", "--quiet", "constraints.txt")
    git(repository, "commit", "--quiet", "--message", "no constraints")
    git(repository, "tag", "none")
    commit(repository, **{"constraints.txt": "numpy==1\n"})
    with pytest.raises(UserError, match=r"it has no constraints\.txt"), worktree(repository, "none"):
        pass
    assert git(repository, "worktree", "list").count("\n") == 0


@pytest.mark.parametrize(
    "environment",
    [
        {"GIT_DIR": ".git"},
        {"GIT_DIR": "{tree}/.git", "GIT_INDEX_FILE": "{tree}/.git/index.lock"},
        {"GIT_DIR": "{other}/.git", "GIT_WORK_TREE": "{other}", "GIT_PREFIX": "bench/"},
        {"GIT_OBJECT_DIRECTORY": "{other}/objects", "GIT_COMMON_DIR": "{other}/.git"},
    ],
)
def test_inside_a_git_hook(
    repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, environment: dict[str, str]
) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value.format(tree=repository, other=tmp_path / "other"))
    assert checkout_of(repository / "bench") == repository
    with worktree(repository, "fast") as tree:
        assert "0.001" in (tree / "variants/__init__.py").read_text()
    assert not tree.exists()


def test_a_checkout_without_constraints_is_refused(repository: Path) -> None:
    (repository / "constraints.txt").unlink()
    with pytest.raises(UserError, match=r"constraints\.txt differs"), worktree(repository, "fast"):
        pass


def test_no_checkout(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="is in no git checkout"):
        checkout_of(tmp_path)


@pytest.mark.parametrize(
    ("file", "text", "pattern"),
    [
        ("bench/run/side.py", "", "^rev: it cannot be measured by this gate .ImportError: .*side"),
        ("bench/run/side.py", "def side(values, names): 1 / 0\n", "cannot be measured by this gate .ZeroDivisionError"),
        ("variants/__init__.py", "import os\nos._exit(3)\n", "its process died .exit code 3"),
        (
            "variants/__init__.py",
            "class UserError(Exception): pass\nraise UserError('no weights')\n",
            "rev: UserError: no",
        ),
    ],
)
def test_a_tree_that_cannot_be_measured(tree: Path, file: str, text: str, pattern: str) -> None:
    (tree / file).write_text(text)
    with pytest.raises(UserError, match=pattern):
        Worker("rev", order(tree, "baseline"))


@pytest.mark.parametrize(
    ("answers", "pattern"),
    [
        (['{"Hello": {"version": 0}}'], "^rev: its process speaks version 0 of the protocol, not 3$"),
        (["Traceback"], "^rev: its process does not keep to the protocol: no JSON"),
        (['{"Hello": {"version": 3}}', '{"Hello": {"version": 3}}'], r"^rev: its process answered Hello\(version=3\)$"),
        (['{"Hello": {"version": 3}}', '{"Malformed": {"why": "odd"}}'], r"answered Malformed\(why='odd'\)$"),
    ],
)
def test_a_process_that_answers_otherwise(
    tree: Path, monkeypatch: pytest.MonkeyPatch, answers: list[str], pattern: str
) -> None:
    monkeypatch.setattr(against, "START", f"print({chr(10).join(answers)!r}); input()")
    with pytest.raises(UserError, match=pattern):
        Worker("rev", order(tree, "baseline"))


SLOW = """
    import time
    whole = model.forward

    def forward(*args, **kwargs):
        end = time.thread_time() + 0.1
        while time.thread_time() < end:
            pass
        return whole(*args, **kwargs)

    model.forward = forward
    return model
"""


@pytest.mark.slow
def test_a_slowdown_committed_to_a_clone_is_found(tmp_path: Path, clip: Recording) -> None:
    """`baseline` itself, which no ratio to the baseline can show, becomes slower by 0.1 s a chunk."""
    root = checkout_of(Path(bench.__file__).parent)
    clone = tmp_path / "clone"
    subprocess.run(["git", "clone", "--quiet", "--depth", "1", f"file://{root}", str(clone)], check=True)
    # what is not committed yet belongs to the test as well
    for name in git(root, "ls-files", "--modified", "--others", "--exclude-standard").splitlines():
        if (root / name).is_file():
            (clone / name).parent.mkdir(parents=True, exist_ok=True)
            (clone / name).write_bytes((root / name).read_bytes())
    rule = clone / "bench/gate/contamination.py"  # a busy machine must not make this test inconclusive
    rule.write_text(rule.read_text().replace("    return found\n", "    return []\n"))
    verdict = clone / "bench/gate/verdict.py"  # and one pair of processes tells as much of what doubles
    verdict.write_text(re.sub(r"^PAIRS = \d+", "PAIRS = 1", verdict.read_text(), flags=re.MULTILINE))
    commit(clone)
    source = (clone / "variants/paper/baseline.py").read_text()
    assert source.count("    return model\n") == 2
    commit(clone, **{"variants/paper/baseline.py": source.replace("    return model\n", SLOW, 1)})
    command = ["-m", "pytest", "bench", "--gate", "--against", "HEAD~1", "--variants", "baseline", "-k", "model_only",
               "--accuracy", "off", "--corpus", str(clip.path.parent), "--gate-budget", "1", "--chunk", "2",
               "--step", "0.5", "--latency", "1"]  # fmt: skip
    environment = {**os.environ, "PYTHONPATH": str(clone)}
    done = subprocess.run([sys.executable, *command], cwd=clone, env=environment, capture_output=True, text=True)
    assert done.returncode == 10, done.stdout + done.stderr
    (row,) = [line.split() for line in done.stdout.splitlines() if " HEAD~1 " in line]
    assert row[:3] == ["model-only", "baseline", "HEAD~1"] and row[-1] == "regressed"
