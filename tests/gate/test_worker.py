"""The worker, as a process that anything may be said to, and what it times."""

import json
import subprocess
import sys
from collections.abc import Callable, Generator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from bench.gate.against import GATE, START
from bench.gate.worker import BlockError, Timed

Say = Callable[[str | bytes], dict[str, Any]]


@pytest.fixture
def say(tree: Path) -> Generator[Say, None, None]:
    """Sends a line to a worker, and gives its answer."""
    command = [sys.executable, "-c", START, str(tree), str(GATE)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
        assert process.stdin is not None and process.stdout is not None
        assert json.loads(process.stdout.readline()) == {"Hello": {"version": 3}}

        def ask(line: str | bytes) -> dict[str, Any]:
            process.stdin.write((line if isinstance(line, bytes) else line.encode()) + b"\n")
            process.stdin.flush()
            answer: dict[str, Any] = json.loads(process.stdout.readline())
            return answer

        yield ask
        process.stdin.close()
        assert process.wait(10) == 0  # it ends with its input


def measure(**fields: Any) -> str:
    return json.dumps({"Measure": {"kind": "pipeline", "name": "sleeper", "number": 0} | fields})


def opening(tree: Path, **fields: Any) -> str:
    given = {"tree": str(tree), "options": {"seed": 5}, "names": ["sleeper", "torn"], "size": 4, "lead": 1}
    return json.dumps({"Open": given | fields})


def test_it_answers_whatever_it_is_told_and_goes_on(say: Say, tree: Path) -> None:
    assert say(measure()) == {"Malformed": {"why": "Measure: no tree is open"}}
    assert say('{"Count": {"name": "sleeper"}}') == {"Malformed": {"why": "Count: no tree is open"}}
    assert say(opening(tree, size="4")) == {"Malformed": {"why": "Open.size: '4' is no int"}}
    (refused,) = say(opening(tree, options={})).values()
    assert refused == {"why": "it cannot be measured by this gate (KeyError: 'seed')"}
    opened = {"names": ["sleeper"], "broken": {"torn": "no weights"}, "registered": ["baseline", "sleeper"]}
    assert say(opening(tree)) == {"Opened": opened}
    for line, why in {
        "{": "no JSON (Expecting property name enclosed in double quotes: line 2 column 1 (char 2))",
        b"\xff": "no JSON ('utf-8' codec can't decode byte 0xff in position 0: invalid start byte)",
        '{"Stop": {}}': "{'Stop': {}}: expected one of Open, Measure, Count with its fields",
        measure(number=None): "Measure.number: None is no int",
        opening(tree): "Open: a tree is open already",
    }.items():
        assert say(line) == {"Malformed": {"why": why}}
    assert say(measure(number=2)) == {"Raised": {"why": "ValueError: no such item"}}
    block = say(measure())["Block"]
    assert block["stages"] == [{"seed": 5}] * 3 and block["pinned"] is False
    assert block["seconds"] == pytest.approx([0.001] * 3)


def test_counts_of_a_tree_that_has_them(say: Say, tree: Path) -> None:
    side = tree / "bench/run/side.py"
    counts = "counts=lambda name: {'sessions': 2} if name == 'sleeper' else 1 / 0, pinned="
    side.write_text(side.read_text().replace("pinned=", counts))
    say(opening(tree))
    assert say('{"Count": {"name": "sleeper"}}') == {"Counted": {"counts": {"sessions": 2.0}}}
    assert say('{"Count": {"name": "torn"}}') == {"Raised": {"why": "ZeroDivisionError: division by zero"}}


def test_a_tree_from_before_there_were_counts(say: Say, tree: Path) -> None:
    say(opening(tree))
    assert say('{"Count": {"name": "sleeper"}}') == {"Raised": {"why": "that revision counts nothing"}}


def test_another_tree_than_the_one_on_the_path_is_refused(say: Say, tmp_path: Path) -> None:
    assert "`bench` came from" in say(opening(tmp_path))["Refused"]["why"]


def test_nothing_of_bench_or_variants_is_imported_before_a_tree_is_opened(tree: Path) -> None:
    """They would be another revision's: whatever the gate's own files need of them may be missing there."""
    without = "import sys; sys.modules['bench'] = sys.modules['variants'] = None\n"  # `import bench` raises
    command = [sys.executable, "-c", without + START, str(tree), str(GATE)]
    done = subprocess.run(command, input=opening(tree) + "\n", capture_output=True, text=True, check=True)
    hello, refused = map(json.loads, done.stdout.splitlines())
    assert hello == {"Hello": {"version": 3}} and "import of bench halted" in refused["Refused"]["why"]


class Logged:
    def __init__(self) -> None:
        self.log: list[str] = []

    def start(self, stream: str) -> None:
        self.log.append(stream)

    def __call__(self, item: str) -> dict[str, float]:
        self.log.append(item)
        return {}


def timed(subject: Logged, *streams: tuple[str, str], lead: int = 1) -> Timed:
    side: Any = SimpleNamespace(
        streams=streams,
        cpus=(),
        subject=lambda kind, name: subject,
        pinned=lambda name: True,
        quiet=lambda: subject.log.append("quiet"),
    )
    return Timed(side, 2, lead)


def test_a_block_that_follows_no_other_starts_its_file() -> None:
    subject = Logged()
    blocks = timed(subject, ("one", "abcde"), ("two", "xy"))
    for number, log in {1: "one quiet c d", 2: "two quiet x y", 3: "one quiet a b", 4: "quiet c d"}.items():
        subject.log.clear()
        assert len(blocks.block("pipeline", "any", number).seconds) == 1
        assert subject.log == log.split()
    subject.log.clear()
    blocks.block("pipeline", "any", 4)
    assert subject.log == ["one", "quiet", "c", "d"]


def test_audio_shorter_than_a_block() -> None:
    with pytest.raises(BlockError, match=r"^the audio is shorter than one block of chunks$"):
        timed(Logged(), ("one", "a")).block("pipeline", "any", 0)
