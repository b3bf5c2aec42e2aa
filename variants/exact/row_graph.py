"""The shared trunk as one graph that an exporter can trace: rows in, rows out, without a loop or branch in Python."""

from functools import singledispatch

import torch
from torch import nn

from .lowered import lowered_sequence, sincnet_layers
from .pooling import ProductPool, pool_directly, pool_products


def runs(waveforms: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """First row of each run of equal adjacent rows (runs,), and the number of each row's run (rows,).

    waveforms: (rows, 1, samples). Rows with NaN equal nothing, not even themselves.
    """
    equal = (waveforms[1:] == waveforms[:-1]).float().amin(dim=(1, 2)) > 0
    first = torch.cat([torch.ones_like(waveforms[:1, 0, 0], dtype=torch.bool), ~equal])
    return first.nonzero()[:, 0], first.long().cumsum(dim=0) - 1


def nearest(weights: torch.Tensor, frames: int) -> torch.Tensor:
    """`F.interpolate(weights, frames, mode="nearest")` of (rows, given), bit for bit, as an index.

    ONNX's Resize multiplies by the inverse of torch's factor, which rounds to another frame now and then.
    """
    given = weights.shape[1]
    positions = torch.arange(frames, dtype=torch.float32) * (torch.ones(()) * given / frames)
    return weights.index_select(1, positions.floor().long().clamp(max=given - 1))


class RowGraph(nn.Module):
    """Embeddings (rows, dimension) of waveforms (rows, 1, samples) under weights (rows, frames), all in tensors.

    trunk: (rows, 1, samples) -> (rows, features, frames). shared: run it once per run of equal adjacent rows.
    """

    def __init__(self, trunk: nn.Module, pool: ProductPool, embedding: nn.Module, shared: bool = True) -> None:
        super().__init__()
        self.trunk, self.pool, self.embedding, self.shared = trunk, pool, embedding, shared

    def forward(self, waveform: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
        if self.shared:
            firsts, owner = runs(waveform)
            features = self.trunk(waveform.index_select(0, firsts))
        else:
            owner = torch.arange(waveform.shape[0])
            features = self.trunk(waveform)
        embeddings: torch.Tensor = self.embedding(self.pooled(features, nearest(weights, features.shape[2]), owner))
        return embeddings

    def pooled(self, features: torch.Tensor, rows: torch.Tensor, owner: torch.Tensor) -> torch.Tensor:
        """Statistics (rows, 2 features) of `features[owner]` under weights `rows` (rows, frames)."""
        scale, shift = self.pool.scale, self.pool.shift
        centre = features.mean(dim=2, keepdim=True)
        centred = features - centre

        def product(values: torch.Tensor) -> torch.Tensor:
            """`rows` with `values` (runs, features, frames) of the run that each row belongs to: (rows, features)."""
            if not self.shared:
                return (values @ rows.unsqueeze(2))[:, :, 0]
            # With every run's, of which there is one as a rule, and then the row's own: no value of another chunk, be
            # it NaN, gets in.
            everything = (values @ rows.transpose(0, 1)).transpose(1, 2).flatten(0, 1)
            return everything.index_select(0, owner * rows.shape[0] + torch.arange(rows.shape[0]))

        first, second = product(centred) * scale, product(torch.square(centred)) * torch.square(scale)
        offset = centre[:, :, 0].index_select(0, owner) * scale + shift
        # Summed in double: with weight on one frame over a floor of 1e-8, a runtime's own order of summing would leave
        # another denominator than torch's, of which next to nothing is left.
        precise = rows.double()
        total = precise.sum(dim=1, keepdim=True).float()
        squares = torch.square(precise).sum(dim=1, keepdim=True).float()
        pooled, few = pool_products(first, second, offset, total, squares)
        index = few[:, 0].nonzero()[:, 0]  # none, as a rule
        mapped = features.index_select(0, owner.index_select(0, index)) * scale[:, None] + shift[:, None]
        values = [tensor.index_select(0, index) for tensor in (rows, total, squares)]
        return pooled.index_put((index,), pool_directly(mapped, *values))


@singledispatch
def row_graph(model: nn.Module, shared: bool = True, lower: bool = True) -> nn.Module:
    """The graph of an x-vector, folded or not; lower: its convolutions in two dimensions, the sinc filters frozen."""
    sincnet, embedding = model.get_submodule("sincnet"), model.get_submodule("embedding")
    tdnns = list(model.get_submodule("tdnns").children())
    trunk = lowered_sequence(sincnet_layers(sincnet) + tdnns) if lower else nn.Sequential(sincnet, *tdnns)
    pool = model.get_submodule("stats_pool")
    if not isinstance(pool, ProductPool):
        pool = ProductPool(embedding.get_parameter("weight").shape[1] // 2)
    return RowGraph(trunk, pool, embedding, shared).eval()
