"""The two network architectures in plain PyTorch: same state-dict keys and numbers as pyannote.audio 3.4.

Training needs them where pyannote.audio is not installed; weights travel both ways with `strict=True`.
Sources: pyannote.audio 3.4 (MIT), `models/blocks/sincnet.py`, `models/blocks/pooling.py`,
`models/embedding/xvector.py` and `models/segmentation/PyanNet.py`.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from asteroid_filterbanks import Encoder, ParamSincFB
from torch import Tensor, nn

SAMPLE_RATE = 16000
FRONT_RATE = SAMPLE_RATE / 30  # features per second behind the first convolution and its pooling
# (channels, kernel, dilation) of each TDNN level
TDNN = ((512, 5, 1), (512, 3, 2), (512, 3, 3), (512, 1, 1), (1500, 1, 1))


class SincNet(nn.Module):
    """Three convolutions with pooling and instance normalisation: waveform -> 60 features at 59 Hz.

    `front` (the costly sinc convolution) and `back` are separate so that a recipe that keeps the sinc
    filters fixed can compute and store the front once per utterance.
    """

    def __init__(self, stride: int = 10) -> None:
        super().__init__()
        sinc = ParamSincFB(80, 251, stride=stride, sample_rate=SAMPLE_RATE, min_low_hz=50, min_band_hz=50)
        self.wav_norm1d = nn.InstanceNorm1d(1, affine=True)
        self.conv1d = nn.ModuleList([Encoder(sinc), nn.Conv1d(80, 60, 5), nn.Conv1d(60, 60, 5)])
        self.pool1d = nn.ModuleList(nn.MaxPool1d(3, stride=3) for _ in range(3))
        self.norm1d = nn.ModuleList(nn.InstanceNorm1d(channels, affine=True) for channels in (80, 60, 60))

    def front(self, waveforms: Tensor) -> Tensor:
        """(batch, 1, samples) -> (batch, 80, features at `FRONT_RATE`), all of them >= 0."""
        features: Tensor = self.pool1d[0](torch.abs(self.conv1d[0](self.wav_norm1d(waveforms))))
        return features

    def back(self, features: Tensor, gates: Sequence[Tensor] = ()) -> Tensor:
        """(batch, 80, features) -> (batch, 60, frames); gates: three of (channels,) to multiply the outputs with."""
        outputs = features
        for level, (conv, pool, norm) in enumerate(zip(self.conv1d, self.pool1d, self.norm1d, strict=True)):
            outputs = F.leaky_relu(norm(pool(conv(outputs)) if level else outputs))
            if gates:
                outputs = outputs * gates[level][:, None]
        return outputs

    def forward(self, waveforms: Tensor) -> Tensor:
        """(batch, 1, samples) -> (batch, 60, frames)."""
        return self.back(self.front(waveforms))


def statistics_pooling(sequences: Tensor, weights: Tensor | None = None) -> Tensor:
    """Mean and unbiased standard deviation over time, weighted where weights are given.

    sequences (batch, features, frames); weights (batch, frames) or (batch, speakers, frames), stretched to
    the number of frames by nearest neighbour; returns (batch[, speakers], 2 * features).
    """
    if weights is None:
        return torch.cat([sequences.mean(dim=-1), sequences.std(dim=-1, correction=1)], dim=-1)
    if weights.dim() == 2:
        return statistics_pooling(sequences, weights[:, None])[:, 0]
    if weights.shape[-1] != sequences.shape[-1]:
        weights = F.interpolate(weights, size=sequences.shape[-1], mode="nearest")
    pooled = []
    for weight in weights.unbind(dim=1):
        weight = weight[:, None]
        total = weight.sum(dim=2) + 1e-8
        mean = (sequences * weight).sum(dim=2) / total
        spread = (torch.square(sequences - mean[:, :, None]) * weight).sum(dim=2)
        variance = spread / (total - torch.square(weight).sum(dim=2) / total + 1e-8)
        pooled.append(torch.cat([mean, torch.sqrt(variance)], dim=1))
    return torch.stack(pooled, dim=1)


class XVectorSincNet(nn.Module):
    """`pyannote/embedding`: SincNet, five TDNN levels, statistics pooling, one linear layer.

    4,346,366 parameters with the default dimension of 512.
    """

    def __init__(self, dimension: int = 512) -> None:
        super().__init__()
        self.sincnet = SincNet()
        self.tdnns = nn.ModuleList()
        channels = 60
        for out_channels, kernel, dilation in TDNN:
            conv = nn.Conv1d(channels, out_channels, kernel, dilation=dilation)
            self.tdnns.extend([conv, nn.LeakyReLU(), nn.BatchNorm1d(out_channels)])
            channels = out_channels
        self.embedding = nn.Linear(2 * channels, dimension)

    def from_front(self, features: Tensor, weights: Tensor | None = None) -> Tensor:
        """From what `sincnet.front` gave: (batch, 80, features) -> (batch[, speakers], dimension)."""
        outputs = self.sincnet.back(features)
        for layer in self.tdnns:
            outputs = layer(outputs)
        embeddings: Tensor = self.embedding(statistics_pooling(outputs, weights))
        return embeddings

    def forward(self, waveforms: Tensor, weights: Tensor | None = None) -> Tensor:
        """(batch, 1, samples), weights as in `statistics_pooling` -> (batch[, speakers], dimension)."""
        return self.from_front(self.sincnet.front(waveforms), weights)


class PyanNet(nn.Module):
    """`pyannote/segmentation`: SincNet, four bidirectional LSTM layers, two linear layers, sigmoid.

    1,472,749 parameters with the default of three speakers.
    """

    def __init__(self, speakers: int = 3, hidden: int = 128, layers: int = 4, dropout: float = 0.0) -> None:
        super().__init__()
        self.sincnet = SincNet()
        self.lstm = nn.LSTM(60, hidden, layers, bidirectional=True, batch_first=True, dropout=dropout)
        self.linear = nn.ModuleList([nn.Linear(2 * hidden, 128), nn.Linear(128, 128)])
        self.classifier = nn.Linear(128, speakers)

    def logits(self, features: Tensor) -> Tensor:
        """Logits of what `sincnet.front` gave: (batch, 80, features) -> (batch, frames, speakers)."""
        outputs, _ = self.lstm(self.sincnet.back(features).transpose(1, 2))
        for linear in self.linear:
            outputs = F.leaky_relu(linear(outputs))
        logits: Tensor = self.classifier(outputs)
        return logits

    def forward(self, waveforms: Tensor) -> Tensor:
        """(batch, 1, samples) -> speech probabilities (batch, frames, speakers)."""
        return torch.sigmoid(self.logits(self.sincnet.front(waveforms)))
