"""Each technique did what it says, on the stock architecture: nothing here depends on what the weights are."""

import hashlib
import math
from collections import Counter
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from bench.latency.size import MIB, parameters, saved_size
from variants import UnavailableError, UserError, build, provenance_of
from variants.paper.distilled import randomize, reduce
from variants.paper.pruned import coo_break_even, coo_bytes

pytestmark = pytest.mark.slow  # together: real exports and real forward passes
Built = Callable[[str], Any]


@pytest.fixture(scope="module")
def built(stock: Any) -> Built:
    """Every variant by name, built once."""
    return cache(lambda name: build(name, stock))


@pytest.fixture(scope="module")
def inputs() -> tuple[torch.Tensor, torch.Tensor]:
    """Three rows of a chunk and of weights."""
    generator = torch.Generator().manual_seed(0)
    return torch.randn(3, 1, 80_000, generator=generator), torch.rand(3, 293, generator=generator)


def layers(model: nn.Module) -> list[nn.Module]:
    """Convolutions and linear layers by their place in the stock model."""
    convolutions = [*model.sincnet.conv1d, *model.tdnns]
    return [m for m in convolutions if type(m) is nn.Conv1d] + [model.embedding]


def convolutions(model: nn.Module) -> list[tuple[int, int, int, int]]:
    """(in, out, kernel, dilation) of each TDNN level."""
    return [
        (m.in_channels, m.out_channels, m.kernel_size[0], m.dilation[0]) for m in model.tdnns if type(m) is nn.Conv1d
    ]


@pytest.mark.parametrize(
    ("name", "count", "mib"),
    [
        ("baseline", 4_346_366, 16.62),
        ("baseline-twin", 4_346_366, 16.62),
        ("distilled", 3_558_398, 13.61),
        ("distilled-pruned-structured", 3_558_398, 13.61),
        ("distilled-pruned-unstructured", 3_558_398, 13.61),
        ("distilled-fused", 3_558_398, 13.61),
        ("distilled-int8", 3_558_398, 9.22),
    ],
)
def test_parameters_and_saved_size(built: Built, tmp_path: Path, name: str, count: int, mib: float) -> None:
    model = built(name)
    assert parameters(model) == count
    assert round(saved_size(model) or 0, 2) == mib
    torch.save(model.state_dict(), tmp_path / "model.pt")
    assert round((tmp_path / "model.pt").stat().st_size / MIB, 2) == mib


def test_size_of_an_onnx_model_is_its_file(built: Built) -> None:
    for name in ("distilled-onnx", "distilled-onnx-pinned"):
        assert saved_size(built(name)) == pytest.approx(13.6, abs=0.05)
        assert parameters(built(name)) is None
    assert saved_size(object()) is None


def test_twin_is_the_baseline(built: Built, stock: Any) -> None:
    for key, value in built("baseline-twin").state_dict().items():
        assert torch.equal(value, stock.state_dict()[key])


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


def test_structured_pruning_zeroes_one_channel_of_each_layer(built: Built) -> None:
    student, pruned = built("distilled"), built("distilled-pruned-structured")
    assert len(layers(pruned)) == 7
    for before, after in zip(layers(student), layers(pruned), strict=True):
        weight = after.weight.flatten(1)
        (zeroed,) = torch.nonzero((weight == 0).all(dim=1)).flatten().tolist()
        norms = before.weight.flatten(1).norm(dim=1)
        assert zeroed == int(norms.argmin())
        others = torch.arange(len(weight)) != zeroed
        assert torch.equal(weight[others], before.weight.flatten(1)[others])
        assert torch.equal(before.bias, after.bias)
    mean = np.mean([float((m.weight == 0).float().mean()) for m in layers(pruned)])
    by_hand = (1 / 60 + 1 / 60 + 1 / 512 + 1 / 512 + 1 / 512 + 1 / 1500 + 1 / 512) / 7
    assert float(f"{mean:.3g}") == 0.00597
    assert mean == pytest.approx(by_hand, rel=1e-4)


def test_unstructured_pruning_zeroes_the_smallest_30_percent(built: Built) -> None:
    before = torch.cat([m.weight.flatten() for m in layers(built("distilled"))]).detach()
    after = torch.cat([m.weight.flatten() for m in layers(built("distilled-pruned-unstructured"))]).detach()
    zeroed = after == 0
    assert float(zeroed.double().mean()) == pytest.approx(0.3, abs=1e-6)
    assert before[zeroed].abs().max() <= before[~zeroed].abs().min()
    assert torch.equal(before[~zeroed], after[~zeroed])


@pytest.mark.parametrize("name", ["distilled-pruned-structured", "distilled-pruned-unstructured"])
def test_pruning_leaves_the_architecture(built: Built, name: str) -> None:
    assert str(built(name)) == str(built("distilled"))
    assert built(name).state_dict().keys() == built("distilled").state_dict().keys()  # no masks left


def saved(tensor: torch.Tensor, folder: Path) -> int:
    torch.save(tensor, folder / "tensor.pt")
    return (folder / "tensor.pt").stat().st_size


