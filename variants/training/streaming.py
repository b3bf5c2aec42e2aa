"""Recipe of the streaming trunk: the stock embeddings, learnt under statistics that no chunk can have to itself.

Without labels: on simulated conversations the stock model embeds chunks by themselves, the streaming one, which starts
as its copy, from frames computed once. The sinc filters stay.
"""

from __future__ import annotations

import argparse
import copy
import json
import time
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from safetensors.torch import save_file
from scipy.ndimage import uniform_filter1d
from torch import Tensor, nn
from torch.utils.data import Dataset

from variants.exact.folded import fold
from variants.exact.shared_trunk import share
from variants.loading import load
from variants.provenance import provenance_of
from variants.speech.data import DataError, Speech, hold_out
from variants.speech.simulate import FRAMES_PER_SECOND
from variants.streaming.offline import exponential, frames_by
from variants.streaming.streaming_segmentation_taught import in_bytes
from variants.streaming.streaming_trunk import StreamingTrunk
from variants.streaming.trunk import RATE, FrameTrunk

from .distill import penalised
from .embedding import pool_windows
from .segmentation import CHUNK, STRETCH, SimulatedStretches

STEP = 4000  # samples from chunk to chunk
SIZE, GIVEN = int(CHUNK * RATE), 293  # samples of a chunk, and a segmentation's frames in it


class StreamingBatches(Dataset[dict[str, Tensor]]):
    """Batch i, always the same: `rows` stretches of conversation, and `chunks` of each as a stream would hear them.

    signal (rows, samples); at (rows, chunks): their numbers in the stream, after the first; weights (rows, chunks,
    speakers, GIVEN): DIART's, of activities as uncertain as a segmentation's; active (rows, chunks, speakers).
    """

    def __init__(self, speech: Speech, steps: int, rows: int, chunks: int, seed: int) -> None:
        self.steps, self.rows, self.chunks, self.seed = steps, rows, chunks, seed
        self.stretches = SimulatedStretches(speech, steps * rows, seed)

    def __len__(self) -> int:
        return self.steps

    def __getitem__(self, item: int) -> dict[str, Tensor]:
        began = time.perf_counter()
        rng = np.random.default_rng([self.seed, item])
        signals, numbers, weights, active = [], [], [], []
        for row in range(self.rows):
            waveform, spoken = self.stretches[item * self.rows + row]
            count = (int(STRETCH * RATE) - SIZE) // STEP
            at = np.sort(rng.choice(np.arange(1, count + 1), self.chunks, replace=False))
            soft = uniform_filter1d(spoken.astype(float), int(rng.integers(4, 24)), axis=0)
            scores = soft * rng.uniform(0.6, 1, spoken.shape[1]) + rng.uniform(0, 0.15) * rng.random(spoken.shape)
            places = (at * STEP / RATE)[:, None] + (np.arange(GIVEN) + 0.5) * CHUNK / GIVEN
            index = np.minimum((places * FRAMES_PER_SECOND).astype(int), len(spoken) - 1)
            signals.append(waveform)
            numbers.append(at)
            weights.append([penalised(np.clip(scores[frames], 0, 1).T) for frames in index])
            active.append([spoken[frames].mean(axis=0) > 0.05 for frames in index])
        return {
            "signal": torch.from_numpy(np.stack(signals).astype(np.float32)),
            "at": torch.from_numpy(np.stack(numbers)),
            "weights": torch.from_numpy(np.array(weights, np.float32)),
            "active": torch.from_numpy(np.array(active)),
            "seconds": torch.tensor(time.perf_counter() - began),
        }


