"""The fastest exact combination: the first convolution cached in torch, all that follows it in one ONNX graph each."""

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import nn

from variants.paper.onnx import SAMPLES, as_it_is, session, write_onnx
from variants.registry import variant

from .cached import cache_sinc
from .lowered import lowered_sequence, sincnet_layers

Finish = Callable[[Path], Path]
FEATURES = 2658  # what the first convolution and its pooling leave of a chunk


class Graph(nn.Module):
    """An ONNX graph, in a session of torch's number of threads that do not spin, in place of the module it came from.

    One tensor in, one out; the first and the last dimension of `example` may vary. The file is kept as a buffer.
    finish: from the exported file to the one to run.
    """

    def __init__(self, module: nn.Module, example: torch.Tensor, finish: Finish = as_it_is) -> None:
        super().__init__()
        with tempfile.TemporaryDirectory(prefix="diartbench-") as folder:
            axes = {"inputs": {0: "rows", 2: "steps"}, "outputs": {0: "rows"}}
            path = finish(write_onnx(module, Path(folder) / "graph.onnx", {"inputs": example}, "outputs", axes))
            self.session = session(path)
            self.register_buffer("file", torch.frombuffer(bytearray(path.read_bytes()), dtype=torch.uint8))

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        return torch.from_numpy(self.session.run(None, {"inputs": inputs.numpy()})[0])


@variant(
    "best-exact",
    title="best exact",
    parent="shared-folded",
    exact=True,
    needs=["onnx", "onnxruntime"],
    exported_by="onnx-tuned",
    segmentation="segmentation-cached-onnx",
)
@variant(
    "distilled-best-exact",
    title="+ best exact",
    parent="distilled-shared-folded",
    exact=True,
    tolerance=1.0,
    needs=["onnx", "onnxruntime"],
    default=False,
    exported_by="distilled-onnx-tuned",
    segmentation="segmentation-cached-onnx",
)
def best_exact(model: nn.Module) -> nn.Module:
    """The first convolution cached; what lies between it and the pooling as one graph, lowered to two dimensions."""
    return cached_graph(model)


def cached_graph(model: nn.Module, finish: Callable[[nn.Module], Finish] = lambda front: as_it_is) -> nn.Module:
    """The body of `best_exact`. finish: from the cached front to what finishes the graph's file."""
    model = cache_sinc(model)
    front, back = model.get_submodule("sincnet").children()
    *trunk, flatten = lowered_sequence([*back.children(), *model.get_submodule("tdnns").children()])
    graph = Graph(nn.Sequential(*trunk), torch.rand(1, _filters(front), FEATURES), finish(front))
    model.sincnet, model.tdnns = front, nn.ModuleList([graph, flatten])  # in torch the last reshaping copies nothing
    return model.eval()


@variant(
    "segmentation-onnx",
    title="ONNX",
    parent="segmentation-frozen",
    model="segmentation",
    exact=True,
    needs=["onnx", "onnxruntime"],
)
def segmentation_in_onnx(model: Any) -> nn.Module:
    """The whole segmentation model, LSTM included, as one graph."""
    return whole_segmentation(model)


def whole_segmentation(model: Any, finish: Finish = as_it_is) -> nn.Module:
    """The body of `segmentation-onnx`. finish: from the exported file to the one to run."""
    model.sincnet = lowered_sequence(sincnet_layers(model.sincnet))
    graph = Graph(model, torch.rand(1, 1, SAMPLES), finish)
    graph.specifications = model.specifications
    return graph.eval()


@variant(
    "segmentation-cached-onnx",
    title="cached sinc, ONNX",
    parent="segmentation-cached",
    model="segmentation",
    exact=True,
    needs=["onnx", "onnxruntime"],
    exported_by="segmentation-onnx",
)
def segmentation_rest_in_onnx(model: Any) -> nn.Module:
    """What follows the cached first convolution as one graph."""
    return segmentation_graph(model)


def segmentation_graph(model: Any, finish: Callable[[nn.Module], Finish] = lambda front: as_it_is) -> nn.Module:
    """The body of `segmentation-cached-onnx`. finish: from the cached front to what finishes the graph's file."""
    front, back = model.sincnet
    model.sincnet = lowered_sequence(back)
    result = nn.Sequential(front, Graph(model, torch.rand(1, _filters(front), FEATURES), finish(front)))
    result.specifications = model.specifications
    return result.eval()


def _filters(front: nn.Module) -> int:
    return len(front.get_parameter("gain"))
