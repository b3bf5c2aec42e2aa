"""The graph of `segmentation-onnx` in int8."""

from torch import nn

from variants.compressed.int8_static import quantised
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
    """The LSTMs in int8, dynamically, so that nothing is calibrated; all else in float (docs/int8.md)."""
    return whole_graph(model, quantised((), {}))
