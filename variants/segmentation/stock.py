"""The root of the segmentation's variants."""

from torch import nn

from variants.registry import variant


@variant(
    "segmentation",
    title="segmentation as it is",
    parent=None,
    model="segmentation",
    exact=True,
    exported_by="segmentation-onnx",
)
def segmentation(model: nn.Module) -> nn.Module:
    """The loaded segmentation model."""
    return model
