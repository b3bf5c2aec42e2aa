"""How far statistics moved, by hand and along a stream; what is added to embeddings, and whose."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from variants.provenance import Provenance, stamp
from variants.streaming import drift as module
from variants.streaming.drift import drift, load_correction, mark
from variants.streaming.streaming_trunk import StreamingTrunk
from variants.streaming.trunk import blended, moments_of


def noise(samples: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(samples, generator=torch.Generator().manual_seed(seed))


def test_a_mark_tells_what_was_taken_and_what_was_found() -> None:
    """Of two norms (of three and two channels) behind the waveform's, the statistics that were blended in come out."""
    known = [moments_of(noise(4, i).reshape(-1, 1).expand(-1, n) + i) for i, n in enumerate((1, 3, 2))]
    new = [noise(30 * n, 9 + n).reshape(30, n) * 2 - 1 for n in (1, 3, 2)]
    taken = [blended(before, moments_of(inputs), 0.05) for before, inputs in zip(known, new, strict=True)]
    found = mark(known, taken, 0.05)
    assert len(found) == 20
    torch.testing.assert_close(found[:5], torch.cat([taken[1][0], taken[2][0]]))
    torch.testing.assert_close(found[5:10], (torch.cat([taken[1][1], taken[2][1]]) + 1e-5).sqrt())
    heard = torch.cat([new[1].mean(0), new[2].mean(0), new[1].square().mean(0), new[2].square().mean(0)])
    torch.testing.assert_close(found[10:], heard, rtol=1e-4, atol=1e-5)
    still = mark(known, known, 0.0)  # as at a stream's start
    torch.testing.assert_close(still[10:15], still[:5])


def test_drift_is_in_the_chunks_deviations() -> None:
    """One channel, two frames, by hand: the chunk's mean is 3, its mean square 13, so its deviation is 2."""
    marks = torch.tensor([[1.0, 1.0, 2.0, 10.0], [4.0, 5.0, 4.0, 16.0]])
    weights = torch.tensor([[1.0, 0.0], [2.0, 2.0], [0.0, 7.0]])
    expected = [[-1.0, -0.5], [-0.25, 0.5], [0.5, 1.0]]  # the last of 1.5 is cut at 1
    torch.testing.assert_close(drift(marks, weights), torch.tensor(expected), rtol=1e-5, atol=1e-5)


def test_a_correction_adds_nothing_to_a_first_chunk_and_moves_the_others(folded: Any) -> None:
    plain, moved = StreamingTrunk(folded), StreamingTrunk(folded)
    wave = 0.1 * noise(20_000)
    wave[9000:] *= 5
    first, second = (wave[begin : begin + 8000].expand(2, 1, -1) for begin in (0, 4000))
    weights = torch.rand(2, 29, generator=torch.Generator().manual_seed(0))
    statistics = len(mark(*2 * [moved.frame_trunk.start(wave[:8000])[1].moments], 0.0)) // 2
    assert statistics == 2 * (80 + 60 + 60)
    correction = noise(statistics * 512, 1).reshape(statistics, 512)
    moved.correction = torch.nn.Parameter(correction, requires_grad=False)
    torch.testing.assert_close(moved(first, weights), plain(first, weights), rtol=1e-3, atol=1e-2)
    (stream,) = moved.streams
    found, expected = moved(second, weights), plain(second, weights)
    rows = stream.marks[stream.end - 12 : stream.end]
    places = ((torch.arange(12.0) + (stream.frames - 12) - 4000 / 270) * (29 / 12)).floor().long().clamp(0, 28)
    torch.testing.assert_close(found, expected + drift(rows, weights[:, places]) @ correction, rtol=1e-3, atol=1e-3)
    assert (found - expected).abs().max() > 1  # the level changed


def test_a_correction_serves_its_own_model_only(folded: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "drift.safetensors"
    save_file({"correction": torch.ones(400, 512).half()}, path, {"teacher_sha256": json.dumps("a" * 64)})
    monkeypatch.setattr(module, "checked", lambda path: "")
    mine, other = (stamp(torch.nn.Identity(), Provenance("x", digit * 64, trained=True)) for digit in "ab")
    found = load_correction(mine, path)
    assert found is not None and found.shape == (400, 512) and found.dtype == torch.float32
    assert load_correction(other, path) is None and load_correction(torch.nn.Identity(), path) is None
    assert load_correction(mine, tmp_path / "absent.safetensors") is None
