"""One gated run put together: what it compares, what fails by name, its verdict, table and exit codes."""

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from bench.accuracy.der import Accuracy, FileScore
from bench.accuracy.errors import Components
from bench.accuracy.evidence import Evidence
from bench.gate import gate as gate_module
from bench.gate.contamination import Usage
from bench.gate.gate import Gate
from bench.gate.messages import Block, Open
from bench.gate.report import render
from bench.gate.session import Judgement
from bench.gate.stored import Stored, latest
from bench.gate.verdict import EXIT, INCONCLUSIVE, PASS, REGRESSED
from bench.gate.worker import BlockError
from variants.errors import UserError

CONDITIONS: dict[str, Any] = {
    "machine": {"cpu": "Xeon", "flags": ["avx2"]}, "threads": 1, "embedding": "e", "segmentation": "s",
    "settings": {"step": 0.25}, "timed_on": ["a"], "scored_on": ["a"], "scoring": {"collar": 0.0},
}  # fmt: skip
SECONDS = {"baseline": 0.1, "baseline-twin": 0.1, "distilled": 0.08, "shared-trunk": 0.04}


class FakeModels(dict[str, None]):
    skipped: dict[str, str]


class FakeRun:
    """What the gate needs of a run."""

    def __init__(self, **skipped: str) -> None:
        self.models = FakeModels.fromkeys(name for name in SECONDS if name not in skipped)
        self.models.skipped = skipped
        self.options = SimpleNamespace(timing=SimpleNamespace(seed=0, processes=1))

    def conditions(self) -> dict[str, Any]:
        return CONDITIONS


def stored(ratios: dict[str, float], ders: list[float | None] | None = None, **conditions: Any) -> Stored:
    benchmarks = [
        {
            "group": "pipeline",
            "extra_info": {
                "variant": name,
                "ratio_to_baseline": {"estimate": ratio, "low": 0.99 * ratio, "high": 1.01 * ratio},
                "der": 20.0,
                "der_by_perturbation": ders,
            },
            "stats": {"rounds": 60},
        }
        for name, ratio in ratios.items()
    ]
    return latest([("one.json", {"benchmarks": benchmarks, "diartbench": CONDITIONS | conditions})], "Xeon")


