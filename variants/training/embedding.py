"""Recipe of the embedding: XVectorSincNet, ArcFace over speakers and their speed-perturbed copies."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Protocol

import numpy as np
import torch
import torch.nn.functional as F
from scipy.signal import oaconvolve, resample_poly
from torch import Tensor, nn
from torch.utils.data import Dataset

from variants.arrays import Floats, Integers
from variants.speech.acoustics import noise, room_response, spectral_tilt
from variants.speech.data import SAMPLE_RATE, Clip, Speech

from .architecture import XVectorSincNet
from .features import CHANNELS, FeatureStore
from .losses import arcface_logits, contrastive_loss

SPEEDS = (0.8, 0.9, 1.0, 1.1, 1.2)  # each is a further class: another pitch and vocal tract
WEIGHTS = 100  # steps of the weights over a row, whatever its length


def augment(rng: np.random.Generator, waveform: Floats, clean: float = 0.2) -> Floats:
    """`waveform` (samples,) in a noisy room, through a microphone; with chance `clean` nearly as it is."""
    snr = rng.uniform(20, 35)
    if rng.random() >= clean:
        snr = rng.uniform(3, 25)
        if rng.random() < 0.7:
            waveform = oaconvolve(waveform, room_response(rng))[: len(waveform)]
    level = np.sqrt(np.mean(np.square(waveform))) + 1e-8
    noisy = waveform + noise(rng, len(waveform)) * level * 10 ** (-snr / 20)
    return spectral_tilt(rng, noisy).astype(np.float32)


def change_speed(waveform: Floats, speed: float) -> Floats:
    """Resampled: `speed` 1.1 is 10 % faster and higher."""
    if speed == 1.0:
        return waveform
    return np.asarray(resample_poly(waveform, 100, round(100 * speed)), np.float32)


class Source(Protocol):
    """Signals to cut crops from: waveforms, or features at another rate (per second)."""

    rate: float

    @property
    def labels(self) -> Integers:
        """The class of each signal."""

    def __len__(self) -> int: ...

    def crop(self, rng: np.random.Generator, item: int, length: int) -> Floats:
        """A random stretch of a signal, (length, channels)."""


class AugmentedSpeech(Dataset[tuple[Floats, Integers]]):
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

    def __getitem__(self, item: int) -> tuple[Floats, Integers]:
        clip, speed, label = self.items[item]
        rng = np.random.default_rng([self.seed, item])
        return augment(rng, change_speed(clip.read(), speed)), np.array(label)

    def crop(self, rng: np.random.Generator, item: int, length: int) -> Floats:
        """A random stretch, newly augmented, for recipes that train from waveforms: (length, 1)."""
        clip, speed, _ = self.items[item]
        waveform = change_speed(clip.read(), speed)
        if len(waveform) < length:
            waveform = np.tile(waveform, -(-length // len(waveform)))
        first = rng.integers(len(waveform) - length + 1)
        return augment(rng, waveform[first : first + length])[:, None]


class EmbeddingBatches(Dataset[dict[str, Tensor]]):
    """Batch `step`, the same for the same seed: crops of `seconds` in all, each with two (speaker, weights).

    Crops are between the two lengths of `crop`, the longer ones later in training; the shorter, the more of
    them. Most hold two speakers one after the other at different levels, the others one speaker with two
    windows: in a diarization pipeline, too, the network sees a whole chunk and pools the frames of each
    speaker. A weaker voice is mixed into some rows; of stored features some lose a band of filters. The
    source is a `FeatureStore` (mixing adds powers), or of waveforms (mixing adds them).
    """

    speakers = 24  # most classes in a batch, so that each comes several times

    def __init__(
        self,
        source: Source,
        steps: int,
        seconds: float,
        crop: tuple[float, float],
        seed: int,
    ) -> None:
        self.source, self.steps, self.seconds, self.crop, self.seed = source, steps, seconds, crop, seed
        self.stored = isinstance(source, FeatureStore)
        labels = np.asarray(source.labels)
        self.by_class = [np.flatnonzero(labels == label) for label in range(int(labels.max()) + 1)]

    def __len__(self) -> int:
        return self.steps

    def _row(self, rng: np.random.Generator, speakers: Integers, length: int) -> tuple[Floats, list[int], Floats]:
        first, second = rng.choice(speakers, 2, replace=False).tolist()
        items = [int(rng.choice(self.by_class[label])) for label in (first, second)]
        weights = np.zeros((2, WEIGHTS), np.float32)
        if rng.random() < 0.7:
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
            other *= 10 ** (-rng.uniform(6, 20) / 20) * np.linalg.norm(signal) / (np.linalg.norm(other) + 1e-6)
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
        shortest, longest = self.crop
        crop = rng.uniform(shortest, shortest + (longest - shortest) * min(0.3 + step / self.steps, 1))
        rows, length = max(round(self.seconds / crop), 2), int(crop * self.source.rate)
        speakers = rng.choice(len(self.by_class), min(self.speakers, len(self.by_class)), replace=False)
        signals, labels, weights = zip(*(self._row(rng, speakers, length) for _ in range(rows)), strict=True)
        return {
            "signal": torch.from_numpy(np.stack(signals).astype(np.float32)).transpose(1, 2),
            "labels": torch.tensor(labels),
            "weights": torch.from_numpy(np.stack(weights)),
            "seconds": torch.tensor(time.perf_counter() - began),
        }


def tdnn_levels(network: XVectorSincNet, outputs: Tensor, gates: Sequence[Tensor] = ()) -> list[Tensor]:
    """Outputs (batch, frames, channels) of every TDNN level behind the SincNet's (batch, frames, 60).

    gates: (channels,) of as many levels as there are gates, to multiply their outputs with. Time before channels and
    each level one matrix product: a third faster forth and back on a CPU, to within rounding.
    """
    levels = []
    for level in range(0, len(network.tdnns), 3):
        conv, activation, norm = (network.tdnns[level + part] for part in range(3))
        assert isinstance(conv, nn.Conv1d)  # for the type checker
        (kernel,), (dilation,) = conv.kernel_size, conv.dilation
        frames = outputs.shape[1] - (kernel - 1) * dilation
        taps = [outputs[:, tap * dilation : tap * dilation + frames] for tap in range(kernel)]
        matrix = conv.weight.permute(0, 2, 1).flatten(1)
        products = F.linear(torch.cat(taps, dim=2).flatten(0, 1), matrix, conv.bias)
        slope = getattr(activation, "negative_slope", 0.0)  # none in a student's ReLU
        outputs = norm(F.leaky_relu(products, slope, inplace=True))
        if level // 3 < len(gates):
            outputs = outputs * gates[level // 3]
        outputs = outputs.unflatten(0, (-1, frames))
        levels.append(outputs)
    return levels


def pool_windows(outputs: Tensor, weights: Tensor) -> Tensor:
    """`statistics_pooling` of (batch, frames, channels) in matrix products, from sums of x and x squared.

    weights (batch, speakers, steps) -> (batch, speakers, 2 channels).
    """
    weights = F.interpolate(weights, size=outputs.shape[1], mode="nearest")
    total = weights.sum(dim=2, keepdim=True) + 1e-8
    mean = weights @ outputs / total
    spread = weights @ outputs.square() / total - mean.square()
    correction = 1 - weights.square().sum(dim=2, keepdim=True) / total.square()
    return torch.cat([mean, (spread / correction).clamp_min(1e-10).sqrt()], dim=2)


def features_of(network: XVectorSincNet, signal: Tensor) -> Tensor:
    """Stored features (batch, 80, features), of the filters left in `network`; or waveforms' (batch, 1, samples)."""
    if signal.shape[1] != CHANNELS:
        return network.sincnet.front(signal)
    filters: Tensor | None = getattr(network, "filters", None)
    return signal if filters is None else signal[:, filters]


