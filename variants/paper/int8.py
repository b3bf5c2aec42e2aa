"""The paper's int8: dynamic quantisation of weights (paper IV-C.3). It converts only the last linear layer."""

import warnings

from torch import nn

from variants.registry import variant


@variant(
    "distilled-int8",
    title="+ int8 quantization",
    parent="distilled",
    paper="+ int8 quantization",
    tolerance=1.0,
    exported_by="distilled",
)
def quantize(model: nn.Module) -> nn.Module:
    """`quantize_dynamic` with its defaults: linear layers hold int8 weights, all else stays in float."""
    import torch

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch.ao is deprecated upstream; it is what the paper used
        quantized: nn.Module = torch.ao.quantization.quantize_dynamic(model.eval())
    return quantized
