"""Recipe of the streaming segmentation: a stock PyanNet's LSTMs learn to carry their state, by its own scores.

Without labels: on simulated conversations the stock model scores chunks by themselves. The student, which starts as its
copy, hears all of a stream once, by the SincNet under the stream's statistics, in steps of a quarter of a second, and
is compared chunk by chunk under the best order of its speakers.
"""

from __future__ import annotations

import argparse
import copy
import time
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.utils.data import Dataset

from variants.arrays import Floats
from variants.loading import load
from variants.provenance import provenance_of
from variants.speech.data import DataError, Speech, hold_out
from variants.streaming.offline import exponential, frames_by
from variants.streaming.recurrence import Recurrence
from variants.streaming.streaming_segmentation import AHEAD, sincnet_trunk
from variants.streaming.streaming_trunk import SECONDS
from variants.streaming.trunk import RATE

from .embedding import augment
from .features import FeatureStore, stored
from .losses import permutation_invariant_bce
from .segmentation import STRETCH, SimulatedStretches
from .streaming import SIZE, STEP, export

APART, STEPS = 59, (15, 30, 45, 59)  # frames (1 s) from one chunk that is compared to the next, and steps between
CHUNKS = 6  # compared in each window
FEATURES = 60  # of a frame, from any SincNet


class ScoredStretches(Dataset[tuple[Floats, NDArray[np.generic]]]):
    """`count` simulated stretches (samples,), and the teacher's scores (chunks, frames, classes) of their chunks."""

    def __init__(self, speech: Speech, count: int, teacher: nn.Module, seed: int) -> None:
        self.stretches, self.teacher, self.seed = SimulatedStretches(speech, count, seed), teacher, seed
        self.hop = sincnet_trunk(teacher).hop

    def __len__(self) -> int:
        return len(self.stretches)

    @torch.no_grad()
    def __getitem__(self, item: int) -> tuple[Floats, NDArray[np.generic]]:
        waveform = augment(np.random.default_rng([self.seed, 1, item]), self.stretches[item][0], clean=0.5)
        waveform = waveform.astype(np.float32)
        chunks = torch.from_numpy(waveform).unfold(0, SIZE, APART * self.hop)
        return waveform, self.teacher(chunks[:, None]).half().numpy()


