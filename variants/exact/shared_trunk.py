"""One pass of the trunk per chunk, whatever the number of speakers.

DIART hands the model the same waveform once per local speaker; the weights enter only in the pooling, so the stock
model computes the same trunk three times over.
"""

from functools import singledispatch

import torch
from torch import nn

from variants.errors import UnavailableError
from variants.registry import variant

from .memory import equal_samples
from .pooling import ProductPool


class SharedTrunk(nn.Module):
    """Runs an x-vector's trunk once per run of equal adjacent waveforms; rows in, rows out, like the model itself."""

    compile_seconds: float | None = None  # what compiling the trunk took

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        if not isinstance(getattr(model, "tdnns", None), nn.ModuleList):
            raise UnavailableError(f"sharing the trunk needs an XVectorSincNet, not a {type(model).__name__}")
        self.sincnet = model.get_submodule("sincnet")
        self.tdnns = model.get_submodule("tdnns")
        self.stats_pool = model.get_submodule("stats_pool")
        self.embedding = model.get_submodule("embedding")

    def trunk(self, waveforms: torch.Tensor) -> torch.Tensor:
        """Frame-level features (rows, features, frames) of waveforms (rows, 1, samples)."""
        outputs: torch.Tensor = self.sincnet(waveforms)
        for layer in self.tdnns.children():
            outputs = layer(outputs)
        return outputs

    def forward(self, waveforms: torch.Tensor, weights: torch.Tensor | None = None) -> torch.Tensor:
        """Embeddings (rows, dimension) of waveforms (rows, 1, samples) under weights (rows, frames)."""
        sizes = run_lengths(waveforms)
        firsts = [sum(sizes[:i]) for i in range(len(sizes))]
        features = self.trunk(waveforms[firsts])
        if weights is None:
            pooled = self.stats_pool(features).repeat_interleave(torch.tensor(sizes), dim=0)
        elif len(set(sizes)) == 1:  # DIART's own batches: as many rows for each chunk
            pooled = self.stats_pool(features, weights=weights.unflatten(0, (len(sizes), sizes[0]))).flatten(0, 1)
        else:
            parts = zip(features, weights.split(sizes), strict=True)
            pooled = torch.cat([self.stats_pool(f[None], weights=w[None]).squeeze(0) for f, w in parts])
        embeddings: torch.Tensor = self.embedding(pooled)
        return embeddings


def run_lengths(waveforms: torch.Tensor) -> list[int]:
    """Lengths of the runs of bit-equal adjacent rows; one with a NaN equals none but itself, from `expand`."""
    pairs = zip(waveforms[1:], waveforms[:-1], strict=True)
    same = [a.data_ptr() == b.data_ptr() or equal_samples(a, b) for a, b in pairs]
    sizes = [1]
    for equal in same:
        if equal:
            sizes[-1] += 1
        else:
            sizes.append(1)
    return sizes


@variant("shared-trunk", title="shared trunk", exact=True)
@variant("distilled-shared-trunk", title="+ shared trunk", parent="distilled", exact=True, tolerance=1.0, default=False)
@singledispatch
def share(model: nn.Module) -> nn.Module:
    """The trunk once per chunk, the pooling of all its speakers in matrix products."""
    shared = SharedTrunk(model)
    shared.stats_pool = ProductPool(model.get_parameter("embedding.weight").shape[1] // 2)
    return shared.eval()
