"""Light models, a clock in the test's hands, and voices that are tones."""

import numpy as np
import torch
from torch import nn

from bench.pipeline.staged import PipelineSettings

SETTINGS = PipelineSettings(1.0, 0.25, 1.0, 0.5, 0.1, 0.5)


def thirds(waveforms: torch.Tensor) -> torch.Tensor:
    """(batch, 1, samples) -> (batch, 50, 3): the spectrum's thirds in each fiftieth of a waveform."""
    spectrum = torch.fft.rfft(waveforms[:, 0].unflatten(1, (50, -1))).abs()
    return spectrum[:, :, :120].unflatten(2, (3, 40)).sum(dim=3)


class Segmenter(nn.Module):
    """(batch, 1, samples) -> (batch, 50, 3): which third of the spectrum is loud in each fiftieth of a chunk."""

    def forward(self, waveforms: torch.Tensor) -> torch.Tensor:
        bands = (
            torch.fft.rfft(waveforms[:, 0].unflatten(1, (50, -1))).abs()[:, :, :120].unflatten(2, (3, 40)).sum(dim=3)
        )
        return bands / (bands.amax(dim=2, keepdim=True) + 1e-3)


class Embedder(nn.Module):
    """(rows, 1, samples), (rows, frames) -> (rows, 3): the weighted spectrum of the waveform in thirds."""

    def forward(self, waveforms: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
        bands = (
            torch.fft.rfft(waveforms[:, 0].unflatten(1, (50, -1))).abs()[:, :, :120].unflatten(2, (3, 40)).sum(dim=3)
        )
        return (bands * weights[:, :, None]).sum(dim=1)


class Hands:
    """A clock that only sleep and the test move."""

    def __init__(self) -> None:
        self.time = 100.0

    def now(self) -> float:
        return self.time

    def sleep(self, seconds: float) -> None:
        assert seconds > 0
        self.time += seconds


def tones(seconds: float, seed: int = 0) -> np.ndarray:
    """Voices by turns: 0.7 s of a tone in one third of the spectrum, then of another."""
    random, count = np.random.default_rng(seed), int(seconds / 0.7) + 1
    turns = [
        np.sin(2 * np.pi * (1000 + 2000 * random.integers(3) + 10 * seed) * np.arange(11_200) / 16000)
        for _ in range(count)
    ]
    wave = 0.1 * np.concatenate(turns)[: int(16000 * seconds)] + 1e-3 * random.standard_normal(int(16000 * seconds))
    return wave.astype(np.float32)
