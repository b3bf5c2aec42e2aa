"""The recipe of the streaming trunk: its batches, what it trains, a run with a resume, and its file."""

import copy
from pathlib import Path
from typing import Any

import pytest
import torch

from variants.compressed.channel_pruned import with_channels
from variants.errors import UserError
from variants.exact.folded import fold
from variants.exact.shared_trunk import share
from variants.provenance import Provenance, stamp
from variants.speech.data import read_speech
from variants.streaming.streaming_trunk import StreamingTrunk
from variants.streaming.taught import load_taught
from variants.training import streaming
from variants.training.__main__ import main


@pytest.fixture
def small(stock: Any) -> Any:
    return with_channels(copy.deepcopy(stock), (80, 60, 60, 32, 32, 32, 32, 48)).eval()


@pytest.fixture
def teacher(small: Any) -> Any:
    return fold(share(copy.deepcopy(small)))


def test_batches_are_the_same_each_time(speech_folder: Path) -> None:
    first, again = (streaming.StreamingBatches(read_speech(speech_folder), 3, 2, 2, seed=5)[1] for _ in range(2))
    assert all(torch.equal(first[key], again[key]) for key in first if key != "seconds")
    assert first["signal"].shape == (2, 320_000) and first["weights"].shape == (2, 2, 4, 293)
    assert first["at"].min() >= 1 and first["at"].max() <= 60 and (first["at"].diff(dim=1) > 0).all()
    quiet = ~first["active"]
    assert first["active"].any() and first["weights"][quiet].max() < first["weights"][first["active"]].max()


def test_it_trains_all_but_the_filters_towards_the_chunks_alone(teacher: Any, speech_folder: Path) -> None:
    objective = streaming.StreamingObjective(teacher, "a" * 64)
    batch = streaming.StreamingBatches(read_speech(speech_folder), 1, 1, 2, seed=1)[0]
    loss, _ = objective(batch, 0.0)
    loss.backward()
    moved = {name for name, p in objective.network.named_parameters() if p.grad is not None and p.grad.abs().max() > 0}
    still = {name for name, _ in objective.network.named_parameters()} - moved
    assert still == {name for name in still if name.startswith("trunk.parts.0.")} and len(moved) > 10
    assert all(p.grad is None for p in objective.teacher.parameters())
    # a first chunk is the stock model's own, up to samples that fill no frame, and weights that lie between frames
    batch["at"] = torch.zeros_like(batch["at"])
    assert objective.cosines(batch).min() > 0.9999


def test_a_run_resumes_and_its_file_serves_its_teacher_only(
    small: Any, teacher: Any, speech_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    monkeypatch.setattr(
        streaming, "load", lambda *_: stamp(copy.deepcopy(small), Provenance("test", "a" * 64, trained=True))
    )
    options = ["streaming", "--data", str(speech_folder), "--out", str(tmp_path), "--dev-speakers", "4", "--steps", "2"]
    options += ["--rows", "1", "--chunks", "1", "--dev-stretches", "1", "--epoch-steps", "1", "--workers", "0"]
    options += ["--accelerator", "cpu", "--average", "0"]
    assert main(options) == 0
    assert main(options) == 1 and "add --resume" in capsys.readouterr().err
    assert main([*options, "--steps", "3", "--resume"]) == 0
    made = stamp(StreamingTrunk(copy.deepcopy(teacher)), Provenance("test", "a" * 64, trained=True))
    before = made.embedding.weight.detach().clone()
    load_taught(made, tmp_path / "streaming.safetensors")
    assert 0 < (made.embedding.weight - before).abs().max() < 0.1
    other = stamp(StreamingTrunk(copy.deepcopy(teacher)), Provenance("other", "b" * 64, trained=True))
    with pytest.raises(UserError, match="not taught by other"):
        load_taught(other, tmp_path / "streaming.safetensors")
    (tmp_path / "torn.safetensors").write_bytes(b"torn")
    with pytest.raises(UserError, match="no weights of a streaming trunk"):
        load_taught(made, tmp_path / "torn.safetensors")
