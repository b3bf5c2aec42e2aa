"""`python -m bench.studies hour`: the loop, which chunks are compared, and that drift is found."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from bench.studies import hour
from bench.studies.hour import Heard, agreement, compared, looped
from variants import UserError


def test_the_loop_holds_whole_steps_and_frames() -> None:
    wave = np.arange(250_000, dtype=np.float32)
    assert looped(wave, 4000, 80_000, 1).tolist() == list(range(108_000))  # 27 steps, 400 frames
    assert len(looped(wave, 4000, 80_000, 2)) == 216_000
    assert len(looped(wave, 4000, 160_000, 1)) == 216_000  # a chunk must not hear a sample twice
    with pytest.raises(UserError, match="27 s"):
        looped(wave, 16_000, 80_000, 1)


def test_the_minutes_compared_lie_whole_turns_apart() -> None:
    first, late = compared(60, 27, 240)
    assert (first.start, first.stop) == (240, 480)
    assert late.start == 240 + 515 * 27 and late.stop <= 60 * 240 and len(late) == 240


def test_only_those_who_talk_in_both_are_compared() -> None:
    scores = torch.tensor([[[0.9, 0.2, 0.9]]])  # one chunk, one frame, three speakers
    early = Heard(scores, torch.tensor([[[1.0, 0.0], [1.0, 0.0], [1.0, 0.0]]]))
    then = Heard(torch.tensor([[[0.8, 0.9, 0.1]]]), torch.tensor([[[1.0, 1.0], [0.0, 1.0], [0.0, 1.0]]]))
    assert agreement(early, then, 0.5).tolist() == pytest.approx([1 / math.sqrt(2)])


OPTIONS = [
    "--variants=streaming-trunk",
    "--segmentation=bundled",
    "--corpus=sample",
    "--step=1",
    "--minutes=3",
    "--turns=1",
]


def test_a_stream_stays_equal_to_itself(capsys: pytest.CaptureFixture[str]) -> None:
    assert hour.main(OPTIONS) == 0
    (line,) = [line for line in capsys.readouterr().out.splitlines() if line.startswith("| streaming-trunk")]
    lowest, low, median, _ = (float(cell) for cell in line.split("|")[2:6])
    assert 0.999 <= lowest <= low <= median <= 1.0


def test_drift_is_found(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    early = Heard(torch.ones(2, 1, 1), torch.tensor([[[1.0, 0.0]], [[0.0, 1.0]]]))
    then = Heard(torch.ones(2, 1, 1), torch.tensor([[[1.0, 0.05]], [[0.0, 1.0]]]))  # a cosine of 0.99875
    monkeypatch.setattr(hour, "hear", lambda *given: (early, then))
    assert hour.main(OPTIONS) == 1
    assert "streaming-trunk: the 5 % quantile is below 0.999" in capsys.readouterr().err
