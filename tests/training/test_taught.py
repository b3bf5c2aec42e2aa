"""The objective of an embedding that another one teaches, against values by hand; its batches; what it refuses."""

from pathlib import Path

import numpy as np
import pytest
import torch

from variants.training import taught
from variants.training.__main__ import main
from variants.training.architecture import XVectorSincNet
from variants.training.losses import relational_loss
from variants.training.voices import MIXED, SAMPLES, Bank
from variants.training.weights import load_network


def bank(crops: int = 4, dimension: int = 3) -> Bank:
    rng = np.random.default_rng(0)
    targets = rng.standard_normal((crops, dimension)).astype(np.float32)
    targets /= np.linalg.norm(targets, axis=1, keepdims=True)
    waveforms = np.repeat(np.arange(1, crops + 1, dtype=np.float16)[:, None] / 8, SAMPLES, axis=1)
    return Bank(waveforms, targets, np.array([*range(crops - 1), MIXED]))


def test_relational_loss_by_hand() -> None:
    embeddings = torch.tensor([[1.0, 0.0], [0.6, 0.8]])
    targets = torch.tensor([[0.0, 1.0], [1.0, 0.0]])
    assert relational_loss(embeddings, targets).item() == pytest.approx(2 * 0.6**2 / 4)


def test_targets_keep_their_cosines() -> None:
    matrix, targets = taught.orthonormal(192, 512), torch.randn(6, 192)
    torch.testing.assert_close(targets @ matrix @ matrix.T @ targets.T, targets @ targets.T, atol=1e-3, rtol=1e-4)
    assert torch.equal(matrix, taught.orthonormal(192, 512))


def test_rows_bring_what_the_teacher_said_of_their_crops() -> None:
    voices = bank()
    batches = taught.TaughtBatches(voices, 20, 24.0, (1.0, 3.0), seed=1)
    lengths = []
    for step in (0, 19):
        batch = batches[step]
        rows, _, samples = batch["signal"].shape
        lengths.append(samples)
        assert batch["weights"].shape == (rows, 2, 100) and batch["targets"].shape == (rows, 2, 3)
        for row in range(rows):
            for speaker in range(2):
                (item,) = np.flatnonzero((voices.targets == batch["targets"][row, speaker].numpy()).all(axis=1))
                assert batch["classes"][row, speaker] == voices.classes[item]
    assert 1.0 <= lengths[0] / 16000 < lengths[1] / 16000 <= 3.0


def test_loss_of_a_batch_by_hand(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of three rows; the network's embeddings are given, the class of the first voice is unknown."""
    objective = taught.TaughtObjective(XVectorSincNet(), 2, seed=0, classes=2, factor=0.5)
    objective.projection = torch.eye(2)
    objective.class_vectors = torch.nn.Parameter(torch.tensor([[2.0, 0.0], [0.0, 3.0]]))
    own = torch.tensor([[[1.0, 0.0]], [[0.0, 1.0]], [[0.6, 0.8]]])
    monkeypatch.setattr(objective, "embeddings", lambda signal, weights: own)
    targets = torch.tensor([[[0.8, 0.6]], [[0.0, 1.0]], [[1.0, 0.0]]])
    batch = {"signal": torch.randn(3, 1, 1600), "weights": torch.ones(3, 1, 9), "targets": targets}
    loss, parts = objective(batch | {"classes": torch.tensor([[MIXED], [1], [0]])}, 0.0)
    distance = ((1 - 0.8) + (1 - 1) + (1 - 0.6)) / 3
    relation = 2 * ((0 - 0.6) ** 2 + (0.6 - 0.8) ** 2 + (0.8 - 0) ** 2) / 9
    scale = 32  # pyannote's 64, halved
    arcface = (np.log(1 + np.exp(-scale)) + np.log(1 + np.exp(scale * (0.8 - 0.6)))) / 2
    assert parts["distance"].item() == pytest.approx(distance, abs=1e-6)
    assert parts["relation"].item() == pytest.approx(relation, abs=1e-6)
    assert parts["arcface"].item() == pytest.approx(arcface, rel=1e-4)
    assert loss.item() == pytest.approx(distance + 20 * relation + 0.5 * arcface, rel=1e-5)


def test_embeddings_are_the_networks_and_drop_out_in_training_only() -> None:
    torch.manual_seed(0)
    objective = taught.TaughtObjective(XVectorSincNet(), 2, seed=0, dropout=0.5).eval()
    signal, weights = torch.randn(2, 1, 16000), torch.rand(2, 2, 100)
    with torch.no_grad():
        expected = torch.nn.functional.normalize(objective.network(signal, weights), dim=-1)
        found = objective.embeddings(signal, weights)
        torch.testing.assert_close(found, expected, atol=1e-4, rtol=0)
        objective.network.eval()
        objective.training = True
        assert (objective.embeddings(signal, weights) - expected).abs().max() > 1e-2


def test_a_silent_window_has_a_gradient() -> None:
    """The standard deviation of dead channels is 0, where a square root has none."""
    objective = taught.TaughtObjective(XVectorSincNet(), 2, seed=0)
    objective.network.tdnns[12].weight.data.zero_()
    loss = objective.embeddings(torch.zeros(2, 1, 16000), torch.ones(2, 1, 100)).sum()
    loss.backward()
    assert all(p.grad is None or p.grad.isfinite().all() for p in objective.parameters())


def command(speech: Path, out: Path, *more: str) -> list[str]:
    start = ["embedding", "--teacher", "bundled", "--data", str(speech), "--out", str(out), "--crops", "16"]
    return [*start, "--batch-seconds", "3", "--crop", "0.6", "0.9", "--workers", "0", "--accelerator", "cpu", *more]


def test_named_speakers_choose_the_checkpoint_and_the_file_is_rounded(
    speech_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    more = ["--steps", "2", "--dev", "speaker1", "speaker5", "--arcface", "0.5", "--dropout", "0.2"]
    start = Path(taught.__file__).parents[1] / "weights" / "embedding.safetensors"
    assert main(command(speech_folder, tmp_path, "--start", str(start), *more)) == 0
    network, before = load_network(tmp_path / "embedding.safetensors"), load_network(start)
    assert all(torch.equal(value, value.half().float()) for value in network.state_dict().values())
    for name, kept in (("sincnet.conv1d.0.filterbank.low_hz_", True), ("tdnns.0.weight", False)):
        assert torch.equal(network.state_dict()[name], before.state_dict()[name]) is kept
    (known,) = tmp_path.glob("voices-*.npz")
    with np.load(known) as stored:
        assert len(stored["targets"]) == 12 and stored["classes"].max() < 6 * 11  # six speakers' two utterances


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--dev", "speaker1", "nobody"], "--dev: no such speaker: nobody"),
        (["--dev-speakers", "7"], "8 speakers are too few"),
        (["--dev-speakers", "2", "--teacher", "no-such"], "--embedding no-such: no such file"),
        (["--dev-speakers", "2", "--start", "none.ckpt"], "none.ckpt: not a checkpoint"),
    ],
)
def test_errors_are_one_line(
    more: list[str], message: str, speech_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*command(speech_folder, tmp_path), *more]) == 1
    assert message in capsys.readouterr().err.strip().splitlines()[-1]


def test_a_teacher_of_more_dimensions_is_refused() -> None:
    with pytest.raises(taught.DataError, match="600 dimensions cannot teach 512"):
        taught.TaughtObjective(XVectorSincNet(), 600, seed=0)
