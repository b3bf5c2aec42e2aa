"""A few steps of each recipe on synthetic voices: the loss falls; a resumed run ends where one run would."""

import csv
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from safetensors.torch import load_file

from variants.loading import WEIGHTS, load
from variants.paper.distilled import load_student
from variants.speech.data import read_speech
from variants.training import distill, embedding, segmentation, taught
from variants.training.__main__ import main
from variants.training.architecture import PyanNet, XVectorSincNet
from variants.training.evaluate import chunks
from variants.training.weights import export, load_network

EMBEDDING = ["embedding", "--batch-seconds", "3", "--crop", "0.6", "0.9", "--dev-speakers", "2", "--average", "0.5"]
TAUGHT = ["--teacher", "bundled", "--crops", "16", "--arcface", "0.1"]
SEGMENTATION = [
    "segmentation",
    "--rows",
    "2",
    "--stretches",
    "3",
    "--dev-speakers",
    "4",
    "--dev-stretches",
    "1",
]
DISTILL = ["distill", "--batch-seconds", "3", "--crop", "0.9", "--dev-speakers", "2", "--average", "0.5"]
COMMON = ["--epoch-steps", "3", "--workers", "0", "--accelerator", "cpu", "--copies", "1"]
RECIPES = {
    "embedding": (EMBEDDING, embedding.EmbeddingBatches),
    "embedding --teacher": ([*EMBEDDING, *TAUGHT], taught.TaughtBatches),
    "segmentation": (SEGMENTATION, segmentation.SegmentationBatches),
    "distill": (DISTILL, distill.DistillationBatches),
    "distill --lambda": ([*DISTILL, "--start", "scratch", "--lambda", "10", "--keep"], distill.DistillationBatches),
}


def train(recipe: str, speech: Path, cache: Path, out: Path, *more: str) -> int:
    data = ["--data", str(speech), "--cache", str(cache), "--out", str(out)]
    return main([*RECIPES[recipe][0], *COMMON, *data, *more])


def column(out: Path, name: str) -> list[float]:
    (metrics,) = out.glob("log/*/metrics.csv")
    with metrics.open() as file:
        return [float(row[name]) for row in csv.DictReader(file) if row.get(name)]


