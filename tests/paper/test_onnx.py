"""The ONNX export, its sessions and its file."""

from collections import Counter
from collections.abc import Callable
from typing import Any

import onnx
import pytest
import torch
from torch import nn

from bench.latency.size import parameters, saved_size
from variants import build
from variants.runtime.onnx import load_in_diart

pytestmark = pytest.mark.slow  # together: real exports and real forward passes
Built = Callable[[str], Any]


def test_size_of_an_onnx_model_is_its_file(built: Built) -> None:
    for name in ("distilled-onnx", "distilled-onnx-pinned"):
        assert saved_size(built(name)) == pytest.approx(13.6, abs=0.05)
        assert parameters(built(name)) is None
    assert saved_size(object()) is None


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
