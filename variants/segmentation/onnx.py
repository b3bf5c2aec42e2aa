"""The whole segmentation model, LSTM included, as one graph."""

import torch
from torch import nn

from variants.exact.lowered import lowered_sequence, sincnet_layers
from variants.registry import variant
from variants.runtime.graph import Graph
from variants.runtime.onnx import SAMPLES, Finish, as_it_is


@variant(
    "segmentation-onnx",
    title="ONNX",
    parent="segmentation-frozen",
    model="segmentation",
    exact=True,
    needs=["onnx", "onnxruntime"],
)
def in_onnx(model: nn.Module) -> nn.Module:
    """Convolutions lowered to two dimensions, so that a runtime has blocked kernels for them."""
    return whole_graph(model)


def whole_graph(model: nn.Module, finish: Finish = as_it_is) -> nn.Module:
    """The body of `segmentation-onnx`."""
    model.sincnet = lowered_sequence(sincnet_layers(model.get_submodule("sincnet")))
    graph = Graph(model, torch.rand(1, 1, SAMPLES), finish)
    graph.specifications = model.specifications
    return graph.eval()
