"""A WavLM segmentation in ONNX Runtime."""

import torch
from torch import nn

from variants.errors import UnavailableError
from variants.registry import variant
from variants.runtime.graph import Graph
from variants.runtime.onnx import SAMPLES, Finish, as_it_is
from variants.wavlm import Segmenter


@variant(
    "wavlm-onnx",
    title="WavLM, ONNX",
    parent="segmentation",
    model="segmentation",
    exact=True,
    needs=["onnx", "onnxruntime"],
)
def wavlm_in_onnx(model: nn.Module) -> nn.Module:
    """The whole segmentation as one graph."""
    return segmenter_graph(model)


def segmenter_graph(model: nn.Module, finish: Finish = as_it_is) -> nn.Module:
    """The body of `wavlm-onnx`: one graph for chunks of 5 s."""
    if not isinstance(model, Segmenter):
        raise UnavailableError(f"{type(model).__name__} is no WavLM segmentation")
    return Graph(model, torch.rand(1, 1, SAMPLES), finish).eval()
