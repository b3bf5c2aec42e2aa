"""The bundled models: whole numbers of the stock class, and every way that the shipped files can be bad."""

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from variants import UserError, provenance_of
from variants.loading import bundled, load


@pytest.fixture
def bundle(tmp_path: Path, stock: Any, segmenter: Any, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of bundled weights as they are shipped: half precision, metadata, checksums."""
    weights, lines = tmp_path / "weights", []
    weights.mkdir()
    for kind, model, architecture in (
        ("embedding", stock, "pyannote.audio.models.embedding.XVectorSincNet"),
        ("segmentation", segmenter, "pyannote.audio.models.segmentation.PyanNet"),
    ):
        state = {k: v.half() if v.is_floating_point() else v for k, v in model.state_dict().items()}
        hyperparameters = json.dumps({"lstm": dict(model.hparams.lstm)} if kind == "segmentation" else {})
        path = weights / f"{kind}.safetensors"
        save_file(state, path, {"architecture": architecture, "hyperparameters": hyperparameters})
        lines.append(f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.name}")
    (weights / "SHA256SUMS").write_text("\n".join(lines) + "\n")
    monkeypatch.setattr(bundled, "WEIGHTS", weights)
    return weights


def test_bundled_weights_are_whole_numbers_of_the_stock_class(bundle: Path, stock: Any, segmenter: Any) -> None:
    for kind, original in (("embedding", stock), ("segmentation", segmenter)):
        model = load(kind)
        assert type(model) is type(original)
        assert not model.training
        for key, value in original.state_dict().items():
            if value.is_floating_point():
                assert torch.equal(model.state_dict()[key], value.half().float())
        provenance = provenance_of(model)
        assert provenance is not None
        digest = hashlib.sha256((bundle / f"{kind}.safetensors").read_bytes()).hexdigest()
        assert (provenance.source, provenance.sha256) == (f"bundled {kind}", digest)
    assert len(load("segmentation").specifications.classes) == 3


def damage(bundle: Path) -> None:
    path = bundle / "embedding.safetensors"
    path.write_bytes(path.read_bytes()[:-1] + b"\x7f")


def empty_but_vouched_for(bundle: Path) -> None:
    (bundle / "embedding.safetensors").write_bytes(b"")
    (bundle / "SHA256SUMS").write_text(f"{hashlib.sha256(b'').hexdigest()}  embedding.safetensors\n")


@pytest.mark.parametrize(
    ("harm", "reason"),
    [
        (damage, "is damaged (SHA-256 differs"),
        (lambda bundle: (bundle / "SHA256SUMS").write_text(""), "is damaged (SHA-256 differs"),
        (lambda bundle: (bundle / "embedding.safetensors").unlink(), "cannot read"),
        (lambda bundle: (bundle / "SHA256SUMS").unlink(), "cannot read"),
        (empty_but_vouched_for, "cannot read"),
    ],
)
def test_damaged_bundle(bundle: Path, harm: Callable[[Path], Any], reason: str) -> None:
    harm(bundle)
    with pytest.raises(UserError, match=r"^bundled embedding: ") as raised:
        load("embedding")
    assert reason in str(raised.value)
    assert len(str(raised.value).splitlines()) == 1


def test_an_exported_file_is_loaded_by_its_path(bundle: Path, stock: Any, segmenter: Any) -> None:
    for kind, original in (("embedding", stock), ("segmentation", segmenter)):
        path = bundle / f"{kind}.safetensors"
        model, provenance = load(kind, str(path)), provenance_of(load(kind, str(path)))
        for key, value in load(kind).state_dict().items():
            assert torch.equal(model.state_dict()[key], value)
        assert type(model) is type(original) and not model.training and provenance is not None
        assert provenance.source == str(path) and provenance.trained
        assert provenance.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.mark.parametrize(
    ("kind", "metadata", "says"),
    [
        ("embedding", None, "no weights that `python -m variants.training export` wrote (names no architecture)"),
        ("segmentation", None, "not a segmentation of this project (it holds no WavLM)"),
        ("embedding", {"architecture": "os.system", "hyperparameters": "{}"}, "its architecture os.system is not one"),
        ("embedding", {"architecture": "pyannote.audio.models.segmentation.PyanNet"}, "is a model for --segmentation"),
        (
            "embedding",
            {"architecture": "pyannote.audio.models.embedding.XVectorSincNet", "hyperparameters": "{}"},
            "export` wrote (Error(s) in loading state_dict for XVectorSincNet: Missing key(s)",
        ),
        ("embedding", {"architecture": "pyannote.audio.models.embedding.XVectorSincNet"}, "wrote ('hyperparameters')"),
    ],
)
def test_other_safetensors_are_refused_in_one_line(
    kind: Any, metadata: dict[str, str] | None, says: str, tmp_path: Path
) -> None:
    path = tmp_path / "other.safetensors"
    save_file({"a": torch.ones(2)}, path, metadata)
    with pytest.raises(UserError) as raised:
        load(kind, str(path))
    assert says in str(raised.value) and "\n" not in str(raised.value) and str(path) in str(raised.value)


def test_a_damaged_safetensors_file_is_refused_in_one_line(tmp_path: Path) -> None:
    path = tmp_path / "other.safetensors"
    path.write_bytes(b"not safe")
    for kind in ("embedding", "segmentation"):
        with pytest.raises(UserError, match=r"other\.safetensors: no"):
            load(kind, str(path))  # type: ignore[arg-type]


def test_campplus_is_no_segmentation() -> None:
    with pytest.raises(UserError, match="--segmentation campplus: it is a model for --embedding"):
        load("segmentation", "campplus")
