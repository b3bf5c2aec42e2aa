"""Peers are timed and scored as DIART is; of one that is absent or fails, a row says so."""

import argparse
import itertools
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from bench.accuracy.der import turns
from bench.corpus import Recording
from bench.run.options import add_options, parse
from bench.run.run import Run
from bench.studies import peers

SENKO = """
class Diarizer:
    def __init__(self, device):
        assert device == "cpu"

    def diarize_samples(self, samples):
        assert samples.shape == (160000,) and self.logical_cores == 1
        print("| chatter |")
        if samples[0] > 0:
            return None
        turns = [(0.0, 5.0, "X"), (5.0, 9.0, "Y")]
        return {"merged_segments": [dict(zip(("start", "end", "speaker"), turn)) for turn in turns]}
"""


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    """Two recordings of 10 s, A for 4 s and then B for 4 s; a senko that is 2 s wrong in one and deaf in the other."""
    folder = tmp_path / "corpus"
    folder.mkdir()
    for name, level in (("one", -0.1), ("two", 0.1)):
        soundfile.write(folder / f"{name}.wav", np.full(160_000, level), 16000)
        lines = [f"SPEAKER {name} 1 {start} 4 <NA> <NA> {who} <NA> <NA>\n" for start, who in ((0, "A"), (4, "B"))]
        (folder / f"{name}.rttm").write_text("".join(lines))
    (tmp_path / "senko.py").write_text(SENKO)
    return folder


def rows(output: str) -> dict[str, list[str]]:
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in output.splitlines() if line[:1] == "|"]
    return {name: rest for name, *rest in cells[2:]}


def test_rows(
    corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def nowhere() -> peers.Labels:
        import nowhere  # type: ignore[import-not-found]

        return nowhere.labels  # type: ignore[no-any-return]

    def needy() -> peers.Labels:
        return nowhere()

    def wrong() -> peers.Labels:
        raise ValueError("no such model\nand more")

    def knowing(run: Run, name: str) -> peers.Labels:
        if run.options.models.embedding == "campplus" and name == "best":
            raise peers.UserError("not fetched")
        return lambda recording: recording.reference

    ticks = itertools.count(0, 2)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(peers, "PEERS", {"senko": peers.senko, "nowhere": nowhere, "needy": needy, "wrong": wrong})
    monkeypatch.setattr(peers, "diart", knowing)
    monkeypatch.setattr(Run, "prepare", lambda *_, **__: None)
    monkeypatch.setattr(peers.time, "process_time", lambda: float(next(ticks)))
    command = ["--corpus", str(corpus), "--segmentation", "bundled", "--latency", "2"]
    assert peers.main(command) == 0
    output = capsys.readouterr().out
    right, nothing = ["0.200", "0.0", "0.0", "0.0", "0.0"], [""] * 4
    assert rows(output) == {
        "DIART, bundled, `baseline`": right,
        "DIART, bundled, `best`": right,
        "DIART, campplus, `baseline`": right,
        "DIART, campplus, `best`": ["not fetched", *nothing],
        # of 16 s, 8 are missed, one is said too many and in one A is taken for B
        "senko": ["0.200", "62.5", "50.0", "6.2", "6.2"],
        "nowhere": ["not installed", *nothing],
        "needy": ["cannot be loaded: No module named 'nowhere'", *nothing],
        "wrong": ["failed: ValueError: no such model", *nothing],
    }
    assert "2 recordings, 20 s" in output and "offline" in output
    assert "has said who spoke 2 s later" in output and "instead of 20 times" in output


def test_the_reference_is_no_peer(corpus: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert peers.main(["--corpus", str(corpus), "--segmentation", "oracle"]) == 1
    assert capsys.readouterr().err == "bench.studies peers: --segmentation oracle: no peer knows the reference\n"


def test_diarts_labels_are_those_that_are_scored(clip: Recording, tmp_path: Path) -> None:
    given: Any = argparse.ArgumentParser()
    add_options(given.add_argument)
    options = ["--segmentation", "bundled", "--corpus", str(clip.path.parent), "--accuracy", "full", "--step", "1"]
    given = given.parse_args(options)
    run = Run(parse(lambda name: getattr(given, name)), ["baseline"], tmp_path, lambda *_: None)
    (recording,) = run.corpus.recordings
    (score,) = run.scores.accuracy["baseline"].files
    assert turns(peers.diart(run, "baseline")(recording)) == score.turns != ()