@pytest.mark.slow
@pytest.mark.parametrize("recipe", RECIPES)
def test_resumed_recipe_ends_where_one_run_would(
    recipe: str, speech_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def run(out: Path, *more: str) -> int:
        return train(recipe, speech_folder, tmp_path / "cache", out, "--steps", "9", *more)

    whole, halves, batches = tmp_path / "whole", tmp_path / "halves", RECIPES[recipe][1]
    assert run(whole) == 0
    assert len(column(whole, "loss")) == 9
    assert all(rate > 0 for rate in column(whole, "loader_samples_per_s") + column(whole, "train_samples_per_s"))

    original = batches.__getitem__

    def cut_off(self: object, step: int) -> dict[str, torch.Tensor]:
        if step == 5:
            raise RuntimeError("power cut")
        return original(self, step)  # type: ignore[arg-type]

    with monkeypatch.context() as patched, pytest.raises(RuntimeError, match="power cut"):
        patched.setattr(batches, "__getitem__", cut_off)
        run(halves)
    assert run(halves, "--resume") == 0
    one, other = (torch.load(out / "last.ckpt", weights_only=True) for out in (whole, halves))
    for state in ("state_dict", "current_model_state"):
        torch.testing.assert_close(one[state], other[state], atol=0, rtol=0)
    exported = tmp_path / "out.safetensors"
    assert main(["export", str(whole / "best.ckpt"), "--out", str(exported)]) == 0
    assert type(load_network(exported)).__name__ in ("XVectorSincNet", "PyanNet")
    if recipe.startswith("distill"):
        assert load_student(load("embedding"), exported) is not None  # which checks whose student it is
    kept = {path.name for path in halves.glob("step=*.ckpt")}
    assert kept == ({"step=3.ckpt", "step=6.ckpt", "step=9.ckpt"} if "--keep" in RECIPES[recipe][0] else set())


def falls(objective: torch.nn.Module, batch: dict[str, torch.Tensor]) -> bool:
    optimiser = torch.optim.AdamW(objective.parameters(), lr=5e-4)
    losses = []
    for _ in range(10):
        loss, _ = objective(batch, 0.0)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    return losses[-1] < 0.8 * losses[0]


def test_embedding_loss_falls(speech_folder: Path) -> None:
    torch.manual_seed(0)
    source = embedding.AugmentedSpeech(read_speech(speech_folder), 1, (1.0,), seed=1)
    batch = embedding.EmbeddingBatches(source, 10, seconds=8.0, crop=(1.0, 1.0), seed=1)[0]
    assert falls(embedding.EmbeddingObjective(embedding.XVectorSincNet(), 8), batch)


def test_segmentation_loss_falls(speech_folder: Path) -> None:
    torch.manual_seed(0)
    stretches = segmentation.SimulatedStretches(read_speech(speech_folder), 2, seed=1)
    signals, labels = chunks(stretches[item] for item in range(2))
    network = segmentation.initialise(segmentation.PyanNet())
    assert falls(segmentation.SegmentationObjective(network), {"signal": signals[:4], "labels": labels[:4]})


def test_embedding_trains_from_waveforms_with_free_filters(speech_folder: Path, tmp_path: Path) -> None:
    assert train("embedding", speech_folder, tmp_path, tmp_path / "out", "--copies", "0", "--steps", "2") == 0
    state = torch.load(tmp_path / "out" / "last.ckpt", weights_only=True)["current_model_state"]
    initial = embedding.XVectorSincNet().state_dict()
    for part, same in (("low_hz_", False), ("window_", True)):
        key = f"sincnet.conv1d.0.filterbank.{part}"
        assert torch.equal(state["objective.network." + key], initial[key]) is same
    assert not list(tmp_path.glob("features-*"))


def test_real_conversations_are_mixed_in(speech_folder: Path, tmp_path: Path) -> None:
    for name in ("one", "two", "left-out"):
        soundfile.write(tmp_path / f"{name}.wav", np.random.default_rng(0).standard_normal(480_000) * 0.1, 16000)
        (tmp_path / f"{name}.rttm").write_text(f"SPEAKER {name} 1 2.0 25.0 <NA> <NA> ann <NA> <NA>\n")
    conversations = ["--conversations", str(tmp_path), "--dev", "two", "--exclude", "left-out", "--real", "1"]
    out = tmp_path / "out"
    assert train("segmentation", speech_folder, out, out, "--steps", "3", *conversations) == 0
    assert len(column(out, "dev_real")) == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["embedding", "--data", "{}/missing", "--out", "{}/out"], "no such folder"),
        (["embedding", "--out", "{}/out"], "no training data"),
        (["segmentation", "--out", "{}/out"], "no training data: give --data"),
        (["streaming-segmentation", "--out", "{}/out"], "no training data: give --data"),
        (["segmentation", "--data", "{}", "--out", "{}/out"], "no audio"),
        (["embedding", "--data", "{speech}", "--out", "{}/out", "--dev-speakers", "9"], "too few"),
        (
            ["embedding", "--data", "{speech}", "--out", "{}", "--dev-speakers", "2", "--resume"],
            "nothing to resume",
        ),
        (["evaluate", "embedding", "--speech", "{speech}", "--weights", "{}/none.ckpt"], "none.ckpt"),
        (["export", "{}/none.ckpt", "--out", "{}/x.safetensors"], "none.ckpt"),
    ],
)
def test_errors_are_one_line(
    arguments: list[str],
    message: str,
    speech_folder: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    filled = [argument.format(tmp_path, speech=speech_folder) for argument in arguments]
    assert main(filled) == 1
    error = capsys.readouterr().err.strip().splitlines()[-1]
    assert error.startswith("variants.training: ")
    assert message in error


def test_the_mean_of_two_files(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    one, two, other, out = (tmp_path / f"{name}.safetensors" for name in ("one", "two", "other", "out"))
    for seed, path in enumerate((one, two)):
        torch.manual_seed(seed)
        export(XVectorSincNet(), path)
    export(PyanNet(), other)
    assert main(["export", str(one), str(two), "--out", str(out)]) == 0
    first, second, mean = (load_file(path) for path in (one, two, out))
    for name, value in mean.items():
        torch.testing.assert_close(value, ((first[name].double() + second[name].double()) / 2).to(value.dtype))
    assert not torch.equal(first["embedding.weight"], mean["embedding.weight"])
    assert main(["export", str(one), str(other), "--out", str(out)]) == 1
    assert "several architectures" in capsys.readouterr().err
    assert main(["export", str(WEIGHTS / "channel-pruned-50.safetensors"), "--out", str(out)]) == 1
    assert "whose sizes would be lost" in capsys.readouterr().err