class StreamingObjective(nn.Module):
    """One minus the cosine of the streaming model's embeddings to those that the stock one makes of a chunk alone."""

    scale: Tensor
    shift: Tensor

    def __init__(self, teacher: nn.Module, sha256: str) -> None:
        super().__init__()
        own = copy.deepcopy(teacher)
        made = StreamingTrunk(own)
        self.network = nn.ModuleDict({"trunk": made.frame_trunk, "embedding": made.embedding}).requires_grad_(True)
        made.frame_trunk.stages[0].requires_grad_(False)
        self.seconds, pool, self.teacher = made.seconds, made.stats_pool, teacher.eval().requires_grad_(False)
        self.register_buffer("scale", pool.scale.detach().clone())
        self.register_buffer("shift", pool.shift.detach().clone())
        digest = list(bytes.fromhex(sha256))  # as floats, for which the average of equals is exact
        self.register_buffer("teacher_sha256", torch.tensor(digest, dtype=torch.float32))

    def cosines(self, batch: dict[str, Tensor]) -> Tensor:
        """Of all who speak in the batch's chunks."""
        rows = zip(*(batch[name] for name in ("signal", "at", "weights", "active")), strict=True)
        return torch.cat([self._row(*row) for row in rows])

    def _row(self, signal: Tensor, at: Tensor, weights: Tensor, active: Tensor) -> Tensor:
        trunk, embedding = self.network["trunk"], self.network["embedding"]
        assert isinstance(trunk, FrameTrunk)
        counts = [trunk.frames_in(SIZE + STEP * i) for i in range(int(at.max()) + 1)]
        frames = frames_by(trunk, signal, counts, exponential(self.seconds)) * self.scale + self.shift
        whole, mine, theirs = counts[0], [], []
        for number, given, who in zip(at.tolist(), weights, active, strict=True):
            if not who.any():
                continue
            late = ((counts[number] - whole) * trunk.hop - STEP * number) / trunk.hop
            places = ((torch.arange(whole, device=given.device) + late) * (GIVEN / whole)).long().clamp(0, GIVEN - 1)
            kept = frames[None, counts[number] - whole : counts[number]]
            mine.append(embedding(pool_windows(kept, given[None, who][..., places])[0]))
            with torch.no_grad():
                chunk = signal[STEP * number : STEP * number + SIZE]
                theirs.append(self.teacher(chunk.expand(int(who.sum()), 1, -1), given[who]))
        if not mine:
            return signal.new_empty(0)
        return F.cosine_similarity(torch.cat(mine), torch.cat(theirs), dim=-1)

    def forward(self, batch: dict[str, Tensor], progress: float) -> tuple[Tensor, dict[str, Tensor]]:
        cosines = self.cosines(batch)
        idle = torch.stack([p.sum() for p in self.network.parameters()]).sum() * 0  # where nobody speaks
        distance = (1 - cosines).mean() if len(cosines) else idle
        return distance, {"distance": distance}


def train(speech: Speech, args: argparse.Namespace) -> None:
    """Train; checkpoints, logs and `streaming.safetensors` (of the best) go to `args.out`."""
    from .fit import checkpoint_to_resume, fit

    checkpoint_to_resume(args)  # complains before the work of preparing
    model = load("embedding", args.teacher)
    stamped = provenance_of(model)
    if stamped is None or not stamped.trained:
        raise DataError(f"{args.teacher}: not a trained embedding")
    taught, held = hold_out(speech, args.dev_speakers, args.seed)
    objective = StreamingObjective(fold(share(model)), stamped.sha256)
    unseen = StreamingBatches(held, 1, args.dev_stretches, args.chunks, args.seed + 1)[0]

    @torch.no_grad()
    def validate(trained: nn.Module) -> dict[str, float]:
        assert isinstance(trained, StreamingObjective)
        device = next(trained.parameters()).device
        cosines = trained.cosines({key: value.to(device) for key, value in unseen.items()})
        low, median = torch.quantile(cosines, torch.tensor([0.05, 0.5], device=device)).tolist()
        return {"dev_distance": float(1 - cosines.mean()), "dev_median": median, "dev_low": low}

    torch.manual_seed(args.seed)
    batches = StreamingBatches(taught, args.steps, args.rows, args.chunks, args.seed)
    best = fit(objective, batches, validate, "dev_distance", args)
    export(best, args.out / "streaming.safetensors", "variants.streaming", args.teacher)


def export(checkpoint: Path, path: Path, architecture: str, teacher: str, matrices: bool = False) -> None:
    """Write a checkpoint's network as float16 safetensors, atomically; it names its teacher, and that one's SHA-256.

    matrices: these in int8, and beside each the scales of its rows.
    """
    prefix = "objective."
    state = torch.load(checkpoint, map_location="cpu", weights_only=True)["state_dict"]
    digest = bytes(map(int, state[f"{prefix}teacher_sha256"].tolist())).hex()
    network = f"{prefix}network."
    kept = {k.removeprefix(network): v.half().contiguous() for k, v in state.items() if k.startswith(network)}
    if matrices:
        for key in [key for key, value in kept.items() if value.dim() > 1]:
            kept[key], kept[f"{key}.scale"] = in_bytes(kept[key].float())
    partial = path.with_name(path.name + ".part")
    names = {"teacher": json.dumps(teacher), "teacher_sha256": json.dumps(digest)}
    save_file(kept, partial, {"architecture": architecture, **names})
    partial.replace(path)
