"""The student's losses against values by hand and pyannote's own task; its cut; a teacher that never changes."""

import copy
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch
import torch.nn.functional as F
from diart.functional import overlapped_speech_penalty
from pyannote.audio.models.embedding import XVectorSincNet as StockXVector
from pyannote.audio.tasks import SupervisedRepresentationLearningWithArcFace
from pyannote.core import Annotation, Segment, Timeline
from pyannote.database import registry
from pyannote.database.protocol import SpeakerDiarizationProtocol
from pytorch_metric_learning.losses import ArcFaceLoss
from torch import nn

from variants.loading import load
from variants.paper.distilled import load_student, reduce
from variants.provenance import provenance_of
from variants.speech.data import Clip, read_speech
from variants.training import distill
from variants.training.__main__ import main
from variants.training.arcface_task import DistillationWithArcFace
from variants.training.architecture import XVectorSincNet
from variants.training.embedding import AugmentedSpeech, embed_windows, tdnn_levels
from variants.training.student import Teacher, cut_student, features_of, has_initial_front, load_teacher, new_student
from variants.training.weights import export, load_network

STUDENT = torch.tensor([[1.0, 2.0], [0.0, 0.0]])
TEACHER = torch.tensor([[0.0, 2.0], [0.0, 3.0]])  # mean squared difference (1 + 9) / 4


def random_teacher() -> Teacher:
    torch.manual_seed(0)
    network = XVectorSincNet().eval().requires_grad_(False)
    return Teacher(network, "ab" * 32)


@pytest.fixture(scope="module")
def batch(speech_folder: Path) -> dict[str, torch.Tensor]:
    source = AugmentedSpeech(read_speech(speech_folder), 1, (1.0,), seed=1)
    return distill.DistillationBatches(source, 4, 9.0, 1.5, seed=1, weighted=True)[0]


@pytest.fixture(scope="module")
def plain(speech_folder: Path) -> dict[str, torch.Tensor]:
    source = AugmentedSpeech(read_speech(speech_folder), 1, (1.0,), seed=1)
    return distill.DistillationBatches(source, 4, 6.0, 1.0, seed=1, weighted=False)[0]


def test_loss_and_gradient_by_hand() -> None:
    student = STUDENT.clone().requires_grad_(True)
    loss = distill.distillation_loss(student.sum(), student, TEACHER, 10.0)
    assert loss.item() == pytest.approx(3 + 10 * 10 / 4)
    loss.backward()
    # 1 from the sum, and lambda * 2 * difference / 4
    torch.testing.assert_close(student.grad, torch.tensor([[1 + 5.0, 1.0], [1.0, 1 - 15.0]]))


class Table(nn.Module):
    """Stands for a pyannote model: embeddings that do not depend on the waveforms, a loss by hand."""

    def __init__(self) -> None:
        super().__init__()
        self.embeddings = nn.Parameter(STUDENT.clone())
        self.loss_func = lambda embeddings, labels: (embeddings.sum(dim=1) * labels).sum()
        self.logged: list[tuple[str, float]] = []

    def forward(self, waveforms: torch.Tensor) -> torch.Tensor:
        return self.embeddings

    def log(self, name: str, value: torch.Tensor, **_: Any) -> None:
        self.logged.append((name, value.item()))


class Somebody(SpeakerDiarizationProtocol):
    """The least that pyannote's tasks accept; its audio is never read."""

    name = "Somebody.SpeakerDiarization.once"

    def train_iter(self) -> Iterator[dict[str, Any]]:
        annotation, turn = Annotation("one"), Segment(0, 5)
        annotation[turn] = "ann"
        file = {"uri": "one", "audio": "one.wav", "annotation": annotation, "annotated": Timeline([turn])}
        yield file | {"scope": "global"}


def test_task_loss_and_gradient_by_hand() -> None:
    task = DistillationWithArcFace(Somebody(), SimpleTeacher(TEACHER), factor=2.0)
    task.model = Table()
    step = task.training_step({"X": torch.zeros(2, 1, 100), "y": torch.tensor([1, 2])}, 0)
    assert step is not None
    assert step["loss"].item() == pytest.approx(3 * 1 + 0 * 2 + 2 * 10 / 4)
    step["loss"].backward()
    expected = torch.tensor([[1 + 1.0, 1.0], [2.0, 2 - 3.0]])
    torch.testing.assert_close(task.model.embeddings.grad, expected)
    assert task.model.logged == [("loss/train", step["loss"].item())]
    assert not any(parameter.requires_grad for parameter in task.teacher.parameters())


class SimpleTeacher(nn.Module):
    def __init__(self, embeddings: torch.Tensor) -> None:
        super().__init__()
        self.embeddings = nn.Parameter(embeddings.clone())

    def forward(self, waveforms: torch.Tensor) -> torch.Tensor:
        return self.embeddings


