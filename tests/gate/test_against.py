"""Two revisions side by side: a git repository with the least of this project's own names, and a real clone."""

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import bench
from bench.corpus import Recording
from bench.gate.against import Worker, checkout_of, worktree
from bench.gate.session import NOW, Comparison, Key, measure
from bench.gate.verdict import REGRESSED
from bench.gate.worker import BlockError
from variants.errors import UserError

# What a worker needs of a tree, without any model: one variant that takes SECONDS, by a clock that only it moves.
TREE = {
    "constraints.txt": "numpy==1\n",
    "bench/__init__.py": "",
    "bench/latency/interleave.py": "BLOCK, LEAD = 4, 1\n",
    "bench/latency/quiet.py": "def wait_until_quiet():\n    return True\n",
    "bench/latency/threads.py": "def apply(threads):\n    print('noise on standard output')\n",
    "bench/run/options.py": """
def add_options(add):
    add("--seed", type=int, default=0)

def parse(get):
    return {"seed": get("seed")}
""",
    "bench/run/run.py": """
import time
from types import SimpleNamespace
from variants import SECONDS, names

now = 0.0
time.perf_counter = lambda: now

class Subject:
    def start(self, stream):
        self.stream = stream
    def __call__(self, item):
        if item == "bad":
            raise ValueError("no such item\\nand more")
        global now
        now += SECONDS
        return {"seed": self.stream}

class Run:
    def __init__(self, options, selected, folder, progress):
        self.models = {name: None for name in selected}
        self.skipped, self.broken, self.threads = {}, {}, SimpleNamespace(cpus=())
        self.streams = [(options["seed"], list("abcdefgh")), (-1, ["bad"] * 4)]
    def prepare(self, timed):
        pass
    def subject(self, kind, name):
        return Subject()
""",
    "variants/__init__.py": """
from types import SimpleNamespace
SECONDS = 0.001

def names():
    return ["baseline", "sleeper"]

def get(name):
    return SimpleNamespace(pinned=False)
""",
}


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
def repository(tmp_path: Path) -> Path:
    """The first revision is slow, the second fast."""
    folder = (tmp_path / "repository").resolve()
    folder.mkdir()
    git(folder, "init", "--quiet")
    commit(folder, **TREE)
    git(folder, "tag", "fast")
    commit(folder, **{"variants/__init__.py": TREE["variants/__init__.py"].replace("0.001", "0.004")})
    return folder


def options(folder: Path) -> dict[str, Any]:
    return {"seed": 5, "folder": str(folder), "option_that_the_tree_does_not_know": 1}


def test_each_side_runs_its_own_code(repository: Path, tmp_path: Path) -> None:
    workers: dict[str, Worker] = {}
    with worktree(repository, "fast") as tree:
        assert tree != repository and "0.001" in (tree / "variants/__init__.py").read_text()
        try:
            for side, root in ((NOW, repository), ("fast", tree)):
                workers[side] = Worker(root, side, options(tmp_path), ["baseline", "sleeper", "unknown"])
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


def test_other_constraints_are_refused(repository: Path) -> None:
    commit(repository, **{"constraints.txt": "numpy==2\n"})
    with pytest.raises(UserError, match=r"constraints\.txt differs"), worktree(repository, "fast"):
        pass
    git(repository, "rm", "--quiet", "constraints.txt")
    git(repository, "commit", "--quiet", "--message", "no constraints")
    git(repository, "tag", "none")
    commit(repository, **{"constraints.txt": "numpy==1\n"})
    with pytest.raises(UserError, match=r"it has no constraints\.txt"), worktree(repository, "none"):
        pass
    assert git(repository, "worktree", "list").count("\n") == 0


def test_no_checkout(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="is in no git checkout"):
        checkout_of(tmp_path)


@pytest.mark.parametrize(
    ("file", "text", "pattern"),
    [
        ("bench/run/run.py", "", "cannot be measured by this gate .*Run"),
        ("bench/run/options.py", "def add_options(add): pass\ndef parse(get): 1 / 0\n", "cannot be measured.*division"),
        ("variants/__init__.py", "import os\nos._exit(3)\n", "its process died .exit code 3"),
        (
            "variants/__init__.py",
            "class UserError(Exception): pass\nraise UserError('no weights')\n",
            "rev: UserError: no",
        ),
    ],
)
def test_a_tree_that_cannot_be_measured(repository: Path, tmp_path: Path, file: str, text: str, pattern: str) -> None:
    (repository / file).write_text(text)
    with pytest.raises(UserError, match=pattern):
        Worker(repository, "rev", options(tmp_path), ["baseline"])


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
