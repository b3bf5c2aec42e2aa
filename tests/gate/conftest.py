"""A code tree that a worker can measure: the least of this project's own names, without any model."""

from pathlib import Path

import pytest

TREE = {
    "constraints.txt": "numpy==1\n",
    "bench/__init__.py": "",
    # one variant that takes SECONDS, by a clock that only it moves
    "bench/run/side.py": """
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

def side(values, asked):
    print("noise on standard output")
    return SimpleNamespace(
        names=[name for name in asked if name in names()], broken={"torn": "no weights"}, registered=names(), cpus=(),
        streams=[(values["seed"], list("abcdefgh")), (-1, ["bad"] * 4)], subject=lambda kind, name: Subject(),
        pinned=lambda name: False, quiet=lambda: True,
    )
""",
    "variants/__init__.py": """
SECONDS = 0.001

def names():
    return ["baseline", "sleeper"]
""",
}


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    folder = (tmp_path / "tree").resolve()
    for name, text in TREE.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    return folder