def test_task_with_lambda_zero_is_pyannotes_own() -> None:
    torch.manual_seed(0)
    model = reduce(StockXVector())
    model.log = lambda *_, **__: None
    model.loss_func = ArcFaceLoss(5, 512, margin=28.6, scale=64.0)
    given = {"X": torch.randn(4, 1, 16000), "y": torch.tensor([0, 3, 1, 3])}
    losses = []
    for task in (
        SupervisedRepresentationLearningWithArcFace(Somebody()),
        DistillationWithArcFace(Somebody(), random_teacher().network, factor=0.0),
    ):
        task.model = copy.deepcopy(model)
        task.model.log = model.log
        step = task.training_step(given, 0)
        step["loss"].backward()
        gradients = {name: value.grad for name, value in task.model.named_parameters() if value.grad is not None}
        losses.append((step["loss"].detach(), gradients))
    torch.testing.assert_close(*(loss for loss, _ in losses), atol=0, rtol=0)
    torch.testing.assert_close(*(gradients for _, gradients in losses), atol=0, rtol=0)


def test_recipe_with_lambda_zero_is_pyannotes_arcface(plain: dict[str, torch.Tensor]) -> None:
    teacher = random_teacher()
    student = new_student(teacher.network, 1)
    objective = distill.DistillationObjective(student, teacher, factor=0.0, classes=8).train()
    loss, _ = objective(plain, 0.0)
    embeddings = embed_windows(student, student.sincnet.front(plain["signal"]), plain["weights"])[:, 0]
    arcface = ArcFaceLoss(8, 512, margin=28.6, scale=64.0)
    arcface.W.data = objective.classes.data.T.clone()
    torch.testing.assert_close(loss, arcface(embeddings, plain["labels"][:, 0]), atol=1e-3, rtol=1e-4)
    distance = F.mse_loss(embeddings, teacher.network.from_front(student.sincnet.front(plain["signal"])))
    objective.factor = 7.0
    torch.testing.assert_close(objective(plain, 0.0)[0], loss + 7 * distance, atol=1e-2, rtol=1e-4)


def test_features_may_come_from_the_store(plain: dict[str, torch.Tensor]) -> None:
    network = random_teacher().network
    features = features_of(network, plain["signal"])
    assert features.shape[:2] == (len(plain["signal"]), 80)
    assert features_of(network, features) is features


@pytest.mark.parametrize("start", ["cut", "scratch"])
def test_teacher_never_changes(batch: dict[str, torch.Tensor], start: str) -> None:
    teacher = random_teacher()
    before = copy.deepcopy(teacher.network.state_dict())
    student = cut_student(teacher.network, batch["signal"]) if start == "cut" else new_student(teacher.network, 1)
    objective = distill.DistillationObjective(student, teacher, frames=0.1 if start == "cut" else 0.0)
    learnt = copy.deepcopy(student.state_dict())
    optimiser = torch.optim.AdamW(objective.parameters(), lr=1e-3, weight_decay=0.5)
    for _ in range(2):
        objective.train()
        loss, _ = objective(batch, 0.0)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    for name, value in objective.teacher.state_dict().items():
        assert torch.equal(value, before[name]), name
    assert not torch.equal(student.tdnns[0].weight, learnt["tdnns.0.weight"])
    frozen = torch.equal(student.sincnet.conv1d[1].weight, learnt["sincnet.conv1d.1.weight"])
    statistics = torch.equal(student.tdnns[2].running_mean, learnt["tdnns.2.running_mean"])
    assert (frozen, statistics) == (start == "cut", start == "cut")


def test_objective_compares_what_the_models_themselves_give(batch: dict[str, torch.Tensor]) -> None:
    teacher = random_teacher()
    student = new_student(teacher.network, 1)
    objective = distill.DistillationObjective(student, teacher).eval()
    with torch.no_grad():
        own, other, *_ = objective.embeddings(batch)
        expected = [network(batch["signal"], batch["weights"]) for network in (student, teacher.network)]
        loss, metrics = objective(batch, 0.0)
    torch.testing.assert_close([own, other], expected, atol=1e-4, rtol=1e-3)
    cosines = F.cosine_similarity(*expected, dim=-1)
    torch.testing.assert_close(loss, 1 - cosines.mean(), atol=1e-4, rtol=0)
    torch.testing.assert_close(metrics["lowest_cosine"], cosines.min(), atol=1e-4, rtol=0)


def test_weights_are_diarts(batch: dict[str, torch.Tensor]) -> None:
    scores = np.random.default_rng(0).random((3, 40)) ** 2
    expected = overlapped_speech_penalty(torch.from_numpy(scores.T)[None], gamma=3, beta=10)[0].T.numpy()
    np.testing.assert_allclose(distill.penalised(scores), expected, rtol=1e-6)
    assert batch["weights"].shape[1] == 2
    assert (batch["weights"] >= 1e-8 * (1 - 1e-6)).all()
    assert len(batch["weights"].unique()) > 50  # soft


