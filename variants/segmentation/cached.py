"""The first convolution over new samples only."""

from variants.exact.cached import cache_sinc
from variants.registry import variant

variant(
    "segmentation-cached",
    title="cached sinc",
    parent="segmentation",
    model="segmentation",
    exact=True,
    exported_by="segmentation-onnx",
)(cache_sinc)
