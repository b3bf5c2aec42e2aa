"""Weighted statistics pooling as matrix products, through an affine map if one is folded in."""

import torch
import torch.nn.functional as F
from torch import nn

EPSILON = 1e-8  # pyannote's, in both denominators of its StatsPool
CANCELLATION = 1e-2  # effective degrees of freedom per weight below which even centred products cancel


def denominators(total: torch.Tensor, squares: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """pyannote's denominators of mean and variance, from the sums of weights and of their squares."""
    v1 = total + EPSILON
    return v1, v1 - squares / v1 + EPSILON


def pool_products(
    first: torch.Tensor, second: torch.Tensor, offset: torch.Tensor, total: torch.Tensor, squares: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """Mean and standard deviation (..., 2 features) out of products with weights.

    first, second: (..., features), the weights' products with the features less `offset` and with the squares of that.
    total, squares: (..., 1), sums of the weights and of their squares. Also returns which rows (..., 1) these products
    cannot serve: with weight on about one frame only, next to nothing is left to divide by, and `pool_directly` must
    do as pyannote does.
    """
    v1, free = denominators(total, squares)
    mean = (first + offset * total) / v1
    # The stock mean divides by sum(w) + 1e-8, so it lies `EPSILON / v1` of the offset short of the weighted mean,
    # which enters its variance, too.
    short = (first - offset * EPSILON) / v1
    variance = (second - 2 * short * first + torch.square(short) * total) / free
    return torch.cat([mean, torch.sqrt(variance.clamp(min=0))], dim=-1), free < CANCELLATION * v1


def pool_directly(
    sequences: torch.Tensor, rows: torch.Tensor, total: torch.Tensor, squares: torch.Tensor
) -> torch.Tensor:
    """pyannote's pooling, step by step: (n, features, frames), weights (n, frames), sums (n, 1) -> (n, 2 features)."""
    v1, free = denominators(total, squares)
    mean = (sequences * rows.unsqueeze(1)).sum(dim=2) / v1
    spread = torch.square(sequences - mean.unsqueeze(2)) * rows.unsqueeze(1)
    return torch.cat([mean, torch.sqrt(spread.sum(dim=2) / free)], dim=1)


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
        # A plain E[x^2] - E[x]^2 would cancel: centre each channel first.
        centre = sequences.mean(dim=2, keepdim=True)
        centred = sequences - centre
        first = (rows @ centred.transpose(1, 2)) * self.scale  # (batch, speakers, features)
        second = (rows @ centred.square_().transpose(1, 2)) * torch.square(self.scale)
        offset = centre.transpose(1, 2) * self.scale + self.shift
        total, squares = rows.sum(dim=2, keepdim=True), torch.square(rows).sum(dim=2, keepdim=True)
        pooled, few = pool_products(first, second, offset, total, squares)
        batch, speaker = few.squeeze(2).nonzero(as_tuple=True)
        if len(batch):
            mapped = sequences[batch] * self.scale[:, None] + self.shift[:, None]
            sums = total[batch, speaker], squares[batch, speaker]
            pooled[batch, speaker] = pool_directly(mapped, rows[batch, speaker], *sums)
        return pooled if weights.dim() == 3 else pooled.squeeze(1)


class CentredPool(nn.Module):
    """What a `ProductPool` gives of frames that are kept less a centre, beside the squares of that.

    weights (rows, n), frames (n, 2 features), centre (features,): as `pool_products`.
    """

    def __init__(self, pool: ProductPool) -> None:
        super().__init__()
        self.scale, self.shift = pool.scale, pool.shift

    def forward(
        self, weights: torch.Tensor, frames: torch.Tensor, centre: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        first, second = (weights @ frames).split(len(self.scale), dim=1)
        total, squares = weights.sum(dim=1, keepdim=True), torch.square(weights).sum(dim=1, keepdim=True)
        offset = centre * self.scale + self.shift
        return pool_products(first * self.scale, second * torch.square(self.scale), offset, total, squares)
