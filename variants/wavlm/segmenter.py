"""The whole segmentation: WavLM's hidden states, mixed, through a Conformer into powerset classes."""

from dataclasses import asdict
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from . import powerset
from .conformer import conformer
from .encoder import Encoder
from .sizes import HeadSizes, Sizes

EPSILON = 1e-5  # of the waveform's normalisation


def prepared(waveforms: Tensor, sizes: Sizes) -> Tensor:
    """Waveforms (batch, 1, samples) as an encoder of these sizes was trained on, (batch, samples).

    Those of Large have a mean of 0 and a variance of 1 over the chunk.
    """
    waveforms = waveforms[:, 0]
    if not sizes.large:
        return waveforms
    centred = waveforms - waveforms.mean(dim=-1, keepdim=True)
    return centred * (centred.square().mean(dim=-1, keepdim=True) + EPSILON).rsqrt()


class Segmenter(nn.Module):
    """Waveforms (batch, 1, samples) at 16 kHz -> who speaks (batch, frames, 4), 0 or 1; a frame every 20 ms.

    DIART takes the frames to be spread evenly over the chunk (20.08 ms each in 5 s).
    """

    members: Tensor

    def __init__(self, sizes: Sizes, head: HeadSizes | None = None) -> None:
        super().__init__()
        self.head_sizes = head or HeadSizes()
        self.encoder, width = Encoder(sizes), self.head_sizes.width
        self.mix = nn.Parameter(torch.full((len(sizes.heads) + 1,), 1 / (len(sizes.heads) + 1)))
        self.project, self.norm = nn.Linear(sizes.width, width), nn.LayerNorm(width)
        self.conformer = conformer(self.head_sizes)
        self.register_buffer("members", powerset.table(), persistent=False)
        self.classifier = nn.Linear(width, len(self.members))

    def scores(self, waveforms: Tensor) -> Tensor:
        """Log-probabilities of the powerset classes, (batch, frames, 11)."""
        states = self.encoder(prepared(waveforms, self.encoder.sizes))
        mixed = states[0] * self.mix[0]
        for weight, state in zip(self.mix[1:], states[1:], strict=True):
            mixed = mixed + weight * state
        features = self.conformer(self.norm(self.project(mixed)))
        return F.log_softmax(self.classifier(features), dim=-1)

    def forward(self, waveforms: Tensor) -> Tensor:
        return powerset.to_multilabel(self.scores(waveforms), self.members)

    def sizes(self) -> dict[str, Any]:
        """Plain values from which `of` builds the same again."""
        return {"encoder": asdict(self.encoder.sizes), "head": asdict(self.head_sizes)}

    @classmethod
    def of(cls, sizes: dict[str, Any]) -> "Segmenter":
        """A segmenter of these `sizes()`, with weights yet to load."""
        return cls(Sizes.of(sizes["encoder"]), HeadSizes(**sizes["head"]))
