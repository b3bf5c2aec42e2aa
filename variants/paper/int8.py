"""The paper's int8: dynamic quantisation of weights (paper IV-C.3). It converts only the last linear layer."""

import warnings

from torch import nn

from variants.errors import UnavailableError
from variants.registry import variant


def engine() -> str:
    """What runs int8 in torch, which starts without one on some systems (macOS, ARM); UnavailableError if none can."""
    import torch

    chosen, usable = torch.backends.quantized.engine, torch.backends.quantized.supported_engines
    found = [name for name in (chosen, "x86", "fbgemm", "onednn", "qnnpack") if name != "none" and name in usable]
    if not found:
        raise UnavailableError("needs an engine for int8, which this build of torch lacks")
    return found[0]


@variant(
    "distilled-int8",
    title="+ int8 quantization",
    parent="distilled",
    paper="+ int8 quantization",
    tolerance=1.0,
    exported_by="distilled",
    probe=engine,
)
def quantize(model: nn.Module) -> nn.Module:
    """`quantize_dynamic` with its defaults: linear layers hold int8 weights, all else stays in float."""
    import torch

    if torch.backends.quantized.engine == "none":
        torch.backends.quantized.engine = engine()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch.ao is deprecated upstream; it is what the paper used
        quantized: nn.Module = torch.ao.quantization.quantize_dynamic(model.eval())
    return quantized
