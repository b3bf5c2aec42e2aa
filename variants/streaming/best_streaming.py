"""The whole pipeline in proportion to the step: both models streaming, in int8, and the lean blocks."""

from torch import nn

from variants.registry import variant

from .streaming_trunk_int8 import streaming_trunk_int8


@variant(
    "best-streaming-fast",
    title="best streaming, fast",
    parent="channel-pruned-50-shared-folded",
    tolerance=1.0,
    needs=["onnx", "onnxruntime"],
    default=False,
    exported_by="channel-pruned-50-int8",
    segmentation="streaming-segmentation-int8",
)
@variant(
    "best-streaming",
    title="best streaming",
    parent="shared-folded",
    tolerance=0.5,
    needs=["onnx", "onnxruntime"],
    default=False,
    exported_by="int8-static",
    segmentation="streaming-segmentation-int8",
)
def best_streaming(model: nn.Module) -> nn.Module:
    """`streaming-trunk-int8` beside `streaming-segmentation-int8`; fast: of the model with half its channels' work."""
    return streaming_trunk_int8(model)
