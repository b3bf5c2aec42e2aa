"""Models that `python -m variants fetch` has put into the cache: by a stand-in, and the real files where they are."""

import hashlib
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import huggingface_hub
import numpy as np
import pytest
import torch

import variants
from bench.corpus import sample
from variants import Provenance, provenance_of
from variants.fetch import KNOWN, path_of
from variants.loading import load, trained_duration

NAME = "pyannote/segmentation"
REAL = {name: path_of(name) for name in KNOWN}  # of the user's own cache


@pytest.fixture
def fetched(segmenter: Any, content: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A small model in the cache in the paper's model's place."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    path = path_of(NAME)
    path.parent.mkdir(parents=True)
    torch.save(content(segmenter), path)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    monkeypatch.setitem(KNOWN, NAME, replace(KNOWN[NAME], sha256=digest))
    return path


def test_the_fetched_file_comes_before_hugging_face(
    fetched: Path, segmenter: Any, same_weights: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(huggingface_hub, "hf_hub_download", lambda *args, **options: pytest.fail("the hub was asked"))
    model = load("segmentation", NAME)
    same_weights(model, segmenter)
    assert provenance_of(model) == Provenance(NAME, KNOWN[NAME].sha256, trained=True)


def test_a_revision_and_a_model_that_is_not_fetched_come_from_hugging_face(
    fetched: Path, segmenter: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []
    monkeypatch.setattr(huggingface_hub, "hf_hub_download", lambda name, *_, **__: asked.append(name) or str(fetched))
    for source in (f"{NAME}@2022.07", "pyannote/segmentation-3.0"):
        load("segmentation", source)
    assert asked == [NAME, "pyannote/segmentation-3.0"]


def test_a_damaged_file_is_not_loaded(fetched: Path, refusal: Callable[..., str]) -> None:
    fetched.write_bytes(fetched.read_bytes() + b"\0")
    message = refusal("segmentation", NAME)
    assert f"{fetched} is damaged (its SHA-256 is not the known one)" in message
    assert f"`python -m variants fetch {NAME}`" in message


def real(name: str) -> str:
    """The user's own fetched file; skips the test where there is none."""
    if not REAL[name].exists():
        pytest.skip(f"not fetched: python -m variants fetch {name}")
    return str(REAL[name])


@pytest.mark.parametrize(("name", "seconds", "classes"), [(NAME, 5.0, 3), ("pyannote/segmentation-3.0", 10.0, 7)])
def test_the_real_segmentations(name: str, seconds: float, classes: int) -> None:
    path = real(name)
    model = load("segmentation", path)
    assert trained_duration(model) == seconds
    assert model.classifier.out_features == classes
    whole = sample()[0]
    assert whole.reference is not None
    chunks = torch.from_numpy(whole.waveform()[:, : 30 * 16000]).reshape(6, 1, 5 * 16000)
    found = (variants.as_segmentation_model(model)(chunks) > 0.5).any(dim=-1).flatten().tolist()
    speech = whole.reference.get_timeline().support()
    spoken = [bool(speech.overlapping(30 * i / len(found))) for i in range(len(found))]
    assert 0.2 < np.mean(spoken) < 0.8
    assert np.mean(np.equal(found, spoken)) > 0.9  # it hears speech where there is speech, and none elsewhere


def test_the_real_file_by_pyannotes_own_loader(same_weights: Callable[..., None]) -> None:
    path = real(NAME)
    same_weights(load("segmentation", path), load("segmentation", path, trust=True))


def test_the_real_embedding_names_no_architecture(refusal: Callable[..., str], tmp_path: Path) -> None:
    shutil.copy(real("campplus"), tmp_path / "campplus.pt")
    message = refusal("segmentation", tmp_path / "campplus.pt")
    assert "it holds weights alone, 937 tensors such as 'head.conv1.weight'" in message
