"""Recipe of the embedding: XVectorSincNet, ArcFace over speakers and their speed-perturbed copies."""

from __future__ import annotations

import time
from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from scipy.signal import oaconvolve, resample_poly
from torch import Tensor, nn
from torch.utils.data import Dataset

from variants.acoustics import noise, room_response, spectral_tilt
from variants.architecture import XVectorSincNet
from variants.training.data import SAMPLE_RATE, Clip, Speech
from variants.training.features import CHANNELS, FeatureStore
from variants.training.losses import arcface_logits

SPEEDS = (0.8, 0.9, 1.0, 1.1, 1.2)  # each is a further class: another pitch and vocal tract
WEIGHTS = 100  # steps of the weights over a row, whatever its length


def augment(rng: np.random.Generator, waveform: np.ndarray, clean: float = 0.2) -> np.ndarray:
    """`waveform` (samples,) in a noisy room, through a microphone; with chance `clean` nearly as it is."""
    snr = rng.uniform(20, 35)
    if rng.random() >= clean:
        snr = rng.uniform(3, 25)
        if rng.random() < 0.7:
            waveform = oaconvolve(waveform, room_response(rng))[: len(waveform)]
    level = np.sqrt(np.mean(np.square(waveform))) + 1e-8
    noisy = waveform + noise(rng, len(waveform)) * level * 10 ** (-snr / 20)
    return spectral_tilt(rng, noisy).astype(np.float32)


def change_speed(waveform: np.ndarray, speed: float) -> np.ndarray:
    """Resampled: `speed` 1.1 is 10 % faster and higher."""
    if speed == 1.0:
        return waveform
    return resample_poly(waveform, 100, round(100 * speed)).astype(np.float32)


