"""The graph of `segmentation-cached-onnx` in int8."""

from torch import nn

from variants.compressed.best import behind
from variants.registry import variant

from .cached_onnx import cached_graph


@variant(
    "segmentation-cached-int8",
    title="cached sinc, int8",
    parent="segmentation-cached",
    model="segmentation",
    tolerance=0.3,
    needs=["onnx", "onnxruntime"],
    exported_by="segmentation-int8",
)
def rest_in_int8(model: nn.Module) -> nn.Module:
    """Convolutions, LSTM and linear layers behind the cached first convolution in int8."""
    return cached_graph(model, behind)