def test_coo_breaks_even_where_the_paper_says(tmp_path: Path) -> None:
    assert round(coo_break_even(3), 3) == 0.857
    for sparsity in (0.84, 0.875):
        dense = torch.zeros(30_000)
        dense[: round(30_000 * (1 - sparsity))] = 1.5
        dense = dense[torch.randperm(30_000, generator=torch.Generator().manual_seed(0))].reshape(100, 100, 3)
        sparse = dense.to_sparse_coo().coalesce()
        stored = sparse.indices().nbytes + sparse.values().nbytes
        assert coo_bytes(3, sparse.values().numel()) == stored
        pays = sparsity > coo_break_even(3)
        assert (stored < dense.nbytes) == pays
        assert (saved(sparse, tmp_path) < saved(dense, tmp_path)) == pays


def test_fusion_makes_one_module_of_each_pair(built: Built, inputs: tuple[torch.Tensor, torch.Tensor]) -> None:
    fused = built("distilled-fused")
    assert sum(type(m) is torch.ao.nn.intrinsic.ConvReLU1d for m in fused.modules()) == 4
    kinds = Counter(type(m) for m in fused.tdnns)
    assert kinds == {torch.ao.nn.intrinsic.ConvReLU1d: 4, nn.Identity: 4, nn.BatchNorm1d: 4}
    with torch.no_grad():
        torch.testing.assert_close(fused(*inputs), built("distilled")(*inputs), rtol=1e-6, atol=1e-7)


def test_int8_converts_the_last_linear_layer_alone(built: Built, inputs: tuple[torch.Tensor, torch.Tensor]) -> None:
    quantized, student = built("distilled-int8"), built("distilled")
    assert type(quantized.embedding) is torch.ao.nn.quantized.dynamic.Linear
    assert quantized.embedding.weight().dtype == torch.qint8
    assert [type(m) for m in quantized.modules() if "quantized" in type(m).__module__ and hasattr(m, "weight")] == [
        torch.ao.nn.quantized.dynamic.Linear
    ]
    assert not any(type(m) is nn.Linear for m in quantized.modules())
    assert [type(m) for m in quantized.tdnns] == [type(m) for m in student.tdnns]
    with torch.no_grad():
        exact, rounded = student(*inputs), quantized(*inputs)
    cosines = torch.cosine_similarity(exact, rounded)
    assert cosines.min() > 0.99
    assert not torch.equal(exact, rounded)


def test_onnx_holds_every_layer_once(built: Built) -> None:
    graph = onnx.load(str(built("distilled-onnx").model.path))
    onnx.checker.check_model(graph)
    nodes = Counter(node.op_type for node in graph.graph.node)
    assert nodes["Conv"] == 2 + 4  # SincNet's plain ones and the TDNN's
    (branch,) = [node for node in graph.graph.node if node.op_type == "If"]  # the sinc filters, for 2 or 3 dimensions
    for choice in branch.attribute:
        assert Counter(node.op_type for node in choice.g.node)["Conv"] == 1
    assert nodes["BatchNormalization"] == 4  # each follows a ReLU, so none folds into a convolution
    assert nodes["InstanceNormalization"] == 4
    assert nodes["Gemm"] == 1
    assert [i.name for i in graph.graph.input] == ["waveform", "weights"]
    assert [o.name for o in graph.graph.output] == ["embedding"]


@pytest.mark.parametrize("name", ["distilled-onnx", "distilled-onnx-pinned"])
@pytest.mark.parametrize(("rows", "frames"), [(1, 293), (3, 249), (7, 279), (3, 283), (1, 589)])
def test_onnx_gives_the_students_embeddings(built: Built, name: str, rows: int, frames: int) -> None:
    generator = torch.Generator().manual_seed(rows)
    waveform, weights = torch.randn(rows, 1, 80_000, generator=generator), torch.rand(rows, frames, generator=generator)
    with torch.no_grad():
        expected = built("distilled")(waveform, weights)
    found = built(name)(waveform, weights)
    assert found.shape == (rows, 512)
    assert ((found - expected).norm(dim=1) / expected.norm(dim=1)).max() < 1e-4


def test_onnx_sessions(built: Built) -> None:
    default = built("distilled-onnx").model.session.get_session_options()
    assert default.intra_op_num_threads == 0  # ONNX Runtime's own choice
    with pytest.raises(RuntimeError, match="allow_spinning"):
        default.get_session_config_entry("session.intra_op.allow_spinning")
    before = torch.get_num_threads()
    try:
        for count in (1, 2):
            torch.set_num_threads(count)
            pinned = build("distilled-onnx-pinned", Tiny()).model.session.get_session_options()
            assert pinned.intra_op_num_threads == count
            assert pinned.inter_op_num_threads == 1
            assert pinned.get_session_config_entry("session.intra_op.allow_spinning") == "0"
    finally:
        torch.set_num_threads(before)


def test_onnx_file_lives_as_long_as_its_model(built: Built) -> None:
    from variants.runtime.onnx import load_in_diart

    model = load_in_diart(Tiny())
    path = model.model.path
    assert path.is_file()
    del model
    assert not path.exists()


class Tiny(nn.Module):
    """Small enough to export in no time; reduced to itself."""

    def __init__(self) -> None:
        super().__init__()
        self.tdnns = nn.ModuleList()
        self.kernel_size = self.dilation = self.padding = self.stride = [1, 1]

    def forward(self, waveform: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
        return waveform.mean(-1) + weights.mean(-1, keepdim=True)


def test_break_even_formula() -> None:
    # v bytes dense against (1 - s) (8 n + v) sparse
    for ndim in (1, 2, 3):
        sparsity = coo_break_even(ndim)
        assert math.isclose((1 - sparsity) * (8 * ndim + 4), 4)
