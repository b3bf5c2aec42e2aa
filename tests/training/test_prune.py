"""The pruning recipe on synthetic voices: it removes its share, learns, resumes; masks by norms; its objective."""

import argparse
from pathlib import Path
from typing import Any

import pytest
import torch

from variants.compressed.channel_pruned import CHANNELS, channels_of, load_pruned, remove_channels, trunk_macs
from variants.loading import load
from variants.pruning import read
from variants.speech.data import read_speech
from variants.training import distill, prune
from variants.training.__main__ import main
from variants.training.architecture import XVectorSincNet
from variants.training.embedding import SPEEDS, AugmentedSpeech
from variants.training.weights import load_network

SMALL = ["--copies", "1", "--batch-seconds", "3", "--crop", "0.9", "--dev-speakers", "2", "--average", "0.5"]
SHORT = ["--steps", "6", "--fine-tune-steps", "3", "--distil-steps", "3", "--epoch-steps", "3", "--gate-lr", "1"]


def run(speech: Path, cache: Path, out: Path, *more: str) -> int:
    data = ["--data", str(speech), "--cache", str(cache), "--out", str(out), "--workers", "0", "--accelerator", "cpu"]
    return main(["prune", *SMALL, *SHORT, *data, *more])


@pytest.fixture(scope="module")
def batches(speech_folder: Path) -> distill.DistillationBatches:
    source = AugmentedSpeech(read_speech(speech_folder), 1, (1.0,), 0)
    return distill.DistillationBatches(source, 40, 3, 0.9, 0, True)


@pytest.fixture()
def baseline() -> XVectorSincNet:
    network = XVectorSincNet()
    network.load_state_dict(load("embedding").state_dict())
    return network.eval()