class StreamingSegmentationBatches(Dataset[dict[str, Tensor]]):
    """Batch `step`, the same for the same seed: `rows` windows of stretches, heard behind what was before, or nothing.

    signal (rows, frames, features) of `CHUNKS` chunks, scores (rows, CHUNKS, frames of a chunk, classes), before (rows,
    n, features): some part of another stretch, and what comes before the window in its own.
    """

    def __init__(self, store: FeatureStore, steps: int, rows: int, seed: int) -> None:
        self.store, self.steps, self.rows, self.seed = store, steps, rows, seed

    def __len__(self) -> int:
        return self.steps

    def __getitem__(self, step: int) -> dict[str, Tensor]:
        began = time.perf_counter()
        rng = np.random.default_rng([self.seed, step])
        items = rng.choice(len(self.store), (2, self.rows))
        found = np.stack([[self.store[item] for item in row] for row in items]).astype(np.float32)
        scores = np.stack([self.store.labels[item] for item in items[0]]).astype(np.float32)
        chunk = int(rng.integers(scores.shape[1] - CHUNKS + 1))
        first, end = APART * chunk, APART * (chunk + CHUNKS - 1) + scores.shape[2]
        other = found[1, :, int(rng.integers(found.shape[2] // 2, found.shape[2] - APART)) :]
        before = np.concatenate([other, found[0, :, :first]], axis=1)
        return {
            "signal": torch.from_numpy(found[0, :, first:end]),
            "before": torch.from_numpy(before if rng.random() < 2 / 3 else before[:, :0]),
            "scores": torch.from_numpy(scores[:, chunk : chunk + CHUNKS]),
            "seconds": torch.tensor(time.perf_counter() - began),
        }


class StreamingSegmentationObjective(nn.Module):
    """Permutation-invariant cross-entropy of every chunk to the teacher's scores of it."""

    def __init__(self, network: Recurrence, ahead: int, sha256: str) -> None:
        super().__init__()
        self.network, self.ahead = network, ahead
        digest = list(bytes.fromhex(sha256))  # as floats, for which the average of equals is exact
        self.register_buffer("teacher_sha256", torch.tensor(digest, dtype=torch.float32))

    def chunks(self, batch: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
        """Logits of chunks (chunks, frames, classes), as a stream knows them at their ends; the teacher's scores."""
        before, signal, scores = (batch[name].transpose(0, 1) for name in ("before", "signal", "scores"))
        frames, old = scores.shape[2], len(before)
        ends = [old + frames + APART * i for i in range(len(scores))]  # of chunks
        steps = [end - APART + last for end in ends[1:] for last in STEPS]
        if old:
            steps = sorted({*range(min(frames, old), old, APART), *range(old, ends[0], STEPS[0]), ends[0], *steps})
        else:
            steps = [ends[0], *steps]
        features, state, begun = torch.cat([before, signal]), self.network.start(signal.shape[1]).to(signal), 0
        settled, found = [], []
        for end in steps:
            parts = features[begun : end - self.ahead], features[end - self.ahead : end], state
            with torch.set_grad_enabled(torch.is_grad_enabled() and end > old):
                outputs, state = self.network.heard(*parts)
                logits = self.network.scores[:-1](outputs)
            begun = end - self.ahead
            settled.append(logits[: -self.ahead])
            if end in ends:
                known = torch.cat([*settled, logits[-self.ahead :]])
                found.append(known[-frames:].transpose(0, 1))
        return torch.cat(found), scores.flatten(0, 1)

    def forward(self, batch: dict[str, Tensor], progress: float) -> tuple[Tensor, dict[str, Tensor]]:
        return permutation_invariant_bce(*self.chunks(batch)), {}


def train(speech: Speech, args: argparse.Namespace) -> None:
    """Train; checkpoints, logs and `streaming-segmentation.safetensors` (of the best) go to `args.out`."""
    from .fit import checkpoint_to_resume, fit

    checkpoint_to_resume(args)  # complains before the work of preparing
    teacher: Any = load("segmentation", args.teacher).eval()
    stamped = provenance_of(teacher)
    if stamped is None or not stamped.trained:
        raise DataError(f"{args.teacher}: not a trained segmentation")
    if teacher.specifications.powerset:
        raise DataError(f"{args.teacher}: scores groups of speakers; only one that scores each by itself can teach")
    trunk, network = sincnet_trunk(teacher), Recurrence(copy.deepcopy(teacher)).requires_grad_(True)
    counts = [trunk.frames_in(end) for end in range(SIZE, int(STRETCH * RATE) + 1, STEP)]

    def front(waveform: Tensor) -> Tensor:
        return frames_by(trunk, waveform[0, 0], counts, exponential(SECONDS)).t()[None]

    taught, held = hold_out(speech, args.dev_speakers, args.seed)
    stores = []
    for who, count, seed in ((taught, args.stretches, args.seed), (held, args.dev_stretches, args.seed + 1)):
        settings = {"recipe": "streaming-segmentation", "teacher": stamped.sha256, "count": count, "seed": seed}
        stretches = ScoredStretches(who, count, teacher, seed)
        settings |= {"speakers": sorted(who), "seconds": SECONDS, "apart": APART}
        stores.append(stored(args.cache or args.out, settings, stretches, front, args.workers, FEATURES))
    unseen = [StreamingSegmentationBatches(stores[1], 4, args.dev_stretches, args.seed)[i] for i in range(4)]

    @torch.no_grad()
    def validate(trained: nn.Module) -> dict[str, float]:
        assert isinstance(trained, StreamingSegmentationObjective)
        device = next(trained.parameters()).device
        found = [trained({k: v.to(device) for k, v in batch.items()}, 1.0)[0] for batch in unseen]
        return {"dev_loss": float(torch.stack(found).mean())}

    torch.manual_seed(args.seed)
    ahead = round(AHEAD * RATE / trunk.hop)
    batches = StreamingSegmentationBatches(stores[0], args.steps, args.rows, args.seed)
    best = fit(StreamingSegmentationObjective(network, ahead, stamped.sha256), batches, validate, "dev_loss", args)
    architecture = "variants.streaming.recurrence"
    export(best, args.out / "streaming-segmentation.safetensors", architecture, args.teacher, matrices=True)
