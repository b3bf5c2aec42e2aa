"""WavLM's encoder (Chen et al., 2022) with any number of channels, heads and feed-forward units in each layer.

A layer without heads, or without units, still adds its bias. All layers share one embedding of relative positions,
which the encoder owns: it has no gap where the first layer loses its heads.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .sizes import BUCKETS, KERNELS, MAX_DISTANCE, POSITION_GROUPS, POSITION_KERNEL, STRIDES, Sizes

GATE_OUTPUTS = 8
CONV_GRADIENT = 0.1  # share of the gradient that reaches the convolutions in training, as WavLM itself was trained


class Gates(NamedTuple):
    """What multiplies the outputs of channels, heads and feed-forward units, layer by layer; 0 means removed."""

    convs: Sequence[Tensor]
    heads: Sequence[Tensor]
    ffns: Sequence[Tensor]


def norm_over(x: Tensor, norm: nn.LayerNorm, gate: Tensor | None) -> Tensor:
    """Layer norm of x (..., channels) over the channels whose gate is not 0; the others give 0.

    Over all channels, zeros included, it would differ from the norm of a model from which they are removed.
    """
    if gate is None:
        normed: Tensor = norm(x)
        return normed
    support = (gate != 0).to(x)
    count = support.sum().clamp_min(1)
    centred = (x - (x * support).sum(dim=-1, keepdim=True) / count) * support
    variance = centred.square().sum(dim=-1, keepdim=True) / count
    return (centred * (variance + norm.eps).rsqrt() * norm.weight + norm.bias) * support


class Convolution(nn.Module):
    """One layer of the front: (batch, inputs, time) -> (batch, outputs, frames)."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int, norm: nn.Module | None) -> None:
        super().__init__()
        self.conv = nn.Conv1d(inputs, outputs, kernel, stride, bias=False)
        self.norm = norm

    def forward(self, x: Tensor, gate: Tensor | None = None) -> Tensor:
        x = self.conv(x)
        if isinstance(self.norm, nn.LayerNorm):
            x = norm_over(x.transpose(1, 2), self.norm, gate).transpose(1, 2)
        elif self.norm is not None:  # of each channel by itself: others do not matter
            x = self.norm(x)
        x = F.gelu(x)
        return x if gate is None else x * gate[:, None]