@pytest.mark.slow
@pytest.mark.parametrize("order", ["fine-tune-first", "prune-first"])
def test_recipe_removes_its_share_and_resumes(
    order: str, speech_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    cache, whole, halves = tmp_path, tmp_path / "whole", tmp_path / "halves"
    assert run(speech_folder, cache, whole, "--share", "0.6", "--order", order) == 0
    file = whole / "pruned.safetensors"
    network = load_network(file)
    removed = 1 - trunk_macs(channels_of(network)) / trunk_macs(CHANNELS)
    assert 0.6 <= removed < 0.63  # channels go by the 16
    assert f"{100 * removed:.1f} % of the multiply-adds removed" in capsys.readouterr().out
    assert channels_of(load_pruned(load("embedding"), file)) == channels_of(network)

    original = distill.DistillationBatches.__getitem__

    def cut_off(self: Any, step: int) -> dict[str, torch.Tensor]:
        if step == 4:
            raise RuntimeError("power cut")
        return original(self, step)

    with monkeypatch.context() as patched, pytest.raises(RuntimeError, match="power cut"):
        patched.setattr(distill.DistillationBatches, "__getitem__", cut_off)
        run(speech_folder, cache, halves, "--share", "0.6", "--order", order)
    assert run(speech_folder, cache, halves, "--share", "0.6", "--order", order) == 1  # not over what is there
    assert "--resume" in capsys.readouterr().err
    assert run(speech_folder, cache, halves, "--share", "0.6", "--order", order, "--resume") == 0
    (one, weights, _), (other, resumed, _) = read(file), read(halves / "pruned.safetensors")
    assert one == other
    torch.testing.assert_close(weights, resumed, atol=0, rtol=0)


def test_norms_choose_without_training(speech_folder: Path, tmp_path: Path, baseline: XVectorSincNet) -> None:
    steps = ["--norm", "--fine-tune-steps", "0", "--distil-steps", "0", "--share", "0.5"]
    assert run(speech_folder, tmp_path, tmp_path / "out", *steps) == 0
    network = load_network(tmp_path / "out" / "pruned.safetensors")
    counts = channels_of(network)
    assert all(count % prune.BLOCK == 0 or count == of for count, of in zip(counts, CHANNELS, strict=True))
    # the strongest channels of the first TDNN level: their biases, which nothing has changed
    strongest = baseline.tdnns[0].weight.detach().flatten(1).norm(dim=1).topk(counts[3]).indices.sort().values
    torch.testing.assert_close(network.tdnns[0].bias, baseline.tdnns[0].bias[strongest], atol=1e-3, rtol=1e-3)


def test_share_must_be_one() -> None:
    assert main(["prune", "--data", "nowhere", "--out", "nowhere", "--share", "50"]) == 1


def test_masks_reach_the_share_from_above() -> None:
    open_gates = [torch.linspace(-3, 3, count) for count in CHANNELS]
    for share in (0.2, 0.5, 0.9):
        masks = prune.masks_for(share, lambda offset: [(gate + offset > 0).float() for gate in open_gates])
        assert 0 <= 1 - trunk_macs([float(mask.sum()) for mask in masks]) / trunk_macs(CHANNELS) - share < 0.01


def test_gates_and_weights_learn_together_and_the_teacher_never_changes(
    batches: distill.DistillationBatches, baseline: XVectorSincNet
) -> None:
    torch.manual_seed(0)
    teacher = prune.frozen(baseline)
    before = {key: value.clone() for key, value in teacher.state_dict().items()}
    objective = prune.PruningObjective(prune.trainable(baseline), teacher, 0.5, (0.3, 1.0)).train()
    optimiser = torch.optim.AdamW(objective.parameter_groups(2e-4))
    sparsities = []
    for step in range(40):
        optimiser.zero_grad()
        loss, metrics = objective(batches[step], step / 40)
        loss.backward()
        objective.clip.clip(objective.parameters())
        optimiser.step()
        sparsities.append(float(metrics["sparsity"].detach()))
    assert sparsities[-1] > 0.4 > 0.1 > sparsities[0]
    assert all(torch.equal(value, before[key]) for key, value in teacher.state_dict().items())
    assert not teacher.training and not objective.network.training


@torch.no_grad()
def test_gated_at_evaluation_equals_pruned(batches: distill.DistillationBatches, baseline: XVectorSincNet) -> None:
    torch.manual_seed(0)
    objective = prune.PruningObjective(baseline.double(), prune.frozen(baseline), 0.5).double().eval()
    for gate in objective.gates:
        gate.get_parameter("log_alpha").normal_()
    batch = {key: value.double() for key, value in batches[0].items()}
    gated, _ = objective.embeddings(batch)
    pruned = remove_channels(objective.network, [gate() for gate in objective.gates])
    objective.gates = torch.nn.ModuleList()
    own, _ = objective.embeddings(batch)
    assert max(channels_of(pruned)) < max(CHANNELS)
    assert (own - gated).norm() <= 1e-5 * gated.norm()


def test_distilling_on_brings_a_pruned_network_nearer(
    batches: distill.DistillationBatches, baseline: XVectorSincNet
) -> None:
    teacher = prune.frozen(baseline)
    pruned = remove_channels(baseline, prune.norm_masks(baseline, 0.5))
    objective = prune.PruningObjective(prune.trainable(pruned), teacher).train()
    optimiser = torch.optim.AdamW(objective.parameter_groups(1e-3))
    distances = []
    for step in range(12):
        optimiser.zero_grad()
        loss, metrics = objective(batches[0], step / 12)
        loss.backward()
        optimiser.step()
        distances.append(float(metrics["distance"].detach()))
    assert distances[-1] < 0.7 * distances[0]
    assert "sparsity" not in metrics


def test_class_vectors_start_where_the_classes_are(speech_folder: Path, baseline: XVectorSincNet) -> None:
    source = AugmentedSpeech(read_speech(speech_folder), 2, SPEEDS[1:3], 0)
    vectors = prune.centroids(baseline, source, 2.0)
    assert vectors.shape == (16, 512)
    torch.testing.assert_close(vectors.mean(dim=0), torch.zeros(512), atol=1e-5, rtol=0)
    torch.testing.assert_close(vectors.std(dim=0), torch.ones(512))


def test_options_have_defaults() -> None:
    from variants.training.__main__ import _parser

    args = _parser().parse_args(["prune", "--data", "x", "--out", "y"])
    assert isinstance(args, argparse.Namespace) and args.order == "fine-tune-first" and args.share == 0.5
