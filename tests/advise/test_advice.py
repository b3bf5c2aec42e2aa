"""The advice: table, sentence and plot of made-up findings, and the command itself with light stand-ins."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

import bench.__main__
from bench.accuracy.verdict import Judgement
from bench.advise import command
from bench.advise.measure import steps_for
from bench.advise.show import Advice, as_json, sentence, sweep_table, table
from bench.advise.steps import Service
from bench.advise.sweep import cells, figure
from bench.pipeline.staged import PipelineSettings
from bench.report.fitted import as_text

STEPS = (0.1, 0.25, 0.5)


def services(milliseconds: float, asked: int = 1) -> dict[float, Service]:
    seconds = {size: [milliseconds * 1e-3 * size] * 3 for size in (1, 2, 4, 8)}
    return {step: Service(seconds, step, asked) for step in STEPS}


WITHIN = Judgement("within tolerance", 0.1, -0.1, 0.2, True, heard=32)
SAME = Judgement("within tolerance", 0.0, 0.0, 0.0, True, identical=True, heard=8)
OPEN = Judgement("not resolved", -0.5, -5.5, 4.5, True, heard=8)


def made(asked: int = 1, **scores: Judgement) -> Advice:
    """The baseline takes 90 ms a chunk, `exact` 30, `int` 10."""
    found = {"baseline": services(90, asked), "exact": services(30, asked), "int": services(10, asked)}
    ders = {"baseline": (20.0, None), **{name: (20.0 + judged.points, judged) for name, judged in scores.items()}}
    return Advice(found, ders, dict.fromkeys(found, True), 3.0, asked)


def test_the_fastest_that_is_fit_is_chosen() -> None:
    assert made(exact=SAME, int=WITHIN).chosen == "int"
    undecided = made(exact=SAME, int=OPEN)
    assert undecided.chosen == "exact"
    assert sentence(undecided) == (
        "Run exact at a step of 0.1 s and a latency of 3 s, 99 % of its chunks answered within 30 ms; a core should "
        "carry 3 such streams (in turn); DER 20.0 %, +0.00 points (the same labels) over the baseline. Faster, but "
        "untrained, or their DER is not known to be within tolerance: int."
    )
    assert made(exact=OPEN, int=OPEN).chosen == "baseline"
    untrained = replace(made(exact=SAME, int=WITHIN), trained={"baseline": True, "exact": True, "int": False})
    assert untrained.chosen == "exact"
    unscored = Advice(made().services, {}, dict.fromkeys(made().services, True), 3.0)
    assert unscored.chosen == "int" and "DER" not in sentence(unscored)


def test_what_none_can_do_is_said() -> None:
    many = made(asked=60, exact=SAME, int=WITHIN)
    assert many.chosen is None and sentence(many) == (
        "No variant carries 60 streams on one core at any step up to 0.5 s: int carries 50 at that step; spread them "
        "over 2 cores (--streams 50)."
    )
    slow = Advice({"baseline": services(900)}, {}, {}, 3.0)
    assert sentence(slow).startswith("No variant here keeps up, not even at a step of 0.5 s")


def test_the_table() -> None:
    text = as_text([table(made(exact=SAME, int=OPEN))], 200)
    rows = {line.split()[0]: line.split() for line in text.splitlines() if line.split()[:1]}
    # baseline: 90 ms leave less than 20 % of 0.1 s; one such stream fits nevertheless
    assert rows["baseline"][1:4] == ["0.25", "90.0", "64"] and rows["baseline"][4:7] == ["1", "/", "1"]
    assert rows["baseline"][-1] == "reference" and rows["baseline"][-3] == "20.00"
    assert rows["exact"][1:5] == ["≤", "0.1", "30.0", "70"] and rows["exact"][-2:] == ["same", "labels"]
    assert "-0.50 [-5.50, +4.50]" in text and text.count("not resolved") == 1
    assert "16 / 16" in " ".join(rows["exact"])  # of 0.5 s


def test_the_sweep() -> None:
    settings = PipelineSettings(5.0, 0.25, 3.0)
    assert steps_for(settings) == [0.1, 0.2, 0.25, 0.5, 1.0, 2.0]
    assert steps_for(PipelineSettings(5.0, 0.3, 0.6)) == [0.1, 0.2, 0.25, 0.3, 0.5]
    found = cells(settings, 0.25)
    assert found[:5] == [(2.0, 3.0), (1.0, 3.0), (0.5, 3.0), (0.25, 3.0), (2.0, 2.0)]
    assert found[-1] == (0.25, 5.0) and len(found) == 3 + 4 + 5 + 5
    advice = replace(made(exact=SAME), sweep={(0.1, 1.0): 25.0, (0.1, 3.0): 20.0, (0.5, 3.0): 21.0})
    assert "; at 0.5 s DER was 21.0 % (heard once), and a core should carry 16." in sentence(advice)
    for worse in ({(0.1, 3.0): 20.0, (0.5, 3.0): 21.1}, {(0.5, 3.0): 21.0}, {(0.1, 3.0): 20.0, (0.5, 2.0): 20.0}):
        assert "heard once" not in sentence(replace(advice, sweep=worse))
    lines = as_text([sweep_table(advice)], 100).splitlines()
    assert [line.split() for line in lines if line.strip()[:2] == "0."] == [
        ["0.1", "25.00", "20.00"],
        ["0.5", "-", "21.00"],
    ]
    (axes,) = figure("exact", advice.sweep, (0.1, 3.0)).axes
    curves = [(line.get_label(), list(map(tuple, line.get_xydata()))) for line in axes.lines]
    assert curves[:2] == [("0.1 s", [(1.0, 25.0), (3.0, 20.0)]), ("0.5 s", [(3.0, 21.0)])]
    assert curves[2][1] == [(3.0, 20.0)]  # the ring
    plain = json.loads(json.dumps(as_json(advice), allow_nan=False))
    assert plain["chosen"] == "exact" and plain["variants"]["exact"]["streams"]["0.5"] == {"in turn": 16, "batched": 16}


@pytest.fixture
def stand_ins(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every measurement of the command is made up; models are not loaded."""
    from made import Made

    monkeypatch.setattr(bench.__main__, "Run", Made)
    monkeypatch.setattr("made.SECONDS", {"baseline": 0.1, "baseline-twin": 0.1, "best-exact": 0.1})
    monkeypatch.setattr(command, "services", lambda run, names, asked, *_: {n: services(30, asked) for n in names})
    monkeypatch.setattr(command, "scores", lambda *_: pytest.fail("not to be scored"))
    monkeypatch.setattr(command, "confirm", lambda *_: None)
    monkeypatch.setattr(command, "caption", lambda findings: "made up")


