"""Bisection: the search against an oracle, and end to end on a repository whose revisions take made-up times."""

import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench import __main__ as commands
from bench.gate import bisect as bisect_module
from bench.gate.against import Worker
from bench.gate.bisect import Bisection, beside
from bench.gate.messages import Open
from bench.gate.search import first_bad, steps
from bench.gate.session import measure
from bench.gate.verdict import INCONCLUSIVE, PASS, REGRESSED
from bench.statistics import Ratio
from variants.errors import UserError


@given(st.integers(1, 60), st.data())
def test_the_first_bad_revision_is_among_what_remains(count: int, data: st.DataObject) -> None:
    culprit = data.draw(st.integers(0, count - 1))
    unknown = data.draw(st.sets(st.integers(0, count - 2) if count > 1 else st.nothing()))
    tested: list[int] = []

    def test(revision: int) -> str:
        tested.append(revision)
        return INCONCLUSIVE if revision in unknown else REGRESSED if revision >= culprit else PASS

    left = first_bad(range(count), test)
    assert culprit in left
    assert set(left[:-1]) <= unknown  # nothing that could be told is left open
    assert len(set(tested)) == len(tested) and count - 1 not in tested
    if not unknown:
        assert list(left) == [culprit] and len(tested) <= steps(count)


def test_steps() -> None:
    assert [steps(n) for n in (0, 1, 2, 3, 4, 5, 8, 9, 1000)] == [0, 0, 1, 2, 2, 3, 3, 4, 10]


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [(1.021, 1.04, REGRESSED), (0.9, 1.019, PASS), (1.019, 1.03, INCONCLUSIVE), (0.0, float("inf"), INCONCLUSIVE)],
)
def test_a_change_beside_the_dividing_line(low: float, high: float, expected: str) -> None:
    assert beside(Ratio(1.02, low, high, 60), 0.02) == expected


def git(where: Path, *arguments: str) -> str:
    identity = ("-c", "user.name=test", "-c", "user.email=test@example.org", "-c", "commit.gpgsign=false")
    done = subprocess.run(["git", "-C", str(where), *identity, *arguments], capture_output=True, text=True, check=True)
    return done.stdout.strip()


Make = Callable[..., Path]


@pytest.fixture
def history(tree: Path, monkeypatch: pytest.MonkeyPatch) -> Make:
    """A repository with a commit for each of some durations, in ms; tags 0, 1, ... Text instead breaks a tree."""
    monkeypatch.setattr("bench.gate.session.causes", lambda turns: [])  # the trees' clock is no system's
    monkeypatch.setattr("bench.statistics.bootstrap.RESAMPLES", 100)
    side, names = tree / "bench/run/side.py", tree / "variants/__init__.py"
    side.write_text(side.read_text().replace(', (-1, ["bad"] * 4)', ""))
    whole = names.read_text()
    git(tree, "init", "--quiet")

    def make(*durations: float | str) -> Path:
        for number, duration in enumerate(durations):
            text = duration if isinstance(duration, str) else whole.replace("0.001", str(duration / 1000))
            names.write_text(f"# {number}\n{text}")
            git(tree, "add", "--all")
            git(tree, "commit", "--quiet", "--message", f"change {number}")
            git(tree, "tag", str(number))
        return tree

    return make


def bisection(tree: Path, lines: list[str], budget: float = 0.0) -> Bisection:
    return Bisection(tree, "pipeline", "sleeper", {"seed": 5}, budget, 0.05, lines.append)


def test_the_first_slow_commit_is_named(history: Make) -> None:
    """10 % slower from commit 3 on; before that 2 % are within, and commit 4 cannot be loaded."""
    tree, lines = history(1.0, 1.02, 1.02, 1.12, "raise ImportError('no such kernel')", 1.1, 1.1), list[str]()
    found = bisection(tree, lines).run("0", "6")
    assert git(tree, "describe", "--tags", found) == "3"
    assert [line.split(" ", 1)[1] for line in lines[:1] + lines[2:-1]] == [
        "change 6: +10.0 [+10.0, +10.0] %, bad",
        "change 3: +12.0 [+12.0, +12.0] %, bad",
        "change 1: +2.0 [+2.0, +2.0] %, good",
        "change 2: +2.0 [+2.0, +2.0] %, good",
    ]
    assert lines[1] == "dividing line: +5.0 %; 6 commits, about 3 steps"
    # four measurements of the eight that share 1 %
    assert lines[-1].splitlines()[0].endswith("change 3") and lines[-1].endswith("of the whole chain: at most 0.5 %")
    assert git(tree, "worktree", "list").count("\n") == 0


