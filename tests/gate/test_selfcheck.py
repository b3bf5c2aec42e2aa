"""The operating curve, on recordings whose truth is known."""

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import variants
from bench.gate import record
from bench.gate.__main__ import main
from bench.gate.contamination import Usage
from bench.gate.messages import Block
from bench.gate.record import Slowed, steps_per_round, timed_copies
from bench.gate.selfcheck import (
    SAME,
    SLOWED,
    Blocks,
    Outcome,
    Row,
    as_json,
    contaminated,
    from_json,
    replay,
    replays,
    table,
)
from bench.gate.verdict import INCONCLUSIVE, PASS, REGRESSED
from bench.statistics import share


@pytest.fixture(autouse=True)
def fewer_resamples(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bench.statistics.bootstrap.RESAMPLES", 200)


def recorded(count: int = 64, noise: float = 0.02, dirty: bool = False, drift: float = 1.0) -> Blocks:
    random = np.random.default_rng(0)
    usage = [Usage(0.1, 0.1, 0, 0.0, 0.09 if dirty else 0.0)] * 3
    return [
        {
            name: Block(
                (
                    0.1 * drift ** (n / count) * (1 + SLOWED.get(name, 0)) * np.exp(noise * random.standard_normal(3))
                ).tolist(),
                [{}] * 3,
                usage,
                True,
            )
            for name in (*SAME, *SLOWED)
        }
        for n in range(count)
    ]


def test_replays_find_what_was_put_in() -> None:
    ticks: list[None] = []
    rows = replays(recorded(), "none", 10, budget=300, size=4, progress=lambda: ticks.append(None))
    assert len(ticks) == 40 and [row.injected for row in rows] == [0, 0.03, 0.05, 0.10]
    for row in rows:
        assert row.measured == pytest.approx(row.injected, abs=0.01)
    same, _, five, ten = ({outcome.verdict for outcome in row.outcomes} for row in rows)
    assert (same, five, ten) == ({PASS}, {REGRESSED}, {REGRESSED})


def test_a_replay_costs_what_its_blocks_did_and_uses_each_once() -> None:
    blocks = recorded(count=20, noise=1.0)
    whole = sum(sum(block[name].seconds) * 4 / 3 for block in blocks for name in SAME)
    outcome = replay(blocks, SAME[0], SAME[1], start=13, then=2, budget=1e9, size=4)
    assert outcome.verdict == INCONCLUSIVE and outcome.seconds == pytest.approx(whole)
    first = replay(blocks, SAME[0], SAME[1], start=13, then=2, budget=1e-3, size=4)
    numbers = [(13 + n) % 20 for n in range(8)]
    assert first.seconds == pytest.approx(sum(sum(blocks[n][name].seconds) * 4 / 3 for n in numbers for name in SAME))


def test_a_contaminated_recording_is_inconclusive() -> None:
    blocks = recorded(count=16, dirty=True)
    assert contaminated(blocks) == 1
    (row, *_) = replays(blocks, "busy", 3, budget=300, size=4)
    assert {outcome.verdict for outcome in row.outcomes} == {INCONCLUSIVE}


def test_drift_fools_the_median_but_not_the_gate() -> None:
    """A machine that gets 30 % slower meanwhile: `median:5%` compares two times, the gate two subjects."""
    blocks = recorded(drift=1.3)
    late = replay(blocks, SAME[1], SAME[0], start=40, then=0, budget=300, size=4)
    assert (late.verdict, late.median_fails) == (PASS, True)


def test_table_by_hand() -> None:
    outcomes = [Outcome(REGRESSED, 10, True)] * 1 + [Outcome(PASS, 30, False)] * 3
    rows = [Row("none", "replayed", 0.05, 0.049, outcomes), Row("none", "live", 0.0, None, outcomes[1:])]
    lines = [[cell.strip() for cell in line.strip("|").split("|")] for line in table(rows).splitlines()]
    assert len({len(line) for line in lines}) == 1
    assert lines[2] == ["none", "4 replayed", "5", "+4.9", "25.0 [0.6, 80.6]", "75.0 [19.4, 99.4]", "0.0 [0.0, 60.2]",
                        "30", "25.0 [0.6, 80.6]"]  # fmt: skip
    assert lines[3][1:4] == ["3 live", "0", "-"]
    assert share(0, 0) == "-"


def test_json_keeps_the_recording() -> None:
    blocks = recorded(count=2)
    assert from_json(json.loads(json.dumps(as_json(blocks)))) == list(blocks)


def test_slowed_does_its_work_then_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    log: list[Any] = []

    class Subject:
        def start(self, stream: Any) -> None:
            log.append(("start", stream))

        def __call__(self, item: Any) -> dict[str, float]:
            log.append(item)
            return {"rest": 1.0}

    monkeypatch.setattr(record, "busy", lambda steps: log.append(steps))
    slowed = Slowed(Subject(), 7)
    slowed.start("file")
    assert slowed("item") == {"rest": 1.0}
    assert log == [("start", "file"), "item", 7]


def test_every_copy_has_a_model_of_its_own_and_what_its_variant_has(monkeypatch: pytest.MonkeyPatch) -> None:
    class Models(dict[str, object]):
        root, skipped, broken = None, {}, {}

        def build(self, name: str) -> object:
            return object()

    class Run:
        models = Models({"distilled-onnx": "the run's own"})
        corpus = SimpleNamespace(streams=())
        cores = SimpleNamespace(threads=SimpleNamespace(cpus=(3,)))
        timing = SimpleNamespace(subject=lambda kind, name, model: (variants.get(name), model))

    monkeypatch.setattr(record, "steps_per_round", lambda timed, kind: 1000)
    timed = timed_copies(Run(), "pipeline", "distilled-onnx")  # type: ignore[arg-type]
    subjects = [timed.subjects["pipeline", label] for label in SAME]
    subjects += [timed.subjects["pipeline", label].subject for label in SLOWED]  # type: ignore[attr-defined]
    assert len({id(model) for _, model in subjects}) == 5  # type: ignore[attr-defined]
    assert [timed.subjects["pipeline", label].steps for label in SLOWED] == [30, 50, 100]  # type: ignore[attr-defined]
    assert timed.side.cpus == (3,) and not timed.side.pinned(SAME[0])


def test_calibration_is_the_ratio_of_the_medians(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 0.0

    class Subject:
        def start(self, stream: Any) -> None: ...

        def __call__(self, item: Any) -> None:
            nonlocal now
            now += 0.5

    def busy(steps: int) -> None:
        nonlocal now
        now += 1e-6 * steps

    class Timed:
        blocks = [("file", 0, [1, 2, 3, 4])]  # noqa: RUF012
        subjects = {("pipeline", SAME[0]): Subject()}  # noqa: RUF012

    monkeypatch.setattr(record, "busy", busy)
    monkeypatch.setattr(record.time, "perf_counter", lambda: now)
    assert steps_per_round(Timed(), "pipeline") == pytest.approx(500_000)  # type: ignore[arg-type]


def test_the_table_comes_again_from_the_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "selfcheck.json"
    saved = {"variant": "baseline", "kind": "pipeline", "seconds": 90.0, "conditions": {"cpu": "X", "threads": "1"},
             "recorded": {"none": as_json(recorded(count=16))}, "live": [vars(Outcome(PASS, 3.0, False))]}  # fmt: skip
    file.write_text(json.dumps(saved))
    printed = []
    for _ in range(2):
        assert main(["selfcheck", "--from", str(file), "--replays", "2", "--json", str(tmp_path / "out.json")]) == 0
        printed.append(capsys.readouterr().out)
    assert printed[0] == printed[1] and "16 blocks recorded, 0.0% of them contaminated" in printed[0]
    assert printed[0].count("\n| none |") == 5
    assert len(json.loads((tmp_path / "out.json").read_text())["rows"]) == 5


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"recorded": {"none": [{}]}}'])
def test_other_files_are_refused_in_one_line(tmp_path: Path, text: str, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "x.json").write_text(text)
    assert main(["selfcheck", "--from", str(tmp_path / "x.json")]) == 1
    assert len(capsys.readouterr().err.strip().splitlines()) == 1


def test_a_file_that_cannot_be_written_is_refused_before_measuring(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bench.gate.__main__.measured", lambda *_: pytest.fail("measured"))
    (tmp_path / "file").write_text("")
    for path, why in (
        (tmp_path / "file" / "x.json", "cannot be written there (File exists)"),
        (tmp_path, "this is a folder; name the file to write"),
    ):
        assert main(["selfcheck", "--json", str(path)]) == 1
        (line,) = capsys.readouterr().err.strip().splitlines()
        assert line == f"bench.gate: --json {path}: {why}"
