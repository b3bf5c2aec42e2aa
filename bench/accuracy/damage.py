"""Harm of a known size: what a verdict must find."""

import copy

import torch
from torch import nn


def noisy(model: nn.Module, scale: float, seed: int = 0) -> nn.Module:
    """A copy whose matrices and kernels each have normal noise added, `scale` times as large as they vary."""
    damaged, random = copy.deepcopy(model), torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for weights in damaged.parameters():
            if weights.ndim > 1:
                noise = torch.randn(weights.shape, generator=random)
                weights.add_(scale * weights.std() * noise.to(weights.device))
    return damaged
