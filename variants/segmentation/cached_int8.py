"""The graph of `segmentation-cached-onnx` in int8."""

from torch import nn

from variants.compressed.int8_static import quantised
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
    """As `segmentation-int8`, behind the cached first convolution."""
    return cached_graph(model, lambda front: quantised((), {}))
