"""Size of a model as the paper counts it, and its number of parameters."""

import io
from typing import Any

import torch
from torch import nn

from variants.runtime.graph import Graph

MIB = 1024 * 1024


def saved_size(model: Any) -> float | None:
    """MiB of the file that `torch.save(state_dict)` writes, or of the ONNX file; None for anything else."""
    if isinstance(model, nn.Module):
        buffer = io.BytesIO()
        torch.save(model.state_dict(), buffer)
        return buffer.getbuffer().nbytes / MIB
    path = getattr(getattr(model, "model", None), "path", None)
    return None if path is None else path.stat().st_size / MIB


def parameters(model: Any) -> int | None:
    """Number of parameters, those of quantised layers included; None if the model is no torch module, or not wholly."""
    if not isinstance(model, nn.Module) or any(isinstance(module, Graph) for module in model.modules()):
        return None
    count = sum(p.numel() for p in model.parameters())
    for module in model.modules():
        if isinstance(module, torch.ao.nn.quantized.dynamic.Linear):
            weight, bias = module.weight(), module.bias()
            count += weight.numel() + (bias.numel() if bias is not None else 0)
    return count