def embed_windows(network: XVectorSincNet, features: Tensor, weights: Tensor, gates: Sequence[Tensor] = ()) -> Tensor:
    """`network.from_front(features, weights)`, faster on a CPU.

    features (batch, 80, features), weights (batch, speakers, steps) -> (batch, speakers, dimension). gates: (channels,)
    to multiply the outputs of each convolution with, none or eight; the last one's act on the pooled statistics, which
    they scale alike.
    """
    levels = tdnn_levels(network, network.sincnet.back(features, gates[:3]).transpose(1, 2), gates[3:-1])
    pooled = pool_windows(levels[-1], weights)
    embeddings: Tensor = network.embedding(pooled * gates[-1].repeat(2) if gates else pooled)
    return embeddings


class EmbeddingObjective(nn.Module):
    """ArcFace and contrastive loss of a batch; `progress` (0 to 1) raises ArcFace's margin and scale late.

    The contrastive loss works from the first step on, when the class vectors of ArcFace mean nothing yet.
    Embeddings are centred and scaled before they are compared: pooled deviations hardly differ between signals,
    so that untrained embeddings all but coincide (cosine 0.9) and hundreds of steps pass before they part.
    `weights.load_network` folds `norm` into the last layer.
    """

    def __init__(self, network: XVectorSincNet, classes: int, margin: float = 0.2) -> None:
        super().__init__()
        self.network, self.margin = network, margin
        self.norm = nn.BatchNorm1d(network.embedding.out_features, affine=False)
        self.classes = nn.Parameter(torch.randn(classes, network.embedding.out_features) * 0.05)

    def forward(self, batch: dict[str, Tensor], progress: float) -> tuple[Tensor, dict[str, Tensor]]:
        raised = min(max((progress - 0.6) / 0.4, 0.0), 1.0)
        signal, labels = batch["signal"], batch["labels"].flatten()
        features = features_of(self.network, signal)
        embeddings = self.norm(embed_windows(self.network, features, batch["weights"]).flatten(0, 1))
        embeddings = F.normalize(embeddings)
        cosines = embeddings @ F.normalize(self.classes).T
        logits = arcface_logits(cosines, labels, raised * self.margin, 15 + 15 * raised)
        losses = {
            "arcface": F.cross_entropy(logits, labels),
            "contrastive": contrastive_loss(embeddings @ embeddings.T, labels, 10.0),
        }
        accuracy = (cosines.argmax(dim=1) == labels).float().mean()
        return losses["arcface"] + losses["contrastive"], losses | {"accuracy": accuracy}
