"""Recipe of the segmentation: PyanNet, permutation-invariant, on simulated and real conversations."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.data import Dataset

from variants.arrays import Bools, Floats
from variants.speech.data import SAMPLE_RATE, Conversation, DataError, Speech
from variants.speech.simulate import FRAMES_PER_SECOND, Turn, conversation

from .architecture import PyanNet
from .embedding import augment, change_speed
from .features import CHANNELS, FeatureStore
from .losses import permutation_invariant_bce

CHUNK = 5.0  # seconds that the network sees
STRETCH = 20.0  # seconds of each stored stretch of conversation, from which chunks are cut
SPEAKERS = 4  # most speakers of a stretch
COUNTS = (0.04, 0.26, 0.36, 0.24, 0.10)  # chance of 0, 1, ... speakers in a simulated stretch


def activity(turns: Iterable[Turn], start: float, seconds: float, speakers: int = SPEAKERS) -> Bools:
    """Who speaks when, bool (100 frames a second, speakers), the most active of them first."""
    frames = round(seconds * FRAMES_PER_SECOND)
    active: dict[str, Bools] = {}
    for turn in turns:
        first, end = (round((time - start) * FRAMES_PER_SECOND) for time in (turn.start, turn.end))
        active.setdefault(turn.speaker, np.zeros(frames, bool))[max(first, 0) : max(end, 0)] = True
    columns = sorted(active.values(), key=np.count_nonzero, reverse=True)[:speakers]
    return np.stack(columns + [np.zeros(frames, bool)] * (speakers - len(columns)), axis=1)


class SimulatedStretches(Dataset[tuple[Floats, Bools]]):
    """`count` simulated stretches of conversation: samples (320000,) and `activity` (2000, 4)."""

    def __init__(self, speech: Speech, count: int, seed: int) -> None:
        if len(speech) < SPEAKERS:
            raise DataError(f"{len(speech)} speakers are too few to simulate conversations of {SPEAKERS}")
        self.speech, self.count, self.seed = speech, count, seed

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, item: int) -> tuple[Floats, Bools]:
        rng = np.random.default_rng([self.seed, item])
        names = rng.choice(sorted(self.speech), rng.choice(len(COUNTS), p=COUNTS), replace=False).tolist()
        utterances = {}
        for name in names:  # up to three utterances, at one speed
            clips = [self.speech[name][index] for index in rng.permutation(len(self.speech[name]))[:3]]
            speed = float(rng.choice((0.9, 0.95, 1.0, 1.05, 1.1)))
            utterances[name] = [change_speed(clip.read(), speed) for clip in clips]
        waveform, turns = conversation(
            rng, utterances, STRETCH, overlap=rng.uniform(0, 0.3), snr=(5.0, 30.0), level=5.0
        )
        return waveform, activity(turns, 0.0, STRETCH)


class RealStretches(Dataset[tuple[Floats, Bools]]):
    """Stretches of real conversations, half overlapping, each `copies` times differently augmented."""

    def __init__(self, conversations: Sequence[Conversation], copies: int, seed: int) -> None:
        self.items: list[tuple[Floats, Bools]] = []
        self.copies, self.seed = copies, seed
        for real in conversations:
            waveform = real.audio.read()
            seconds = max(len(waveform) / SAMPLE_RATE, STRETCH)
            waveform = np.pad(waveform, (0, max(round(seconds * SAMPLE_RATE) - len(waveform), 0)))
            for start in np.linspace(0, seconds - STRETCH, int((seconds - STRETCH) // (STRETCH / 2)) + 1):
                first = int(start * SAMPLE_RATE)
                stretch = waveform[first : first + int(STRETCH * SAMPLE_RATE)]
                self.items.append((stretch, activity(real.turns, start, STRETCH)))

    def __len__(self) -> int:
        return len(self.items) * self.copies

    def __getitem__(self, item: int) -> tuple[Floats, Bools]:
        waveform, active = self.items[item % len(self.items)]
        if item >= len(self.items):  # the first copy stays as it is
            waveform = augment(np.random.default_rng([self.seed, item]), waveform, clean=0.5)
        return waveform.astype(np.float32), active


class SegmentationBatches(Dataset[dict[str, Tensor]]):
    """Batch `step`, the same for the same seed: `rows` chunks, `share` of them from real conversations."""

    def __init__(
        self,
        simulated: FeatureStore,
        real: FeatureStore | None,
        share: float,
        steps: int,
        rows: int,
        seed: int,
    ) -> None:
        self.simulated, self.real, self.share = simulated, real, share
        self.steps, self.rows, self.seed = steps, rows, seed

    def __len__(self) -> int:
        return self.steps

    def _row(self, rng: np.random.Generator) -> tuple[Floats, Bools]:
        store = self.real if self.real and rng.random() < self.share else self.simulated
        item, start = int(rng.integers(len(store))), rng.uniform(0, STRETCH - CHUNK)
        first, length = int(start * store.rate), int(CHUNK * store.rate) - 8  # what 5 s of samples give
        features = store[item][first : first + length].astype(np.float32)
        if rng.random() < 0.3:
            low = rng.integers(CHANNELS // 2 - 4)
            features[:, low : low + 4] = features[:, CHANNELS // 2 + low : CHANNELS // 2 + low + 4] = 0
        at = int(start * FRAMES_PER_SECOND)
        return features, store.labels[item][at : at + int(CHUNK * FRAMES_PER_SECOND)]

    def __getitem__(self, step: int) -> dict[str, Tensor]:
        began = time.perf_counter()
        rng = np.random.default_rng([self.seed, step])
        features, labels = zip(*(self._row(rng) for _ in range(self.rows)), strict=True)
        return {
            "signal": torch.from_numpy(np.stack(features)).transpose(1, 2),
            "labels": torch.from_numpy(np.stack(labels)).float(),
            "seconds": torch.tensor(time.perf_counter() - began),
        }


def targets_of(labels: Tensor, frames: int, speakers: int) -> Tensor:
    """Labels (batch, steps, anybody) as targets (batch, frames, speakers): the most active, mid-frame."""
    order = labels.sum(dim=1).argsort(dim=1, descending=True)[:, None, :speakers]
    at = ((torch.arange(frames, device=labels.device) + 0.5) * labels.shape[1] / frames).long()
    return labels.gather(2, order.expand(-1, labels.shape[1], -1))[:, at]


@torch.no_grad()
def initialise(network: PyanNet) -> PyanNet:
    """Weights that let the signal through: with PyTorch's own, its deviation falls 1000-fold from the first
    LSTM layer to the output, and hundreds of steps pass before the output depends on the input at all.
    """
    for name, parameter in network.lstm.named_parameters():
        gates = parameter.chunk(4)  # input, forget, cell, output
        for gate in gates:
            if "weight_ih" in name:
                nn.init.xavier_uniform_(gate, gain=1.5)
            elif "weight_hh" in name:
                nn.init.orthogonal_(gate)
            else:
                nn.init.zeros_(gate)
        if "bias_ih" in name:
            gates[1].fill_(1.0)
    for linear in [*network.linear, network.classifier]:
        nn.init.kaiming_normal_(linear.weight, a=0.01)
        nn.init.zeros_(linear.bias)
    return network


class SegmentationObjective(nn.Module):
    """Permutation-invariant cross-entropy of a batch."""

    def __init__(self, network: PyanNet) -> None:
        super().__init__()
        self.network = network

    def forward(self, batch: dict[str, Tensor], progress: float) -> tuple[Tensor, dict[str, Tensor]]:
        signal = batch["signal"]
        features = signal if signal.shape[1] == CHANNELS else self.network.sincnet.front(signal)
        logits = self.network.logits(features)
        targets = targets_of(batch["labels"], logits.shape[1], logits.shape[2])
        return permutation_invariant_bce(logits, targets), {}
