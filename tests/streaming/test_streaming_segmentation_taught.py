"""The taught streaming segmentation: whom a student serves, how its file is read, when chunks are whole ones."""

import copy
import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import save_file
from streams import COUNT, HOP, LENGTH, noise, pyannet, scores

import variants
from variants.provenance import Provenance, provenance_of, stamp
from variants.streaming import streaming_segmentation_taught
from variants.streaming.recurrence import Recurrence
from variants.streaming.streaming_segmentation_taught import in_bytes, student_of

TEACHER = Provenance("a teacher", "ab" * 32, trained=True)


@pytest.fixture(scope="module")
def two() -> Any:
    """Of two layers. Not to be changed."""
    return pyannet(2)


@pytest.fixture
def shelf(tmp_path: Path, two: Any, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a student of `TEACHER` in it, the one of these tests; all its weights are 0.5, all biases 0.25."""
    tensors = {}
    for key, parameter in Recurrence(two).named_parameters():
        tensors[key] = torch.full(parameter.shape, 0.25 if "bias" in key else 5).to(torch.float16)
        if parameter.dim() > 1:
            tensors[key] = tensors[key].to(torch.int8)
            tensors[f"{key}.scale"] = torch.full((len(parameter), 1), 0.1).half()
    path = tmp_path / "streaming-segmentation.safetensors"
    names = {"teacher": json.dumps("a teacher"), "teacher_sha256": json.dumps(TEACHER.sha256)}
    save_file(tensors, path, names)
    (tmp_path / "SHA256SUMS").write_text(f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.name}\n")
    monkeypatch.setattr(streaming_segmentation_taught, "WEIGHTS", tmp_path)
    return tmp_path


def test_a_student_serves_its_teacher_alone(shelf: Path, two: Any) -> None:
    model = stamp(copy.deepcopy(two), TEACHER)
    taught, _ = student_of(model)
    assert {name: round(p.min().item(), 3) for name, p in taught.named_parameters()} == {
        name: 0.25 if "bias" in name else 0.5 for name, _ in taught.named_parameters()
    }
    built = variants.build("streaming-segmentation-taught", model)
    digest = hashlib.sha256((shelf / "streaming-segmentation.safetensors").read_bytes()).hexdigest()
    assert provenance_of(built) == Provenance("student of a teacher", digest, trained=True)
    wave = noise(LENGTH + COUNT * HOP)
    assert scores(built, wave[:LENGTH]).std() < 1e-3 < two(wave[None, None, :LENGTH]).std()  # all classes alike
    ages = []
    for step in range(20, COUNT + 1, 17):  # frames; a chunk has 71
        scores(built, wave[step * HOP : step * HOP + LENGTH])
        ages.append(built.streams[0].age)
    assert ages == [20, 37, 54, 0]
    other = stamp(copy.deepcopy(two), Provenance("another", "cd" * 32, trained=True))
    with pytest.raises(variants.UnavailableError, match="no student of another is shipped, only of a teacher"):
        variants.build("streaming-segmentation-taught", other)


def test_a_damaged_student_is_refused(shelf: Path, two: Any) -> None:
    (shelf / "SHA256SUMS").write_text(f"{'0' * 64}  streaming-segmentation.safetensors\n")
    with pytest.raises(variants.UserError, match="damaged"):
        student_of(stamp(copy.deepcopy(two), TEACHER))


@settings(deadline=None)
@given(st.lists(st.lists(st.floats(-1e3, 1e3, width=32), min_size=3, max_size=3), min_size=1, max_size=5))
def test_in_bytes_keeps_each_row_to_a_two_hundredth_of_its_largest(rows: list[list[float]]) -> None:
    weight = torch.tensor(rows)
    found, scale = in_bytes(weight)
    assert (found.dtype, scale.dtype, scale.shape) == (torch.int8, torch.float16, (len(rows), 1))
    allowed = weight.abs().amax(dim=1, keepdim=True) / 200 + 1e-6
    assert bool(((found * scale.float() - weight).abs() <= allowed).all())