@pytest.fixture(autouse=True)
def fake_timing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Blocks of fixed durations, slightly different from one another."""

    class FakeTimed:
        def __init__(self, *_: Any) -> None: ...

        def block(self, kind: str, name: str, number: int) -> Block:
            seconds = [SECONDS[name] * (1 + 0.001 * ((number * 7 + i) % 5)) for i in range(3)]
            return Block(seconds, [{}] * 3, [Usage(0.1, 0.1, 0, 0.01 if number == 0 else 0.0, None)] * 3, True)

    monkeypatch.setattr(gate_module, "Timed", FakeTimed)
    monkeypatch.setattr(gate_module.Side, "of", lambda run: None)
    monkeypatch.setattr("bench.statistics.bootstrap.RESAMPLES", 100)


def gate(then: Stored | None, names: tuple[str, ...] = ("baseline", "distilled"), **options: Any) -> Gate:
    run: Any = options.pop("run", None) or FakeRun()
    limits = dict.fromkeys(SECONDS, 0.05)
    made = Gate(run, [("pipeline", name) for name in names], limits, then, budget=1e-6, **options)
    made.rounds = made.measure("pipeline", lambda done: None)  # type: ignore[attr-defined]
    return made


@pytest.mark.parametrize(("then", "verdict", "code"), [(0.8, PASS, 0), (0.7, REGRESSED, 10)])
def test_the_variant_is_judged_by_its_ratio(then: float, verdict: str, code: int) -> None:
    made = gate(stored({"baseline": 1.0, "distilled": then}))
    assert [(j.comparison.variant, j.verdict) for j in made.judgements] == [("distilled", verdict)]
    assert made.verdict == verdict and EXIT.get(made.verdict, 0) == code
    assert set(made.rounds.rounds) == {"baseline", "baseline-twin", "distilled"}  # type: ignore[attr-defined]
    text = render(made)
    (row,) = [line for line in text.splitlines() if "distilled" in line]
    assert row.split()[:3] == ["pipeline", "distilled", "stored"] and row.split()[-1] == verdict
    assert "1 of 8 blocks contaminated, 12% (steal 1): dropped." in text and text.rstrip().endswith(f"Gate: {verdict}")
    assert json.loads(json.dumps(made.facts()))["verdict"] == verdict


def test_what_cannot_be_judged_fails_by_name() -> None:
    vanished = gate(stored({"baseline": 1.0, "distilled": 0.8, "shared-trunk": 0.4}))
    assert [(f.variant, f.why) for f in vanished.failures] == [("shared-trunk", "stored, but not measured now")]
    assert vanished.verdict == REGRESSED
    row = next(line for line in render(vanished).splitlines() if "shared-trunk" in line)
    assert "failed" in row and "stored, but not measured now" in row
    assert gate(stored({"baseline": 1.0, "distilled": 0.8, "shared-trunk": 0.4}), narrowed=True).verdict == PASS

    skipped = gate(stored({"distilled": 0.8}), run=FakeRun(distilled="needs onnx"))
    assert "skipped now: needs onnx" in skipped.failures[0].why and not skipped.judgements

    other = gate(stored({"baseline": 1.0, "distilled": 0.8}, threads=2))
    assert [f.variant for f in other.failures] == ["baseline", "distilled"] and not other.judgements
    assert "threads: 2 then, 1 now" in other.failures[0].why


def test_pinned_run_and_trend_share_the_error() -> None:
    last, pinned = stored({"baseline": 1.0, "distilled": 0.8}), stored({"baseline": 1.0, "distilled": 0.79})
    other = Stored("two.json", pinned.ratios, pinned.benchmarks, pinned.der, pinned.saved)
    runs: Any = [SimpleNamespace(ratios=last.ratios)] * 5
    alone, among = gate(last), gate(last, pinned=other, past=runs)
    assert [j.comparison.against for j in among.judgements] == ["stored", "pinned", "trend"]
    wide = [j.ratio.high / j.ratio.low for made in (alone, among) if (j := made.judgements[0]).ratio]
    assert wide[0] < wide[1]
    assert [j.comparison.against for j in gate(last, pinned=pinned).judgements] == ["stored"]  # the same run
    assert json.loads(json.dumps(among.facts()))["pinned"] == "two.json" and "pinned: two.json" in render(among)


def test_der_is_held_against_the_pinned_run_as_well() -> None:
    last = stored({"baseline": 1.0, "distilled": 0.8}, ders=[made.der for made in heard(20.0)])
    first = stored({"baseline": 1.0, "distilled": 0.8}, ders=[made.der for made in heard(18.0)])
    made = gate(last, pinned=Stored("two.json", first.ratios, first.benchmarks, first.der, first.saved))
    made.judge_accuracy(
        evidence(baseline=heard(20.0), distilled=heard(20.0)), {"baseline": True, "distilled": True}
    )  # fmt: skip
    (why,) = [f.why for f in made.failures if f.variant == "distilled"]
    assert why == "DER +2.00 [+2.00, +2.00] points over its own in the pinned run, tolerance 1"


def test_what_is_new_is_noted() -> None:
    made = gate(stored({"baseline": 1.0, "distilled": 0.8}), names=("baseline", "distilled", "shared-trunk"))
    assert made.verdict == PASS and made.notes == ["pipeline shared-trunk: new, one.json does not have it"]
    assert "shared-trunk" in made.rounds.rounds  # type: ignore[attr-defined]


def test_regressed_wins_over_inconclusive() -> None:
    made = gate(stored({"distilled": 0.8, "shared-trunk": 0.4}), names=("distilled", "shared-trunk"))
    first, second = (j.comparison for j in made.judgements)
    made.judgements = [Judgement(first, None, INCONCLUSIVE), Judgement(second, None, PASS)]
    assert (made.verdict, EXIT[made.verdict]) == (INCONCLUSIVE, 11)
    assert gate(None).verdict == PASS
    made.judgements = [Judgement(first, None, PASS)]  # the other's process died
    assert made.verdict == INCONCLUSIVE
    made.judgements.append(Judgement(second, None, REGRESSED))
    assert (made.verdict, EXIT[made.verdict]) == (REGRESSED, 10)


def heard(points: float, count: int = 8, labels: str = "") -> list[Accuracy]:
    """100 s of speech with so many seconds of error, and a little more or less under each perturbation."""
    made = []
    for i in range(count):
        parts = Components(100.0, points + 0.001 * (i % 2), 0.0, 0.0)
        file = FileScore("a", parts, parts, 1.0, 1.0, (), (), (parts,), (parts,), 100.0, labels or f"{points}")
        made.append(Accuracy((file,)))
    return made


def evidence(**points: list[Accuracy]) -> Evidence:
    return Evidence({name.replace("_", "-"): made for name, made in points.items()}, 1, {})


BOTH = {"baseline": True, "shared-trunk": True}


@pytest.mark.parametrize(
    ("base", "mine", "failing"),
    [
        (20.0, 20.0, []),
        (20.0, 20.1, ["shared-trunk"]),  # exact: 0.05 points
        (20.1, 20.1, ["baseline", "shared-trunk"]),  # both worse than the 20 % that are stored
        (19.0, 19.0, []),
    ],
)
def test_a_higher_der_fails_whatever_the_latency(base: float, mine: float, failing: list[str]) -> None:
    then = [made.der for made in heard(20.0)]
    made = gate(stored({"baseline": 1.0, "shared-trunk": 0.8}, ders=then), names=("baseline", "shared-trunk"))
    assert made.verdict == PASS
    made.judge_accuracy(evidence(baseline=heard(base), shared_trunk=heard(mine)), BOTH)
    assert list(dict.fromkeys(f.variant for f in made.failures)) == failing
    assert made.verdict == (REGRESSED if failing else PASS)


def test_what_is_not_resolved_is_no_pass() -> None:
    made = gate(stored({"baseline": 1.0, "distilled": 0.8}), names=("baseline", "distilled"))
    trained = {"baseline": True, "distilled": True}
    made.judge_accuracy(evidence(baseline=heard(20.0), distilled=heard(20.0, 3)), trained)  # too few
    assert not made.failures and (made.verdict, EXIT[made.verdict]) == (INCONCLUSIVE, 11)
    (failure,) = [f for f in made.unresolved if "over the baseline's" in f.why]
    assert failure.variant == "distilled" and "not resolved under 3 perturbations" in failure.why
    assert made.facts()["unresolved"]


def test_der_is_compared_with_the_stored_one_perturbation_by_perturbation() -> None:
    then = [made.der for made in heard(20.0)]
    run = stored({"baseline": 1.0, "distilled": 0.8}, ders=then)
    trained = {"baseline": True, "distilled": True}
    for mine, expected in [(heard(20.0), PASS), (heard(21.5), REGRESSED)]:
        made = gate(run, names=("baseline", "distilled"))
        made.judge_accuracy(evidence(baseline=heard(20.0), distilled=mine), trained)
        assert made.verdict == expected, made.failures
    one = gate(
        stored({"baseline": 1.0, "distilled": 0.8}), names=("baseline", "distilled")
    )  # by an older version: one DER
    one.judge_accuracy(evidence(baseline=heard(20.0), distilled=heard(20.5)), trained)
    assert one.verdict == INCONCLUSIVE and "its own in the stored run" in one.unresolved[-1].why


def test_der_of_untrained_or_unscored_variants_is_left_out() -> None:
    made = gate(stored({"baseline": 1.0, "distilled": 0.8}))
    made.judge_accuracy(evidence(baseline=heard(20.0), distilled=heard(90.0)), {"baseline": True, "distilled": False})
    assert made.verdict == PASS and "distilled: untrained, so that its DER was not judged" in made.notes
    made.judge_accuracy(None, {})
    assert made.notes[-1] == "latency only: accuracy was not judged (--accuracy off)"


def test_accuracy_asked_for_of_no_speech_is_no_pass() -> None:
    made = gate(stored({"baseline": 1.0, "distilled": 0.8}))
    silent = [Accuracy((FileScore("a", None, Components(100.0, 0.0, 0.0, 0.0), 1.0, 1.0, ()),))]
    made.judge_accuracy(evidence(baseline=silent, distilled=silent), {"baseline": True, "distilled": True})
    assert made.verdict == REGRESSED and [(f.kind, f.variant) for f in made.failures] == [("accuracy", "baseline")]


class FakeWorker:
    """A process that knows what its tree registers; `gone` is registered in the other revision only."""

    def __init__(self, side: str, order: Open, python: Path | str) -> None:
        old = "old" in order.tree or str(python).startswith("env")
        self.speed = 0.5 if old else 1.0
        self.registered = ["baseline", "baseline-twin", "gone"] if old else list(SECONDS)
        self.names = [name for name in order.names if name in self.registered]
        self.broken: dict[str, str] = {}
        self.uncounted = "uncounted" in order.tree

    def block(self, kind: str, name: str, number: int) -> Block:
        return Block([self.speed * SECONDS[name]] * 3, [{}] * 3, [], True)

    def counts(self, name: str) -> dict[str, float]:
        if self.uncounted:
            raise BlockError("that revision counts nothing")
        return {"sessions": 2.0 * self.speed, "size": 16.0, "of another revision": 1 - self.speed}

    def close(self) -> None: ...


def test_against_a_revision_the_baseline_is_judged_too(monkeypatch: pytest.MonkeyPatch) -> None:
    class Tree:
        def __enter__(self) -> Path:
            return Path("old")

        def __exit__(self, *_: Any) -> None: ...

    monkeypatch.setattr(gate_module, "worktree", lambda *_: Tree())
    monkeypatch.setattr(gate_module, "checkout_of", lambda _: Path("new"))
    monkeypatch.setattr(gate_module, "Worker", FakeWorker)
    run: Any = FakeRun()
    made = Gate(run, [("pipeline", "distilled")], dict.fromkeys(SECONDS, 0.05), None, budget=1e-6)
    made.compare_with("old", {})
    made.measure("pipeline", lambda done: None)
    assert [(j.comparison.variant, j.verdict) for j in made.judgements] == [("baseline", REGRESSED)]
    assert set(made.recordings["pipeline"].pairs.values()) == set(range(5)), "one pair of processes errs too often"
    assert made.judgements[0].ratio is not None and made.judgements[0].ratio.estimate == pytest.approx(2)
    assert made.notes == ["pipeline distilled: new since old"]
    assert [(f.kind, f.variant, f.why) for f in made.failures] == [
        ("pipeline", "gone", "old has it: renamed or removed since"),
        ("count", "baseline", "ONNX Runtime sessions: 1 then, 2 now (+100.0 %; threshold 5 %), in old"),
    ]
    made.close()

    early = Gate(run, [("pipeline", "baseline")], dict.fromkeys(SECONDS, 0.05), None, budget=1e-6, narrowed=True)
    monkeypatch.setattr(Tree, "__enter__", lambda self: Path("old, uncounted"))
    early.compare_with("old", {})
    why = "old: only its time was held against, not counts (that revision counts nothing)"
    assert early.notes == [why] and not early.failures

    run.models["of a conftest"] = None
    foreign = Gate(run, [("pipeline", "of a conftest")], {"of a conftest": 0.05}, None, budget=1)
    with pytest.raises(UserError, match="of a conftest"):
        foreign.compare_with("old", {})


def test_with_several_processes_both_sides_are_started_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[str] = []
    ended: list[int] = []

    class Counted(FakeWorker):
        def __init__(self, side: str, order: Open, python: Path | str) -> None:
            super().__init__(side, order, python)
            self.number = len(started)
            started.append(side)
            assert len(started) - len(ended) <= 2

        def close(self) -> None:
            ended.append(self.number)

    monkeypatch.setattr(gate_module, "checkout_of", lambda _: Path("new"))
    monkeypatch.setattr(gate_module, "interpreter", lambda environment: environment)
    monkeypatch.setattr(gate_module, "changed", lambda environment: "")
    monkeypatch.setattr(gate_module, "Worker", Counted)
    run: Any = FakeRun()
    run.options.timing.processes = 5
    made = Gate(run, [("pipeline", "baseline")], dict.fromkeys(SECONDS, 0.05), None, budget=1e-6)
    made.compare_with(None, {}, Path("env"))
    rounds = made.measure("pipeline", lambda done: None)
    made.close()
    assert started == ["the code as it is now", "--against env"] * 5 and sorted(ended) == list(range(10))
    assert rounds.processes == {number: number // 8 for number in range(40)}
    assert made.judgements[0].ratio is not None and made.judgements[0].ratio.processes == 5


@pytest.mark.parametrize(("revision", "side"), [(None, "env"), ("rev", "rev in env")])
def test_against_another_environment(monkeypatch: pytest.MonkeyPatch, revision: str | None, side: str) -> None:
    trees = []

    class Tree:
        def __init__(self, *asked: object) -> None:
            trees.append(asked)

        def __enter__(self) -> Path:
            return Path("tree")

        def __exit__(self, *_: Any) -> None: ...

    monkeypatch.setattr(gate_module, "worktree", Tree)
    monkeypatch.setattr(gate_module, "checkout_of", lambda _: Path("new"))
    monkeypatch.setattr(gate_module, "Worker", FakeWorker)
    monkeypatch.setattr(gate_module, "changed", lambda folder: f"{folder} has torch 2.7")
    monkeypatch.setattr(gate_module, "interpreter", lambda folder: folder / "bin/python")
    made = Gate(FakeRun(), [("pipeline", "baseline")], dict.fromkeys(SECONDS, 0.05), None, budget=1e-6, narrowed=True)  # type: ignore[arg-type]
    made.compare_with(revision, {}, Path("env"))
    made.measure("pipeline", lambda done: None)
    assert [(j.comparison.against, j.verdict) for j in made.judgements] == [(side, REGRESSED)]
    assert made.notes == ["env: env has torch 2.7"] and made.facts()["against"] == side
    assert trees == ([] if revision is None else [(Path("new"), "rev", True)])


def test_what_raised_while_it_was_scored_is_no_pass() -> None:
    made = gate(stored({"baseline": 1.0, "distilled": 0.8}), names=("baseline", "distilled"))
    raised = {"distilled": "failed while it was scored: a: ValueError: no", "best": "is not gated"}
    made.judge_accuracy(evidence(baseline=heard(20.0)), {"baseline": True, "distilled": True}, raised.items())
    assert made.verdict == REGRESSED and [(f.variant, f.why) for f in made.failures] == [
        ("distilled", raised["distilled"])
    ]