class Constant(nn.Module):
    """What is left of a linear layer without inputs."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.bias = nn.Parameter(torch.zeros(width))


class Attention(nn.Module):
    """Self-attention of some heads, whose position bias is gated by the hidden state: x (batch, frames, width)."""

    index: Tensor

    def __init__(self, sizes: Sizes, heads: Sequence[int]) -> None:
        super().__init__()
        self.heads, self.head_width, self.all_heads = len(heads), sizes.head_width, sizes.all_heads
        self.register_buffer("index", torch.tensor(heads, dtype=torch.long), persistent=False)
        if not heads:
            self.out: nn.Module = Constant(sizes.width)
            return
        inner = self.heads * self.head_width
        self.q, self.k, self.v = (nn.Linear(sizes.width, inner) for _ in range(3))
        self.out = nn.Linear(inner, sizes.width)
        self.gate = nn.Linear(self.head_width, GATE_OUTPUTS)
        self.gate_constant = nn.Parameter(torch.ones(self.heads))

    def forward(self, x: Tensor, positions: Tensor, gate: Tensor | None = None) -> Tensor:
        """positions (all heads, frames, frames): the bias before it is gated. gate (heads,)."""
        if isinstance(self.out, Constant):
            return self.out.bias.expand_as(x)
        split = (len(x), x.shape[1], -1, self.head_width)
        q, k, v = (layer(x).view(split).transpose(1, 2) for layer in (self.q, self.k, self.v))
        own = x.view(split)  # the slice of x that a head gates by is that of its number in the dense model
        if self.heads < self.all_heads:
            own, positions = own[:, :, self.index], positions[self.index]
        first, second = torch.sigmoid(self.gate(own).unflatten(-1, (2, -1)).sum(dim=-1)).unbind(dim=-1)
        strength = first * (second * self.gate_constant - 1) + 2  # (batch, frames, heads)
        found = F.scaled_dot_product_attention(q, k, v, attn_mask=strength.transpose(1, 2)[..., None] * positions)
        if gate is not None:
            found = found * gate[:, None, None]
        mixed: Tensor = self.out(found.transpose(1, 2).flatten(2))
        return mixed


class FeedForward(nn.Module):
    """Two linear layers with GELU between: x (..., width)."""

    def __init__(self, width: int, units: int) -> None:
        super().__init__()
        self.inner = nn.Linear(width, units) if units else None
        self.out: nn.Module = nn.Linear(units, width) if units else Constant(width)

    def forward(self, x: Tensor, gate: Tensor | None = None) -> Tensor:
        if self.inner is None:
            assert isinstance(self.out, Constant)
            return self.out.bias.expand_as(x)
        units = F.gelu(self.inner(x))
        outputs: Tensor = self.out(units if gate is None else units * gate)
        return outputs


class Layer(nn.Module):
    """Attention and feed-forward, each with its layer norm: in front of it if `large`, else behind it."""

    def __init__(self, sizes: Sizes, heads: Sequence[int], units: int) -> None:
        super().__init__()
        self.large = sizes.large
        self.attention, self.attention_norm = Attention(sizes, heads), nn.LayerNorm(sizes.width)
        self.ffn, self.ffn_norm = FeedForward(sizes.width, units), nn.LayerNorm(sizes.width)

    def forward(self, x: Tensor, positions: Tensor, heads: Tensor | None, units: Tensor | None) -> Tensor:
        if self.large:
            x = x + self.attention(self.attention_norm(x), positions, heads)
            x = x + self.ffn(self.ffn_norm(x), units)
        else:
            x = self.attention_norm(x + self.attention(x, positions, heads))
            x = self.ffn_norm(x + self.ffn(x, units))
        return x


class Encoder(nn.Module):
    """Waveforms (batch, samples) at 16 kHz -> hidden states, one more than layers, each (batch, frames, width).

    The same as transformers' `WavLMModel` with `output_hidden_states`, without dropout, layer drop and masking.
    """

    def __init__(self, sizes: Sizes) -> None:
        super().__init__()
        self.sizes = sizes
        inputs = (1, *sizes.convs[:-1])
        norms = [nn.LayerNorm(c) if sizes.large else nn.GroupNorm(c, c) if i == 0 else None
                 for i, c in enumerate(sizes.convs)]  # fmt: skip
        self.convs = nn.ModuleList(map(Convolution, inputs, sizes.convs, KERNELS, STRIDES, norms))
        last = sizes.convs[-1]
        self.scale = nn.Parameter(torch.ones(last))  # a gate's value that no linear layer follows to take it in
        self.projection_norm, self.projection = nn.LayerNorm(last), nn.Linear(last, sizes.width)
        self.position_conv = nn.Conv1d(
            sizes.width, sizes.width, POSITION_KERNEL, padding=POSITION_KERNEL // 2, groups=POSITION_GROUPS
        )
        self.norm = nn.LayerNorm(sizes.width)
        self.relative = nn.Embedding(BUCKETS, sizes.all_heads)
        self.layers = nn.ModuleList(Layer(sizes, h, f) for h, f in zip(sizes.heads, sizes.ffns, strict=True))

    def forward(self, waveforms: Tensor, gates: Gates | None = None) -> list[Tensor]:
        x = waveforms[:, None]
        for i, convolution in enumerate(self.convs):
            x = convolution(x, None if gates is None else gates.convs[i])
        if self.training:
            x = CONV_GRADIENT * x + (1 - CONV_GRADIENT) * x.detach()
        x = x.transpose(1, 2) * self.scale
        x = self.projection(norm_over(x, self.projection_norm, None if gates is None else gates.convs[-1]))
        x = x + F.gelu(self.position_conv(x.transpose(1, 2))[..., :-1]).transpose(1, 2)  # even kernels give one more
        x = x if self.sizes.large else self.norm(x)
        states, positions = [x], self.positions(x.shape[1])
        for i, layer in enumerate(self.layers):
            x = layer(x, positions, *((None, None) if gates is None else (gates.heads[i], gates.ffns[i])))
            states.append(x)
        if self.sizes.large:
            states[-1] = self.norm(x)
        return states

    def positions(self, frames: int) -> Tensor:
        """The bias of every head between frames (row: asks, column: is asked), (all heads, frames, frames)."""
        at = torch.arange(frames, device=self.relative.weight.device)
        values: Tensor = self.relative(buckets(torch.arange(1 - frames, frames, device=at.device)))
        return values.T[:, at - at[:, None] + frames - 1]

    @torch.no_grad()
    def initialise(self) -> "Encoder":
        """Random weights as transformers draws them for a new model; returns the encoder."""
        for module in self.modules():
            if isinstance(module, nn.Linear):
                nn.init.normal_(module.weight, std=0.02)
                nn.init.zeros_(module.bias)
            elif isinstance(module, Convolution):
                nn.init.kaiming_normal_(module.conv.weight)
        nn.init.normal_(self.position_conv.weight, std=2 / math.sqrt(POSITION_KERNEL * self.sizes.width))
        assert self.position_conv.bias is not None
        nn.init.zeros_(self.position_conv.bias)
        return self


def buckets(distances: Tensor) -> Tensor:
    """Buckets of relative positions (frames), as in T5: half for each sign, near ones exact, far ones by the log."""
    half, exact = BUCKETS // 2, BUCKETS // 4
    size = distances.abs()
    far = exact + torch.log(size.clamp_min(1) / exact) / math.log(MAX_DISTANCE / exact) * (half - exact)
    return (distances > 0) * half + torch.where(size < exact, size, far.long().clamp_max(half - 1))