@torch.no_grad()
def test_cut_takes_over_what_the_missing_level_did(batch: dict[str, torch.Tensor]) -> None:
    """A level that only passes on its middle frame can be left out without loss."""
    teacher = random_teacher().network
    identity, behind = teacher.tdnns[3], teacher.tdnns[6]
    identity.weight.zero_()
    identity.weight[:, :, 1] = torch.eye(512)
    identity.bias.fill_(30.0)  # so that the activation passes everything on
    features = teacher.sincnet.front(batch["signal"])
    student = cut_student(teacher, features)
    front = teacher.sincnet.back(features).transpose(1, 2)
    wanted = behind(tdnn_levels(teacher, front)[1].transpose(1, 2))
    fitted = student.tdnns[3](tdnn_levels(student, front)[0].transpose(1, 2))[:, :, 2:-2]
    assert (fitted - wanted).square().mean() < 0.02 * wanted.var(dim=(0, 2)).mean()


def test_start_from_teachers_layers_is_near_the_teacher_already(batch: dict[str, torch.Tensor]) -> None:
    teacher = load_teacher("bundled")
    with torch.no_grad():
        features = teacher.network.sincnet.front(batch["signal"])
        cosines = []
        for student in (
            cut_student(teacher.network, features),
            reduce(copy.deepcopy(teacher.network)),
        ):
            own, other, *_ = distill.DistillationObjective(student, teacher).eval().embeddings(batch)
            cosines.append(F.cosine_similarity(own, other, dim=-1).mean().item())
    assert 1 - cosines[0] < 0.4 * (1 - cosines[1])  # 0.19 of 0.69


def test_any_embedding_model_can_teach(tmp_path: Path) -> None:
    bundled, model = load_teacher("bundled"), load("embedding")
    own = tmp_path / "own.safetensors"
    export(bundled.network, own)
    assert bundled.sha256 == provenance_of(model).sha256  # type: ignore[union-attr]
    assert load_teacher(str(own)).network.training is False
    fresh = XVectorSincNet()
    assert has_initial_front(fresh) and not has_initial_front(bundled.network)
    with torch.no_grad():
        fresh.sincnet.conv1d[0].filterbank.low_hz_[3] += 5
    assert not has_initial_front(fresh)


def test_protocol_goes_through_pyannotes_task(
    speech_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    turns, uris = [], []
    for path in sorted(speech_folder.rglob("*.wav")):
        uri, speaker = f"{path.parent.name}-{path.stem}", path.parent.name
        soundfile.write(tmp_path / f"{uri}.wav", Clip(path).read(), 16000)
        turns.append(f"SPEAKER {uri} 1 0.5 5.0 <NA> <NA> {speaker} <NA> <NA>\n")
        uris.append(f"{uri}\n")
    (tmp_path / "all.rttm").write_text("".join(turns))
    (tmp_path / "all.uem").write_text("".join(f"{uri.strip()} 1 0 6\n" for uri in uris))
    (tmp_path / "all.lst").write_text("".join(uris))
    (tmp_path / "database.yml").write_text(
        f"Databases:\n  Voices: {tmp_path}/{{uri}}.wav\nProtocols:\n  Voices:\n    SpeakerDiarization:\n"
        "      tiny:\n        train:\n          uri: all.lst\n          annotation: all.rttm\n"
        "          annotated: all.uem\n"
    )
    registry.load_database(tmp_path / "database.yml")
    out = tmp_path / "out"
    arguments = ["distill", "--protocol", "Voices.SpeakerDiarization.tiny", "--lambda", "1000", "--out", str(out)]
    arguments += ["--batch-seconds", "4", "--crop", "1", "--workers", "0", "--accelerator", "cpu"]
    assert main([*arguments, "--steps", "2"]) == 0
    assert main([*arguments, "--steps", "3", "--resume"]) == 0
    state = torch.load(out / "last.ckpt", weights_only=False)
    assert state["global_step"] == 3
    assert not any("teacher" in key for key in state["state_dict"])
    student = load_student(load("embedding"), out / "student.safetensors")
    assert student is not None
    torch.testing.assert_close(
        student.tdnns[0].weight, state["state_dict"]["tdnns.0.weight"].half().float(), atol=0, rtol=0
    )


def test_fitting_alone_and_what_it_writes(speech_folder: Path, tmp_path: Path) -> None:
    arguments = ["distill", "--data", str(speech_folder), "--out", str(tmp_path), "--steps", "0", "--copies", "1"]
    arguments += ["--batch-seconds", "3", "--crop", "1", "--dev-speakers", "2", "--workers", "0"]
    assert main(arguments) == 0
    path = tmp_path / "student.safetensors"
    network = load_network(path)
    student = load_student(load("embedding"), path)
    assert student is not None
    waveforms = torch.randn(1, 1, 32000)
    with torch.no_grad():
        torch.testing.assert_close(student.eval()(waveforms), network(waveforms), atol=1e-4, rtol=1e-3)


def test_unknown_protocol_and_teacher_are_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    given = ["distill", "--out", str(tmp_path / "out"), "--protocol", "No.SpeakerDiarization.such", "--lambda", "1"]
    assert main(given) == 1
    assert "protocol No.SpeakerDiarization.such" in capsys.readouterr().err
    assert main([*given, "--teacher", str(tmp_path / "none.safetensors")]) == 1
    assert "none.safetensors" in capsys.readouterr().err
