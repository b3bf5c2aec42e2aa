"""A store of what leaves the first convolution, for recipes that keep the sinc filters as initialised.

The sinc convolution takes most of a training step. With fixed filters its output needs no gradient, so it is
computed once per (augmented) signal and kept as float16 in one memory-mapped file.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader, Dataset
from tqdm import tqdm

from variants.arrays import Floats

from .architecture import FRONT_RATE, PyanNet, XVectorSincNet

CHANNELS = 80


class FeatureStore:
    """Features (time, channels) of signal `i` are `store[i]`; `store.labels[i]` is what came with them."""

    rate = FRONT_RATE

    def __init__(self, path: Path, channels: int = CHANNELS) -> None:
        with np.load(path.with_suffix(".npz"), allow_pickle=False) as index:
            self.bounds, self.labels = index["bounds"], index["labels"]
        self.values = np.memmap(path, dtype=np.float16, mode="r").reshape(-1, channels)

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, item: int) -> NDArray[np.float16]:
        return self.values[self.bounds[item] : self.bounds[item + 1]]

    def crop(self, rng: np.random.Generator, item: int, length: int) -> Floats:
        """A random stretch of `length` features, float32 (length, channels); short signals are repeated."""
        features = self[item]
        if len(features) < length:
            features = np.tile(features, (-(-length // len(features)), 1))
        first = rng.integers(len(features) - length + 1)
        return features[first : first + length].astype(np.float32)


def freeze_front(network: XVectorSincNet | PyanNet) -> None:
    """No gradient for what the stored features have already gone through."""
    network.sincnet.wav_norm1d.requires_grad_(False)
    network.sincnet.conv1d[0].requires_grad_(False)


def stored(
    folder: Path,
    settings: dict[str, object],
    signals: Dataset[tuple[Floats, NDArray[np.generic]]],
    front: Callable[[Tensor], Tensor],
    workers: int = 0,
    channels: int = CHANNELS,
) -> FeatureStore:
    """The store of these signals, from `folder` where it was made with the same `settings`, else made now.

    `signals[i]` gives a waveform (samples,) and its labels (the same shape for every i); `front` maps
    (1, 1, samples) to (1, channels, features).
    """
    digest = hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()[:16]
    path, partial = folder / f"features-{digest}.f16", folder / f"features-{digest}.{os.getpid()}.part"
    if path.exists() and path.with_suffix(".npz").exists():
        return FeatureStore(path, channels)
    folder.mkdir(parents=True, exist_ok=True)
    loader = DataLoader(signals, batch_size=None, num_workers=workers)
    bounds, labels = [0], []
    with partial.open("wb") as file, torch.no_grad():
        for waveform, label in tqdm(loader, desc="features", unit="signal", mininterval=5):
            features = front(waveform[None, None])[0].T.to(torch.float16).contiguous().numpy()
            features.tofile(file)
            bounds.append(bounds[-1] + len(features))
            labels.append(np.asarray(label))
    np.savez(partial.with_suffix(".npz"), bounds=np.array(bounds), labels=np.array(labels))
    partial.with_suffix(".npz").replace(path.with_suffix(".npz"))
    partial.replace(path)
    return FeatureStore(path, channels)
