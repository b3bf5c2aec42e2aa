"""CAM++ as an embedding model for DIART: features, what of them is a speaker's, and the network on that."""

from collections.abc import Sequence

import torch
from torch import nn

from .fbank import Fbank
from .network import BINS, BLOCKS, Front, xvector

HEARD = 0.5  # of a speaker's highest weight, the least that a frame must have
SILENT = 1e-6  # below which all weights of a silent speaker are: DIART's go down to 1e-8


def heard(features: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
    """Each row's features (rows, bins, frames) where its weight (rows, any frames) is high, repeated to full length.

    All frames for weights that are equal, or no numbers.
    """
    frames, given = features.shape[2], weights.shape[1]
    at = torch.arange(frames, device=weights.device)
    nearest = weights.index_select(1, torch.div(at * given, frames, rounding_mode="floor"))
    chosen = ~(nearest < HEARD * nearest.amax(dim=1, keepdim=True))
    counted = chosen.long().cumsum(dim=1)
    wanted = at % counted[:, -1:]  # how many chosen frames go before the one that belongs here
    index = (counted[:, None] <= wanted[:, :, None]).sum(dim=2)
    return features.gather(2, index[:, None].expand(-1, features.shape[1], -1))


class CAMPlusPlus(nn.Module):
    """Embeddings (rows, 192) of waveforms (rows, 1, samples) at 16 kHz under weights (rows, frames), if any.

    Weighted statistics, as an x-vector has them, would not do: a frame behind this network has heard 2 s to either
    side, and the masks all of the chunk, so one speaker would be in the other's embedding. Each row hears the frames of
    its own speaker alone (`heard`); a silent one has no embedding, which is NaN to DIART. With equal weights this is
    the published network.
    """

    def __init__(self, blocks: Sequence[tuple[int, int]] = BLOCKS) -> None:
        super().__init__()
        self.fbank: nn.Module = Fbank(BINS)
        self.head: nn.Module = Front()
        self.xvector = xvector(blocks)

    def heard(self, waveforms: torch.Tensor, weights: torch.Tensor | None = None) -> torch.Tensor:
        """What the network gets: features (rows, 80, frames) of mean 0 over time."""
        features: torch.Tensor = self.fbank(waveforms)
        if weights is not None:
            features = heard(features, weights)
        return features - features.mean(dim=2, keepdim=True)

    def forward(self, waveforms: torch.Tensor, weights: torch.Tensor | None = None) -> torch.Tensor:
        embeddings: torch.Tensor = self.xvector(self.head(self.heard(waveforms, weights)))
        if weights is None:
            return embeddings
        return embeddings.masked_fill(weights.amax(dim=1, keepdim=True) < SILENT, torch.nan)