def test_what_cannot_be_told_is_skipped_and_left_open(history: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    """Commit 2 does not load, 3 lies on the dividing line: either may be the first bad one, or 4."""
    monkeypatch.setattr(bisect_module, "beside", lambda ratio, line, settled: (
        INCONCLUSIVE if abs(ratio.estimate - 1.05) < 0.01 else beside(ratio, line)))  # fmt: skip
    tree, lines = history(1.0, 1.0, "raise ImportError('no such kernel')", 1.05, 1.1), list[str]()
    with pytest.raises(UserError, match=r"^undecided: the first bad commit is one of 3, .* error of the whole chain"):
        bisection(tree, lines).run("0", "4")
    assert [line for line in lines if "skipped" in line] == [
        f"{git(tree, 'rev-parse', '--short', '2')} change 2: skipped, it cannot be measured by this gate "
        "(ImportError: no such kernel)",
        f"{git(tree, 'rev-parse', '--short', '3')} change 3: +5.0 [+5.0, +5.0] %, skipped, inconclusive after 0 s",
    ]
    assert [line.rsplit(" ", 1)[1] for line in lines if line.startswith("remains: ")] == ["2", "3", "4"]


def test_an_inconclusive_step_is_measured_on(history: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is told by the blocks of both measurements together."""
    seen: list[int] = []

    def late(ratio: Ratio, line: float, settled: bool) -> str:
        seen.append(ratio.rounds)
        return beside(ratio, line) if ratio.rounds > 3 * 8 else INCONCLUSIVE

    def measured(*arguments: Any, judged: int, **named: Any) -> Any:
        shares.append(judged)
        return measure(*arguments, judged=judged, **named)

    shares: list[int] = []
    monkeypatch.setattr("bench.gate.verdict.PAIRS", 1)
    monkeypatch.setattr(bisect_module, "beside", late)
    monkeypatch.setattr(bisect_module, "measure", measured)
    made = bisection(history(1.0, 1.0, 1.1), lines := [])
    assert git(made.checkout, "describe", "--tags", made.run("0", "2")) == "2"
    assert seen == [24, 27] and made.spent == 3 and lines[2].endswith("good")
    assert shares == [4] * 3  # two measurements of BAD and of one commit between share the error


def test_each_step_takes_as_many_pairs_of_processes_as_asked_for(
    history: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    started: list[str] = []

    class Counted(Worker):
        def __init__(self, side: str, order: Open) -> None:
            started.append(side)
            super().__init__(side, order)

    monkeypatch.setattr(bisect_module, "Worker", Counted)
    made = bisection(history(1.0, 1.1), [])
    made.options["processes"] = 5  # fewer tell nothing of what differs between them
    made.run("0", "1")
    assert started == ["--good 0", git(made.checkout, "rev-parse", "1")] * 5


@pytest.mark.parametrize(
    ("durations", "good", "bad", "pattern"),
    [
        ((1.0, 1.0), "0", "1", "^--bad 1: sleeper is not slower than in 0: there is nothing to bisect$"),
        ((1.0, 0.5), "0", "1", "^--bad 1: sleeper is not slower"),
        ((1.0, 1.1), "1", "0", "^--good 1: is no ancestor of 0$"),
        ((1.0, 1.1), "1", "1", "are the same commit$"),
        ((1.0, 1.1), "gone", "1", "^--good gone: no such revision in "),
        ((1.0, 1.1), "0", "gone", "^--bad gone: no such revision in "),
        (("SECONDS = 1\ndef names(): return ['baseline']", 1.1), "0", "1", "^--good 0: sleeper: it does not know that"),
        ((1.0, "raise ImportError('x')"), "0", "1", "whether sleeper is slower than in 0 cannot be told"),
    ],
)  # fmt: skip
def test_what_cannot_be_bisected_is_one_line(
    history: Make, durations: tuple[float | str, ...], good: str, bad: str, pattern: str
) -> None:
    tree = history(*durations)
    with pytest.raises(UserError, match=pattern):
        bisection(tree, []).run(good, bad)
    assert git(tree, "worktree", "list").count("\n") == 0


def test_a_commit_of_other_packages_is_skipped_with_the_reason(history: Make) -> None:
    tree, lines = history(1.0, 1.0, 1.0, 1.1), list[str]()
    git(tree, "checkout", "--quiet", "2")
    (tree / "constraints.txt").write_text("numpy==2\n")
    git(tree, "commit", "--quiet", "--all", "--message", "odd packages")
    git(tree, "cherry-pick", "--strategy-option", "theirs", "3")
    (tree / "constraints.txt").write_text("numpy==1\n")
    git(tree, "commit", "--quiet", "--all", "--amend", "--message", "slow")
    with pytest.raises(UserError, match="undecided: the first bad commit is one of 2"):
        bisection(tree, lines).run("0", "HEAD")
    (line,) = [line for line in lines if "odd packages" in line and "remains" not in line]
    assert line.endswith("skipped, its constraints.txt differs, so it needs other packages than these")


def test_the_command(history: Make, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    tree = history(1.0, 1.1)
    monkeypatch.setattr(commands, "checkout_of", lambda path: tree)
    arguments = ["bisect", "--good", "0", "--bad", "1", "--budget", "0", "--seed", "7"]
    assert commands.main([*arguments, "--variants", "sleeper"]) == 0
    assert "first bad commit: " in capsys.readouterr().out
    assert commands.main([*arguments[:-4], "--bad", "0", "--variants", "sleeper"]) == 1
    assert capsys.readouterr().err.startswith("bench: --good 0 and --bad 0 are the same commit")
    for named in ([], ["--variants", "a,b"], ["--variants", "all"]):
        assert commands.main([*arguments, *named]) == 1
        assert "name one variant by --variants" in capsys.readouterr().err
