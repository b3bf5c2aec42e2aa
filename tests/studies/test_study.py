"""The study chooses on one corpus and reports on another; training and scoring are replaced by known figures."""

import argparse
from pathlib import Path
from typing import Any

import pytest

from bench.accuracy.der import Accuracy, FileScore
from bench.accuracy.errors import Components
from bench.corpus import Recording
from bench.run.options import add_options, parse
from bench.run.run import Run
from bench.studies import distillation as study
from variants.paper.distilled import STUDENT

DER = {  # by lambda or checkpoint, on the corpus for choosing
    "0": 60, "10": 40, "1000": 45, "step=2": 39, "step=4": 37, "step=6": 38,
}  # fmt: skip


def accuracy(der: float) -> Accuracy:
    parts = Components(100.0, 0.0, 0.0, float(der))
    return Accuracy((FileScore("file", parts, parts, der / 100, 1.0, ()),))


@pytest.fixture
def trained(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[tuple[list[str], int]]:
    """The runs that the study asked for."""
    runs: list[tuple[list[str], int]] = []

    def train(given: Any, way: list[str], steps: int) -> Path:
        runs.append((way, steps))
        folder = tmp_path / "".join(way) / str(steps)
        folder.mkdir(parents=True, exist_ok=True)
        for step in (2, 4, 6):
            (folder / f"step={step}.ckpt").touch()
        return folder

    class Scorer:
        def __init__(self, given: Any, corpus: Path) -> None:
            self.shift = 0 if str(corpus) == "embedded-dev" else 10
            self.der = 30.0 + self.shift

        def __call__(self, path: Path) -> Accuracy:
            known = path.stem if path.stem in DER else path.parent.parent.name.partition("--lambda")[2]
            return accuracy(DER.get(known, 33) + self.shift)

    monkeypatch.setattr(study, "_train", train)
    monkeypatch.setattr(study, "Scorer", Scorer)
    return runs


def test_tables(
    trained: list[tuple[list[str], int]], speech_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given = ["--data", str(speech_folder), "--out", str(tmp_path), "--factors", "0", "10", "1000"]
    assert study.main([*given, "--steps", "6"]) == 0
    output = capsys.readouterr().out
    assert "| 0 | 60.00 | 0.600 | 60.16 |\n| 10 | 40.00 | 0.400 | 57.83 |\n" in output
    assert "checkpoints with lambda = 10" in output
    assert "| step=4 | 37.00 | 0.370 | epoch 39: 52.93 |" in output
    assert "|  |  |  | epoch 139: 52.59 |" in output
    dev, test = output.split("Students on ")[1:]
    assert "the teacher's DER is 30.00" in dev
    assert "| the paper's, lambda = 10, step=4 | 37.00 | 7.00 | 0.370 | 37.00 |" in dev
    assert test.startswith("embedded-test, where the teacher's DER is 40.00")
    assert all(steps == 6 for _, steps in trained)
    assert "| from the teacher's layers | 43.00 | 3.00 |" in test
    assert [way for way, _ in trained[4:]] == list(study.WAYS.values())


def test_full_length_is_the_papers(trained: list[tuple[list[str], int]], speech_folder: Path, tmp_path: Path) -> None:
    given = ["--data", str(speech_folder), "--out", str(tmp_path), "--factors", "10", "--full"]
    assert study.main([*given, "--batch-seconds", "12"]) == 0
    epoch = 8  # 16 utterances of 6 s
    assert [steps for _, steps in trained[:3]] == [50 * epoch, 140 * epoch, 50 * epoch]


def test_errors_are_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert study.main(["--data", str(tmp_path), "--out", str(tmp_path)]) == 1
    assert capsys.readouterr().err == (
        f"bench.studies distillation: {tmp_path}: no audio; expected SPEAKER/**/*.flac or files named SPEAKER-*.flac\n"
    )


@pytest.mark.slow
def test_scores_are_those_of_a_run(clip: Recording, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The shared trunk and the one segmentation change nothing."""
    given = argparse.Namespace()
    parser = argparse.ArgumentParser()
    add_options(parser.add_argument)
    parser.parse_args(["--segmentation", "bundled", "--corpus", str(clip.path.parent), "--accuracy", "full"], given)
    run = Run(parse(lambda name: getattr(given, name)), ["distilled"], tmp_path, lambda *_: None)
    expected, teacher = run.scores.accuracy["distilled"], run.scores.accuracy["baseline"]
    command = ["--segmentation", "bundled", "--students", str(STUDENT), "--corpus", str(clip.path.parent), "--report"]
    assert study.main(command) == 0
    assert expected.der is not None
    assert teacher.der is not None
    figures = [expected.der, expected.der - teacher.der]
    printed = capsys.readouterr().out.splitlines()
    assert f"where the teacher's DER is {teacher.der:.2f}" in printed[1]
    assert printed[-1] == (
        f"| {STUDENT} | {figures[0]:.2f} | {figures[1]:.2f} | {expected.cosine:.3f} | {expected.disagreement:.2f} |"
    )