class AugmentedSpeech(Dataset[tuple[np.ndarray, np.ndarray]]):
    """Every utterance at every speed, `copies` times differently augmented: (samples,) and its class."""

    rate = float(SAMPLE_RATE)

    def __init__(self, speech: Speech, copies: int, speeds: Sequence[float], seed: int) -> None:
        classes = [(speaker, speed) for speaker in sorted(speech) for speed in speeds]
        self.items: list[tuple[Clip, float, int]] = [
            (clip, speed, label)
            for label, (speaker, speed) in enumerate(classes)
            for clip in speech[speaker]
            for _ in range(copies)
        ]
        self.labels, self.seed = np.array([label for _, _, label in self.items]), seed

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, item: int) -> tuple[np.ndarray, np.ndarray]:
        clip, speed, label = self.items[item]
        rng = np.random.default_rng([self.seed, item])
        return augment(rng, change_speed(clip.read(), speed)), np.array(label)

    def crop(self, rng: np.random.Generator, item: int, length: int) -> np.ndarray:
        """A random stretch, newly augmented, for recipes that train from waveforms: (length, 1)."""
        clip, speed, _ = self.items[item]
        waveform = change_speed(clip.read(), speed)
        if len(waveform) < length:
            waveform = np.tile(waveform, -(-length // len(waveform)))
        first = rng.integers(len(waveform) - length + 1)
        return augment(rng, waveform[first : first + length])[:, None]


class EmbeddingBatches(Dataset[dict[str, Tensor]]):
    """Batch `step`, the same for the same seed: `rows` crops, each with two (speaker, weights) to embed.

    Half of the rows hold two speakers one after the other at different levels, the others one speaker with
    two windows: in a diarization pipeline, too, the network sees a whole chunk and pools the frames of each
    speaker. A weaker voice is mixed into some rows; of stored features some lose a band of filters. The
    source is a `FeatureStore` (mixing adds powers) or `AugmentedSpeech` (mixing adds waveforms).
    """

    def __init__(
        self,
        source: FeatureStore | AugmentedSpeech,
        steps: int,
        rows: int,
        crop: tuple[float, float],
        seed: int,
    ) -> None:
        self.source, self.steps, self.rows, self.crop, self.seed = source, steps, rows, crop, seed
        self.stored = isinstance(source, FeatureStore)
        labels = np.asarray(source.labels)
        self.by_class = [np.flatnonzero(labels == label) for label in range(int(labels.max()) + 1)]

    def __len__(self) -> int:
        return self.steps

    def _row(self, rng: np.random.Generator, length: int) -> tuple[np.ndarray, list[int], np.ndarray]:
        first, second = rng.choice(len(self.by_class), 2, replace=False).tolist()
        items = [int(rng.choice(self.by_class[label])) for label in (first, second)]
        weights = np.zeros((2, WEIGHTS), np.float32)
        if rng.random() < 0.5:
            cut = int(rng.uniform(0.3, 0.7) * WEIGHTS)
            at = cut * length // WEIGHTS
            parts = [self.source.crop(rng, items[0], at), self.source.crop(rng, items[1], length - at)]
            signal = np.concatenate([parts[0], parts[1] * 10 ** (rng.uniform(-8, 8) / 20)])
            weights[0, :cut], weights[1, cut:] = 1, 1
        else:
            second = first
            signal = self.source.crop(rng, items[0], length)
            for weight in weights:
                width = int(WEIGHTS * min(rng.uniform(0.35, 1.2), 1))
                start = rng.integers(WEIGHTS - width + 1)
                weight[start : start + width] = 1
        if rng.random() < 0.3:
            other = self.source.crop(rng, int(rng.integers(len(self.source))), length)
            other *= (
                10 ** (-rng.uniform(6, 20) / 20) * np.linalg.norm(signal) / (np.linalg.norm(other) + 1e-6)
            )
            signal = np.hypot(signal, other) if self.stored else signal + other
        if self.stored and rng.random() < 0.4:
            low = rng.integers(CHANNELS // 2 - 4)
            high = min(low + rng.integers(2, 8), CHANNELS // 2)
            signal[:, low:high] = 0  # the even and the odd
            signal[:, CHANNELS // 2 + low : CHANNELS // 2 + high] = 0  # filters of these bands
        return signal, [first, second], weights

    def __getitem__(self, step: int) -> dict[str, Tensor]:
        began = time.perf_counter()
        rng = np.random.default_rng([self.seed, step])
        length = int(rng.uniform(*self.crop) * self.source.rate)
        signals, labels, weights = zip(*(self._row(rng, length) for _ in range(self.rows)), strict=True)
        return {
            "signal": torch.from_numpy(np.stack(signals).astype(np.float32)).transpose(1, 2),
            "labels": torch.tensor(labels),
            "weights": torch.from_numpy(np.stack(weights)),
            "seconds": torch.tensor(time.perf_counter() - began),
        }


class EmbeddingObjective(nn.Module):
    """ArcFace loss of a batch; `progress` (0 to 1) of training raises the margin and the scale late."""

    def __init__(self, network: XVectorSincNet, classes: int, margin: float = 0.2) -> None:
        super().__init__()
        self.network, self.margin = network, margin
        self.classes = nn.Parameter(torch.randn(classes, network.embedding.out_features) * 0.05)

    def forward(self, batch: dict[str, Tensor], progress: float) -> tuple[Tensor, dict[str, Tensor]]:
        raised = min(max((progress - 0.3) / 0.3, 0.0), 1.0)
        signal, labels = batch["signal"], batch["labels"].flatten()
        embed = self.network.from_front if signal.shape[1] == CHANNELS else self.network
        embeddings = embed(signal, batch["weights"]).flatten(0, 1)
        cosines = F.normalize(embeddings) @ F.normalize(self.classes).T
        logits = arcface_logits(cosines, labels, raised * self.margin, 20 + 10 * raised)
        accuracy = (cosines.argmax(dim=1) == labels).float().mean()
        return F.cross_entropy(logits, labels), {"accuracy": accuracy}
