"""The selfcheck's runs in fresh processes: which are compared, and that none of them is lost."""

import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bench.gate.__main__ import main
from bench.gate.fresh import fresh
from bench.gate.messages import Block, Open
from bench.gate.selfcheck import AGAINST, FRESH, Outcome, alarming, apart, of_pairs
from bench.gate.verdict import INCONCLUSIVE, PASS, REGRESSED


@pytest.fixture(autouse=True)
def fewer_resamples(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bench.statistics.bootstrap.RESAMPLES", 100)


class Fleet:
    """Processes that note who was measured; `stop` is the process at whose start Ctrl-C comes."""

    def __init__(self, stop: int = 10**9) -> None:
        self.alive: set[int] = set()
        self.started, self.stop = 0, stop
        self.asked: list[tuple[int, str]] = []

    def __call__(self, side: str, order: Open) -> Any:
        assert len(self.alive) <= 1 and order.names == ["baseline"] and order.options["step"] == 1.0
        if self.started == self.stop:
            raise KeyboardInterrupt
        number, fleet = self.started, self
        self.started += 1
        self.alive.add(number)

        class Process:
            names, broken = ["baseline"], {}  # type: tuple[list[str], dict[str, str]]

            def block(self, kind: str, name: str, block: int) -> Block:
                fleet.asked.append((number, name))
                return Block([0.1 + 0.001 * (block % 3), 0.1, 0.1], [{}] * 3, [], True)

            def close(self) -> None:
                fleet.alive.discard(number)

        return Process()


def runs(fleet: Fleet, count: int, known: dict[str, list[Outcome]], saved: list[int]) -> None:
    fresh(fleet, "pipeline", "baseline", {"step": 1.0}, 0.0, count, known, lambda: saved.append(len(known[AGAINST])))


def test_each_with_itself_and_with_the_one_before() -> None:
    fleet, saved = Fleet(), []  # type: tuple[Fleet, list[int]]
    known: dict[str, list[Outcome]] = {FRESH: [], AGAINST: []}
    runs(fleet, 3, known, saved)
    assert fleet.started == 4 and not fleet.alive and len(saved) == 6
    assert [outcome.verdict for way in known.values() for outcome in way] == [PASS] * 6
    assert known[FRESH][0].ratio is not None and known[FRESH][0].ratio[0] == pytest.approx(1.0)
    who = [fleet.asked[i : i + 16] for i in range(0, len(fleet.asked), 16)]  # 8 blocks of two sides
    assert [{number for number, _ in run} for run in who] == [{0}, {1}, {0, 1}, {2}, {1, 2}, {2, 3}]
    assert {name for _, name in who[0]} == {"baseline", "baseline again"}
    assert {name for _, name in who[2]} == {"baseline"}


def test_an_interruption_loses_nothing_and_it_goes_on() -> None:
    known: dict[str, list[Outcome]] = {FRESH: [], AGAINST: []}
    with pytest.raises(KeyboardInterrupt):
        runs(Fleet(stop=2), 3, known, [])
    assert (len(known[FRESH]), len(known[AGAINST])) == (2, 1)
    first, rest = list(known[FRESH]), Fleet()
    runs(rest, 3, known, [])
    assert (len(known[FRESH]), len(known[AGAINST])) == (3, 3) and known[FRESH][:2] == first and rest.started == 3


def test_the_command_keeps_each_run_and_resumes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "selfcheck.json"
    arguments = ["selfcheck", "--seconds", "0", "--loaded-seconds", "0", "--live", "0", "--fresh-budget", "0"]
    arguments += ["--kind", "pipeline", "--json", str(file), "--resume", "--replays", "3"]
    monkeypatch.setattr("bench.gate.against.Worker", Fleet(stop=3))
    assert main([*arguments, "--fresh", "6"]) != 0
    kept = json.loads(file.read_text())["fresh"]
    assert {way: len(outcomes) for way, outcomes in kept.items()} == {FRESH: 3, AGAINST: 2}
    monkeypatch.setattr("bench.gate.against.Worker", Fleet())
    capsys.readouterr()
    assert main([*arguments, "--fresh", "6"]) == 0
    text = capsys.readouterr().out
    assert json.loads(file.read_text())["fresh"][FRESH][:3] == kept[FRESH]
    for line in (f"| none | 6 {FRESH} | 0 | - | 0.0 [0.0, 45.9] | 100.0 [54.1, 100.0]",
                 f"| none | 6 {AGAINST} | 0 | - | 0.0 [0.0, 45.9]",
                 "| none | 3 5 pairs of processes, drawn from those |",
                 f"Of {AGAINST}, the ratio varies by 0.00% from run to run"):  # fmt: skip
        assert line in text
    assert main(["selfcheck", "--from", str(file), "--replays", "3"]) == 0
    assert f"| none | 6 {AGAINST} |" in capsys.readouterr().out
    assert main([*arguments, "--variant", "distilled"]) == 1
    assert "is of baseline, pipeline" in capsys.readouterr().err


def outcome(log: float, half: float = 0.0196) -> Outcome:
    return Outcome(PASS, 3.0, False, [math.exp(log), math.exp(log - half), math.exp(log + half)])


def test_what_varies_from_run_to_run_by_hand() -> None:
    # variance of -4, 0 and 4 %: 16 %%; each with an error of 1 %: 15 %% are left
    assert apart([outcome(x) for x in (-0.04, 0.0, 0.04)]) == pytest.approx(math.sqrt(15e-4), rel=1e-3)
    assert apart([outcome(x) for x in (-0.001, 0.0, 0.001)]) == 0.0
    assert apart([outcome(0.0)]) is None and apart([Outcome(PASS, 1.0, None)] * 3) is None


def test_what_alarms_more_than_stated_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def ran(alarms: int) -> list[Outcome]:
        return [replace(outcome(0.03), verdict=REGRESSED)] * alarms + [outcome(0.0)] * (100 - alarms)

    # exact lower ends of 3 and 4 of 100: 0.62 and 1.10 %
    assert [alarming(ran(alarms)) for alarms in (0, 3, 4)] == [False, False, True] and not alarming([])
    saved: dict[str, Any] = {"variant": "baseline", "kind": "pipeline", "seconds": 90.0, "recorded": {}, "live": [],
                             "conditions": {"cpu": "X", "threads": "1"}}  # fmt: skip
    for alarms in (3, 4):
        saved["fresh"] = {AGAINST: [vars(one) for one in ran(alarms)]}
        (tmp_path / "x.json").write_text(json.dumps(saved))
        assert main(["selfcheck", "--from", str(tmp_path / "x.json"), "--replays", "2"]) == 0
        assert ("PAIRS in bench/gate/verdict.py has to be 5" in capsys.readouterr().out) == (alarms == 4)


def test_five_pairs_drawn_by_hand() -> None:
    same = of_pairs([outcome(x) for x in (-0.005, -0.002, 0.0, 0.002, 0.005)], 4)
    assert [(o.verdict, o.seconds) for o in same] == [(PASS, 15.0)] * 4  # t of 4 degrees at 98 %: 3.75 x 0.17 % < 5 %
    slow = of_pairs([outcome(0.06 + x) for x in (-0.005, -0.002, 0.0, 0.002, 0.005)], 4)
    assert {o.verdict for o in slow} == {REGRESSED}
    wild = of_pairs([outcome(x) for x in (-0.1, -0.05, 0.0, 0.05, 0.1)], 4)
    assert {o.verdict for o in wild} == {INCONCLUSIVE}
    assert of_pairs([outcome(0.0)] * 4, 4) == []
