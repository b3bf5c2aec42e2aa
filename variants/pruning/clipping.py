"""Gradient clipping without a norm to choose."""

from collections.abc import Iterable

import torch
from torch import Tensor, nn

PERCENTILE, WINDOW = 90.0, 1000


class PercentileClip(nn.Module):
    """Clips a gradient at the 90th percentile of the last 1000 norms (Seetharaman et al., "AutoClip", MLSP 2020).

    The norms are a buffer, so that a resumed run clips as one run would. NaN marks what is still empty.
    """

    norms: Tensor
    seen: Tensor

    def __init__(self, percentile: float = PERCENTILE, window: int = WINDOW) -> None:
        super().__init__()
        self.percentile = percentile
        self.register_buffer("norms", torch.full((window,), torch.nan))
        self.register_buffer("seen", torch.zeros(()))

    @torch.no_grad()
    def clip(self, parameters: Iterable[nn.Parameter]) -> float:
        """Record the norm of the parameters' gradient and clip it; returns the limit."""
        with_gradient = [parameter for parameter in parameters if parameter.grad is not None]
        norm = nn.utils.get_total_norm([parameter.grad for parameter in with_gradient if parameter.grad is not None])
        self.norms[int(self.seen) % len(self.norms)] = norm
        self.seen += 1
        limit = float(torch.nanquantile(self.norms, self.percentile / 100))
        nn.utils.clip_grads_with_norm_(with_gradient, limit, norm)
        return limit
