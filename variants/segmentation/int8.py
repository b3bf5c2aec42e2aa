"""The graph of `segmentation-onnx` in int8."""

from torch import nn

from variants.compressed.int8_static import chunk_feeds, quantised
from variants.registry import variant

from .onnx import whole_graph


@variant(
    "segmentation-int8",
    title="int8",
    parent="segmentation-frozen",
    model="segmentation",
    tolerance=0.3,
    needs=["onnx", "onnxruntime"],
)
def in_int8(model: nn.Module) -> nn.Module:
    """Convolutions but for the sinc filters, LSTM and linear layers in int8."""
    return whole_graph(model, quantised(*chunk_feeds()))
