"""The weights that ship: intact, described, loadable by the stock classes, and trained rather than random."""

import hashlib
from pathlib import Path

import numpy as np
import pyannote.audio
import pytest
import torch

import bench
import variants
from variants.loading import load
from variants.speech.data import Clip, read_conversations, read_rttm, single_speaker_speech
from variants.training.architecture import PyanNet, XVectorSincNet
from variants.training.evaluate import chunks, evaluate_embedding, segmentation_error
from variants.training.segmentation import activity
from variants.training.weights import load_network

WEIGHTS = Path(variants.__file__).parent / "weights"
EMBEDDED = Path(bench.__file__).parent / "corpus" / "embedded"
SAMPLE = Path(pyannote.audio.__file__).parent / "sample"


def test_checksums_and_cards() -> None:
    listed = dict(reversed(line.split()) for line in (WEIGHTS / "SHA256SUMS").read_text().splitlines())
    first = {f"{kind}.safetensors" for kind in ("embedding", "segmentation", "student")}
    others = ("channel-pruned-50", "channel-pruned-75", "streaming-segmentation")
    assert set(listed) == first | {f"{name}.safetensors" for name in others}
    assert (WEIGHTS / "streaming-segmentation.safetensors").stat().st_size < 2e6
    assert sum((WEIGHTS / name).stat().st_size for name in first) < 25e6
    for name, digest in listed.items():
        assert hashlib.sha256((WEIGHTS / name).read_bytes()).hexdigest() == digest
        card = (WEIGHTS / name).with_suffix(".md").read_text()
        assert "CC BY 4.0" in card
        assert "python -m variants.training" in card


@pytest.fixture
def recording() -> tuple[np.ndarray, np.ndarray]:
    """30 s of two speakers that pyannote.audio brings along, and who speaks when (100 frames a second)."""
    waveform = Clip(SAMPLE / "sample.wav").read()
    (turns,) = read_rttm(SAMPLE / "sample.rttm").values()
    return waveform, activity(turns, 0.0, len(waveform) / 16000)


def test_shipped_segmentation_follows_an_unseen_recording(recording: tuple[np.ndarray, np.ndarray]) -> None:
    torch.manual_seed(0)
    network, untrained = load_network(WEIGHTS / "segmentation.safetensors"), PyanNet().eval()
    signals, labels = chunks([recording])
    assert segmentation_error(network, signals, labels) < 0.6 * segmentation_error(untrained, signals, labels)


def test_shipped_embedding_tells_unseen_voices_apart() -> None:
    torch.manual_seed(0)
    voices = single_speaker_speech(read_conversations(EMBEDDED / "dev"))
    trained, untrained = (
        evaluate_embedding(network, voices, seconds=2.0)["eer"]
        for network in (load_network(WEIGHTS / "embedding.safetensors"), XVectorSincNet().eval())
    )
    assert trained < 0.5 * untrained


@torch.no_grad()
def test_shipped_student_follows_its_teacher() -> None:
    teacher = load("embedding")
    student = variants.build("distilled", teacher)
    provenance = variants.provenance_of(student)
    assert provenance is not None
    assert (provenance.source, provenance.trained) == ("bundled student", True)
    waveform = torch.from_numpy(Clip(EMBEDDED / "dev" / "survey.flac", 0.0, 50.0).read())
    chunks_of_5_s = waveform.unflatten(0, (-1, 1, 80_000))
    embeddings = [model.eval()(chunks_of_5_s) for model in (student, teacher)]
    assert torch.nn.functional.cosine_similarity(*embeddings).min() > 0.85
