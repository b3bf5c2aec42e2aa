"""What statistics that moved since a frame was computed do to an embedding, to first order.

A frame was normalised by a stream's statistics at its time; the stock model would take those of the whole chunk. How
far these lie apart, weighted as the frames are, tells a linear map fitted on speech (`python -m variants.training
drift`) what to add to the embedding: nothing for a stream's first chunk.
"""

import json
from collections.abc import Sequence
from pathlib import Path

import torch
from safetensors import safe_open
from torch import Tensor, nn

from variants.loading import WEIGHTS, checked
from variants.provenance import provenance_of

from .trunk import Moments

CORRECTION = WEIGHTS / "streaming-drift.safetensors"
EPSILON = 1e-5  # of the norms
FAR = 1.0  # standard deviations beyond which a distance counts no more


def mark(known: Sequence[Moments], taken: Sequence[Moments], rate: float) -> Tensor:
    """For frames: means and deviations that their norms took, then means and mean squares of what was normalised.

    (4 channels,) of all norms but the waveform's, whose scale the others undo. known: the moments before; taken: what
    `blended` made of them at this rate, from which what was normalised follows; at 0 it is what was taken.
    """
    before, after = (torch.cat(list(moments[1:]), dim=1) for moments in (known, taken))
    change = (after - before) / (rate or 1)
    mean = before[0] + change[0]
    variance = before[1] + change[1] - (1 - rate) * torch.square(change[0])
    return torch.cat([after[0], torch.sqrt(after[1] + EPSILON), mean, variance + torch.square(mean)])


def drift(marks: Tensor, weights: Tensor) -> Tensor:
    """How far the statistics that frames (n, 4 channels) took lie from those of all: (rows, 2 channels).

    weights: (rows, n). In the chunk's deviations: of means, then of deviations.
    """
    channels = marks.shape[1] // 4
    share = weights / weights.sum(dim=1, keepdim=True)
    taken = share @ marks[:, : 2 * channels]
    mean, square = marks[:, 2 * channels :].mean(dim=0).split(channels)
    deviation = torch.sqrt((square - torch.square(mean)).clamp(min=0) + EPSILON)
    apart = torch.cat([(taken[:, :channels] - mean) / deviation, taken[:, channels:] / deviation - 1], dim=1)
    return apart.clamp(-FAR, FAR)


def load_correction(model: nn.Module, path: Path = CORRECTION) -> nn.Parameter | None:
    """The shipped map (2 channels, dimension), None where it was fitted to another model than this."""
    origin = provenance_of(model)
    if origin is None or not path.is_file():
        return None
    with safe_open(path, "pt") as file:
        if json.loads(file.metadata()["teacher_sha256"]) != origin.sha256:
            return None
        checked(path)
        return nn.Parameter(file.get_tensor("correction").float(), requires_grad=False)
