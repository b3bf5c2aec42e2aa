"""Virtual voices, and a teacher's embeddings of them: a bank of crops made once, which chunks are then composed of.

A voice is a speaker at another speed (pitch and vocal tract) and, half of the time, with another spectral envelope.
"""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import dataclass
from math import ceil
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset
from tqdm import tqdm

from variants.arrays import Floats, Integers
from variants.speech.data import SAMPLE_RATE, Clip, Speech

from .embedding import change_speed

SPEEDS = (0.74, 0.79, 0.84, 0.89, 0.94, 1.0, 1.06, 1.12, 1.19, 1.26, 1.33)
SAMPLES = 5 * SAMPLE_RATE  # of a crop
STRETCHES = (0.86, 1.16)
LEVEL = 0.05  # RMS of a crop
HEARD = 16  # crops that the teacher hears at a time
MIXED = -1  # the class of two voices at once


class VoiceCrops(Dataset[tuple[Floats, Integers]]):
    """`each` crops of every utterance, each at a speed of its own: (each, `SAMPLES`) and their classes (each,).

    A class is a speaker at one speed. Utterances shorter than a crop are repeated.
    """

    def __init__(self, speech: Speech, each: int, seed: int) -> None:
        self.items: list[tuple[int, Clip]] = [
            (i, clip) for i, name in enumerate(sorted(speech)) for clip in speech[name]
        ]
        self.each, self.seed, self.classes = each, seed, len(speech) * len(SPEEDS)

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, item: int) -> tuple[Floats, Integers]:
        speaker, clip = self.items[item]
        rng, waveform = np.random.default_rng([self.seed, item]), clip.read()
        speeds, crops = rng.integers(len(SPEEDS), size=self.each), []
        for speed in speeds:
            needed = ceil(SAMPLES * SPEEDS[speed])
            tiled = np.tile(waveform, ceil(needed / max(len(waveform), 1)))
            first = rng.integers(len(tiled) - needed + 1)
            crops.append(change_speed(tiled[first : first + needed], SPEEDS[speed])[:SAMPLES])
        return np.stack(crops), speaker * len(SPEEDS) + speeds


def levelled(waveforms: Tensor) -> Tensor:
    """(rows, samples) at an RMS of `LEVEL`."""
    root = waveforms.square().mean(dim=1, keepdim=True).sqrt()
    return waveforms / (root + 1e-6) * LEVEL


def stretch_envelope(waveforms: Tensor, factors: Tensor) -> Tensor:
    """Waveforms (rows, samples) with formants at `factors` (rows,) times their frequency and the pitch kept.

    Magnitudes smoothed over 530 Hz are the envelope; phases stay.
    """
    window, bins = torch.hann_window(512, device=waveforms.device), 257
    spectrum = torch.stft(waveforms, 512, 128, window=window, return_complex=True)
    smooth = F.avg_pool1d(spectrum.abs().transpose(1, 2), 17, 1, 8, count_include_pad=False).transpose(1, 2) + 1e-5
    at = (torch.arange(bins, device=factors.device) / factors[:, None]).clamp(max=bins - 1)
    below = at.floor().long()
    share = (at - below)[:, :, None]
    low, high = (
        smooth.gather(1, index[:, :, None].expand_as(smooth)) for index in (below, (below + 1).clamp(max=bins - 1))
    )
    moved = spectrum * ((low + (high - low) * share) / smooth)
    stretched: Tensor = torch.istft(moved, 512, 128, window=window, length=waveforms.shape[1])
    return stretched


@dataclass(frozen=True)
class Bank:
    """Crops (crops, `SAMPLES`) in float16, the teacher's unit embeddings (crops, dim) of them, their classes (crops,).

    As a source of `EmbeddingBatches` each crop is a label of its own.
    """

    waveforms: NDArray[np.float16]
    targets: Floats
    classes: Integers
    rate = float(SAMPLE_RATE)

    @property
    def labels(self) -> Integers:
        return np.arange(len(self))

    def __len__(self) -> int:
        return len(self.waveforms)

    def crop(self, rng: np.random.Generator, item: int, length: int) -> Floats:
        """A random stretch of a crop, (length, 1); length is `SAMPLES` at most."""
        first = rng.integers(SAMPLES - length + 1)
        return self.waveforms[item, first : first + length, None].astype(np.float32)


@torch.no_grad()
def make_voices(waveforms: Tensor, others: Tensor, mixing: float, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Crops (rows, samples) with half of the envelopes stretched, and a share `mixing` laid over `others` (any rows).

    Also which of them are such mixtures, (rows,): of two voices about equally loud.
    """
    lengths, count = STRETCHES[1] - STRETCHES[0], len(waveforms)
    stretched, mixed = torch.rand(2, count, generator=generator) < torch.tensor([[0.5], [mixing]])
    factors = torch.where(stretched, STRETCHES[0] + lengths * torch.rand(count, generator=generator), 1.0)
    partners = torch.randint(len(others), (count,), generator=generator)
    gains = 10 ** (torch.rand(count, 1, generator=generator) * 0.3 - 0.15) * mixed[:, None]  # 3 dB at most
    voices = levelled(stretch_envelope(waveforms, factors.to(waveforms.device)))
    return levelled(voices + others[partners] * gains.to(waveforms.device)), mixed


@torch.no_grad()
def bank(
    folder: Path, settings: dict[str, object], voices: VoiceCrops, teacher: nn.Module, mixing: float, workers: int
) -> Bank:
    """The bank from `folder` where it was made with the same `settings`, else made now, on the teacher's device.

    teacher: (rows, 1, samples) -> (rows, dim).
    """
    text = json.dumps(settings | {"mixing": mixing, "each": voices.each, "seed": voices.seed}, sort_keys=True)
    path = folder / f"voices-{hashlib.sha256(text.encode()).hexdigest()[:16]}.f16"
    if not (path.exists() and path.with_suffix(".npz").exists()):
        folder.mkdir(parents=True, exist_ok=True)
        partial = folder / f"{path.stem}.{os.getpid()}.part"
        device, generator = next(teacher.parameters()).device, torch.Generator().manual_seed(voices.seed)
        loader = DataLoader(voices, batch_size=None, num_workers=workers)
        others, targets, classes = levelled(torch.from_numpy(voices[len(voices) - 1][0])).to(device), [], []
        with partial.open("wb") as file:
            for crops, labels in tqdm(loader, desc="voices", unit="utterance", mininterval=5):
                heard, mixed = make_voices(crops.to(device), others, mixing, generator)
                others = levelled(crops.to(device))
                heard.half().cpu().numpy().tofile(file)
                targets += [F.normalize(teacher(part[:, None])).float().cpu().numpy() for part in heard.split(HEARD)]
                classes.append(np.where(mixed.numpy(), MIXED, labels.numpy()))
        np.savez(partial.with_suffix(".npz"), targets=np.concatenate(targets), classes=np.concatenate(classes))
        partial.with_suffix(".npz").replace(path.with_suffix(".npz"))
        partial.replace(path)
    with np.load(path.with_suffix(".npz"), allow_pickle=False) as known:
        waveforms = np.memmap(path, np.float16, "r").reshape(-1, SAMPLES)
        return Bank(waveforms, known["targets"], known["classes"])
