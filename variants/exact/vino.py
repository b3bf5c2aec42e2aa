"""The graph of `onnx-tuned` in OpenVINO."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import nn

from variants.registry import variant
from variants.runtime.onnx import export

from .row_graph import row_graph

if TYPE_CHECKING:
    from diart.models import EmbeddingModel


class OpenVino:
    """An OpenVINO model that is called like DIART's ONNX ones; `path` is the file that it was read from."""

    def __init__(self, path: Path) -> None:
        import openvino

        self.path = path
        settings = {"PERFORMANCE_HINT": "LATENCY", "NUM_STREAMS": 1, "INFERENCE_PRECISION_HINT": "f32"}
        threads = {"INFERENCE_NUM_THREADS": torch.get_num_threads(), "ENABLE_CPU_PINNING": False}
        compiled = openvino.Core().compile_model(str(path), "CPU", settings | threads)
        self.request = compiled.create_infer_request()

    def __call__(self, waveform: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
        result = self.request.infer({"waveform": waveform.numpy(), "weights": weights.numpy()}, share_inputs=True)
        return torch.from_numpy(result["embedding"].copy())

    def to(self, device: torch.device) -> OpenVino:
        """DIART moves every model to its device; this one stays on the CPU."""
        return self


@variant(
    "openvino",
    title="OpenVINO",
    parent="shared-folded",
    exact=True,
    needs=["openvino", "onnx"],
    default=False,
    exported_by="onnx-tuned",
)
def open_vino(model: nn.Module) -> EmbeddingModel:
    """The same one graph, compiled by OpenVINO for the CPU in float32, with torch's number of threads."""
    from diart.models import EmbeddingModel

    folder = tempfile.TemporaryDirectory(prefix="diartbench-")
    embedding = EmbeddingModel(lambda: OpenVino(export(row_graph(model), Path(folder.name) / "embedding.onnx")))
    embedding.load()
    return embedding
