"""Batches for the WavLM recipe: chunks of stored stretches of conversation, as waveforms."""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from variants.arrays import Bools, Floats
from variants.speech.data import SAMPLE_RATE, Conversation, DataError, Speech, hold_out
from variants.speech.simulate import FRAMES_PER_SECOND

from . import evaluate
from .features import CHANNELS, FeatureStore, stored
from .segmentation import STRETCH, RealStretches, SimulatedStretches

ROW_RATE = SAMPLE_RATE // CHANNELS  # a store's rows of `CHANNELS` samples in a second
STEP = ROW_RATE // FRAMES_PER_SECOND  # rows in a label's frame


def as_rows(waveform: Tensor) -> Tensor:
    """(1, 1, samples) as a store takes it, (1, 80, rows): the samples themselves, 80 a row."""
    whole = waveform.shape[-1] // CHANNELS * CHANNELS
    return waveform[..., :whole].reshape(1, -1, CHANNELS).transpose(1, 2)


class WaveformBatches(Dataset[dict[str, Tensor]]):
    """Batch `step`, the same for the same seed: `rows` chunks of `seconds`, `share` of them real where both exist."""

    def __init__(
        self,
        simulated: FeatureStore | None,
        real: FeatureStore | None,
        share: float,
        steps: int,
        rows: int,
        seconds: float,
        seed: int,
    ) -> None:
        if simulated is None and real is None:
            raise DataError("no training data: give --data, --conversations or --protocol")
        self.simulated, self.real = simulated, real
        self.share = 0.0 if real is None else 1.0 if simulated is None else share
        self.steps, self.rows, self.seed = steps, rows, seed
        self.frames = round(seconds * FRAMES_PER_SECOND)

    def __len__(self) -> int:
        return self.steps

    def _row(self, rng: np.random.Generator) -> tuple[Floats, Bools]:
        store = self.real if rng.random() < self.share else self.simulated
        assert store is not None
        item = int(rng.integers(len(store)))
        start = int(rng.integers(round(STRETCH * FRAMES_PER_SECOND) - self.frames + 1))
        samples = store[item][start * STEP : (start + self.frames) * STEP]
        return samples.astype(np.float32).reshape(-1), store.labels[item][start : start + self.frames]

    def __getitem__(self, step: int) -> dict[str, Tensor]:
        began = time.perf_counter()
        rng = np.random.default_rng([self.seed, step])
        signals, labels = zip(*(self._row(rng) for _ in range(self.rows)), strict=True)
        return {
            "signal": torch.from_numpy(np.stack(signals))[:, None],
            "labels": torch.from_numpy(np.stack(labels)).float(),
            "seconds": torch.tensor(time.perf_counter() - began),
        }


class Material:
    """Training chunks, and unseen ones to choose by: of speakers and conversations that are not trained on."""

    def __init__(self, speech: Speech | None, conversations: list[Conversation], args: argparse.Namespace) -> None:
        folder: Path = args.cache or args.out
        settings: dict[str, object] = {"recipe": "wavlm", "seed": args.seed}
        self.args = args
        self.simulated: FeatureStore | None = None
        self.real: FeatureStore | None = None
        unseen: list[tuple[Floats, Bools]] = []
        if speech:
            train, held = hold_out(speech, args.dev_speakers, args.seed)
            stretches = SimulatedStretches(train, args.stretches, args.seed)
            about = settings | {"speakers": sorted(train), "stretches": args.stretches}
            self.simulated = stored(folder, about, stretches, as_rows, args.workers)
            dev = SimulatedStretches(held, args.dev_stretches, args.seed + 1)
            unseen += [dev[item] for item in range(len(dev))]
        if mixed := RealStretches([c for c in conversations if c.name not in args.dev], args.copies, args.seed):
            about = settings | {"copies": args.copies, "real": [str(c) for c in conversations], "dev": list(args.dev)}
            self.real = stored(folder, about, mixed, as_rows, args.workers)
        others = RealStretches([c for c in conversations if c.name in args.dev], 1, args.seed)
        unseen += [others[item] for item in range(len(others))]
        if not unseen:
            raise DataError("nothing to choose checkpoints by: name some conversations with --dev, or give --data")
        self.signals, self.labels = evaluate.chunks(unseen)

    def batches(self, stage: int) -> WaveformBatches:
        """Of a stage, each with chunks of its own."""
        args = self.args
        seed = args.seed + 1000 * stage
        return WaveformBatches(self.simulated, self.real, args.real, args.steps, args.rows, args.chunk, seed)
