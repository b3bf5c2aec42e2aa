"""Conformer blocks (Gulati et al., Interspeech 2020) without positional encoding: what follows WavLM here."""

import torch.nn.functional as F
from torch import Tensor, nn

from .sizes import HeadSizes

DROPOUT = 0.1


class HalfStep(nn.Module):
    """Feed-forward with Swish, of which half is added: x (batch, frames, width)."""

    def __init__(self, sizes: HeadSizes) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(sizes.width)
        self.inner, self.out = nn.Linear(sizes.width, sizes.ffn), nn.Linear(sizes.ffn, sizes.width)
        self.dropout = nn.Dropout(DROPOUT)

    def forward(self, x: Tensor) -> Tensor:
        step: Tensor = self.dropout(self.out(self.dropout(F.silu(self.inner(self.norm(x))))))
        return x + 0.5 * step


class SelfAttention(nn.Module):
    def __init__(self, sizes: HeadSizes) -> None:
        super().__init__()
        self.heads = sizes.heads
        self.norm, self.qkv = nn.LayerNorm(sizes.width), nn.Linear(sizes.width, 3 * sizes.width)
        self.out, self.dropout = nn.Linear(sizes.width, sizes.width), nn.Dropout(DROPOUT)

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = (part.unflatten(-1, (self.heads, -1)).transpose(1, 2) for part in self.qkv(self.norm(x)).chunk(3, -1))
        found = F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2)
        step: Tensor = self.dropout(self.out(found))
        return x + step


class Convolutions(nn.Module):
    """Pointwise with GLU, depthwise with BatchNorm and Swish, pointwise."""

    def __init__(self, sizes: HeadSizes) -> None:
        super().__init__()
        width = sizes.width
        self.norm, self.first = nn.LayerNorm(width), nn.Linear(width, 2 * width)
        self.depthwise = nn.Conv1d(width, width, sizes.kernel, padding=sizes.kernel // 2, groups=width)
        self.batch_norm = nn.BatchNorm1d(width)
        self.last, self.dropout = nn.Linear(width, width), nn.Dropout(DROPOUT)

    def forward(self, x: Tensor) -> Tensor:
        inner = F.glu(self.first(self.norm(x)), dim=-1).transpose(1, 2)
        inner = F.silu(self.batch_norm(self.depthwise(inner))).transpose(1, 2)
        step: Tensor = self.dropout(self.last(inner))
        return x + step


def conformer(sizes: HeadSizes) -> nn.Sequential:
    """Blocks from (batch, frames, width) to the same."""
    blocks = [
        nn.Sequential(
            HalfStep(sizes), SelfAttention(sizes), Convolutions(sizes), HalfStep(sizes), nn.LayerNorm(sizes.width)
        )
        for _ in range(sizes.blocks)
    ]
    return nn.Sequential(*blocks)
