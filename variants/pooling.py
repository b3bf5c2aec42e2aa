"""Weighted statistics pooling as matrix products, through an affine map if one is folded in."""

import torch
import torch.nn.functional as F
from torch import nn

EPSILON = 1e-8  # pyannote's, in both denominators of its StatsPool
CANCELLATION = 1e-2  # effective degrees of freedom per weight below which even centred products cancel


class ProductPool(nn.Module):
    """pyannote's `StatsPool` of scale x + shift, all speakers of a waveform in two matrix products of x.

    sequences (batch, features, frames), weights (batch, frames) or (batch, speakers, frames), at any frame rate:
    interpolated "nearest". Returns (batch, 2 features), or (batch, speakers, 2 features): mean and unbiased standard
    deviation. scale, shift: (features,), default 1 and 0.
    """

    def __init__(self, features: int, scale: torch.Tensor | None = None, shift: torch.Tensor | None = None) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(features) if scale is None else scale.float(), requires_grad=False)
        self.shift = nn.Parameter(torch.zeros(features) if shift is None else shift.float(), requires_grad=False)

    def forward(self, sequences: torch.Tensor, weights: torch.Tensor | None = None) -> torch.Tensor:
        if weights is None:
            mean, std = sequences.mean(dim=-1), sequences.std(dim=-1, correction=1)
            return torch.cat([self.scale * mean + self.shift, self.scale.abs() * std], dim=-1)
        rows = weights if weights.dim() == 3 else weights.unsqueeze(1)
        if rows.shape[-1] != sequences.shape[-1]:
            rows = F.interpolate(rows, size=sequences.shape[-1], mode="nearest")
        total = rows.sum(dim=2, keepdim=True)  # (batch, speakers, 1)
        v1 = total + EPSILON
        free = v1 - torch.square(rows).sum(dim=2, keepdim=True) / v1 + EPSILON
        # A plain E[x^2] - E[x]^2 would cancel: centre each channel first. The stock mean divides by sum(w) + 1e-8, so
        # it lies `EPSILON / v1` of the centre short of the weighted mean, which enters its variance, too.
        centre = sequences.mean(dim=2, keepdim=True)
        centred = sequences - centre
        first = (rows @ centred.transpose(1, 2)) * self.scale  # (batch, speakers, features)
        second = (rows @ torch.square(centred).transpose(1, 2)) * torch.square(self.scale)
        offset = centre.transpose(1, 2) * self.scale + self.shift
        mean = (first + offset * total) / v1
        short = (first - offset * EPSILON) / v1
        variance = (second - 2 * short * first + torch.square(short) * total) / free
        std = torch.sqrt(variance.clamp(min=0))
        # Speech in about one frame only leaves next to nothing to divide by: do as pyannote does.
        few = (free < CANCELLATION * v1).squeeze(2)
        for batch, speaker in few.nonzero().tolist():
            mapped = sequences[batch] * self.scale[:, None] + self.shift[:, None]
            centre_here = (mapped * rows[batch, speaker]).sum(dim=1) / v1[batch, speaker]
            residue = torch.square(mapped - centre_here[:, None]) * rows[batch, speaker]
            mean[batch, speaker] = centre_here
            std[batch, speaker] = torch.sqrt(residue.sum(dim=1) / free[batch, speaker])
        pooled = torch.cat([mean, std], dim=2)
        return pooled if weights.dim() == 3 else pooled.squeeze(1)
