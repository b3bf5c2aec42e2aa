"""The student: one level less, of its own teacher only."""

import hashlib
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from variants import UnavailableError, UserError, build, provenance_of
from variants.paper.distilled import randomize, reduce

pytestmark = pytest.mark.slow  # together: real exports and real forward passes
Built = Callable[[str], Any]


def convolutions(model: nn.Module) -> list[tuple[int, int, int, int]]:
    """(in, out, kernel, dilation) of each TDNN level."""
    return [
        (m.in_channels, m.out_channels, m.kernel_size[0], m.dilation[0]) for m in model.tdnns if type(m) is nn.Conv1d
    ]


def test_student_lacks_one_level_and_every_leaky_relu(built: Built, stock: Any) -> None:
    student = built("distilled")
    assert Counter(convolutions(stock)) - Counter(convolutions(student)) == {(512, 512, 3, 2): 1}
    assert not Counter(convolutions(student)) - Counter(convolutions(stock))
    kinds = Counter(type(m) for m in student.tdnns)
    assert kinds == {nn.Conv1d: 4, nn.ReLU: 4, nn.BatchNorm1d: 4}
    assert Counter(type(m) for m in stock.tdnns) == {nn.Conv1d: 5, nn.LeakyReLU: 5, nn.BatchNorm1d: 5}


@pytest.mark.parametrize("samples", [48_000, 80_000])
def test_student_knows_its_number_of_frames(built: Built, stock: Any, samples: int) -> None:
    for model in (stock, built("distilled")):
        seen = []
        hook = model.stats_pool.register_forward_pre_hook(lambda _, args, seen=seen: seen.append(args[0].shape[-1]))
        with torch.no_grad():
            model(torch.zeros(1, 1, samples))
        hook.remove()
        assert seen == [model.num_frames(samples)]


def test_random_student_is_reproducible_and_says_so(built: Built, stock: Any) -> None:
    before = torch.random.get_rng_state()
    again = build("distilled", stock)
    assert torch.equal(torch.random.get_rng_state(), before)
    for key, value in built("distilled").state_dict().items():
        assert torch.equal(value, again.state_dict()[key])
    assert not torch.equal(again.embedding.weight, stock.embedding.weight)
    provenance = provenance_of(again)
    assert provenance is not None
    assert not provenance.trained
    assert "no student of test" in provenance.source


@pytest.mark.parametrize("taught_by", ["a" * 64, "f" * 64, None])
def test_student_is_loaded_for_its_own_teacher_only(
    stock: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, taught_by: str | None
) -> None:
    path = tmp_path / "student.safetensors"
    state = randomize(reduce(build("baseline", stock)), seed=7).state_dict()
    metadata = {} if taught_by is None else {"teacher_sha256": f'"{taught_by}"'}
    save_file(
        {key: value.half() if value.is_floating_point() else value for key, value in state.items()}, path, metadata
    )
    (tmp_path / "SHA256SUMS").write_text(f"{hashlib.sha256(path.read_bytes()).hexdigest()}  student.safetensors\n")
    monkeypatch.setattr("variants.paper.distilled.STUDENT", path)
    student = build("distilled", stock)
    provenance = provenance_of(student)
    assert provenance is not None
    own = taught_by == "a" * 64
    assert provenance.trained == own
    assert (provenance.source == "bundled student") == own
    same = [torch.equal(value, state[key].half().float()) for key, value in student.state_dict().items() if value.dim()]
    assert all(same) == own
    assert {value.dtype for value in student.state_dict().values()} == {torch.float32, torch.int64}


def test_damaged_student_is_refused(stock: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "student.safetensors"
    path.write_bytes(b"cut short")
    (tmp_path / "SHA256SUMS").write_text(f"{'0' * 64}  student.safetensors\n")
    monkeypatch.setattr("variants.paper.distilled.STUDENT", path)
    with pytest.raises(UserError, match=r"bundled student: .*student\.safetensors is damaged"):
        build("distilled", stock)


def test_other_architectures_have_no_student() -> None:
    with pytest.raises(UnavailableError, match="needs an XVectorSincNet, not a Linear"):
        build("distilled-int8", nn.Linear(3, 3))