@pytest.mark.usefixtures("stand_ins")
def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "out"
    line = ["advise", "--variants", "best-exact", "--out", str(out), "--streams", "2", "--accuracy", "off"]
    assert bench.__main__.main(line) == 0
    said = capsys.readouterr()
    *_, answer, where = said.out.splitlines()
    # alike in all: the first of them; by hand, in turn three of 30 ms fit into 0.1 s, and two leave 40 %
    assert answer.startswith("Run baseline at a step of 0.1 s and a latency of 3 s, 99 % of its chunks answered within")
    assert answer.endswith("a core should carry 3 such streams (in turn).") and where == f"advice: {out}"
    assert answer in (out / "advice.txt").read_text(encoding="utf-8")
    assert json.loads((out / "advice.json").read_text(encoding="utf-8"))["streams_asked"] == 2
    assert "service times at every step" in said.err and not (out / "advice.svg").exists()


@pytest.mark.usefixtures("stand_ins")
def test_what_is_wrong_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").write_text("", encoding="utf-8")
    assert bench.__main__.main(["advise", "--out", str(tmp_path / "file")]) == 1
    assert len(capsys.readouterr().err.splitlines()) == 1
    assert bench.__main__.main(["advise", "--segmentation", "oracle"]) == 1
    assert "oracle" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        bench.__main__.main(["advise", "--streams", "0"])
