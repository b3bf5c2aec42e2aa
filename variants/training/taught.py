"""Recipe of an embedding that another one teaches, without labels: any speech will do, CPU or GPU.

The teacher hears single voices, clean; the network hears chunks of two voices one after the other, in rooms and noise,
and pools each under weights as DIART makes them. Its embeddings regress the teacher's through a fixed matrix with
orthonormal rows, which keeps cosines, so that the dimensions may differ.
"""

from __future__ import annotations

import argparse

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from variants.loading import load
from variants.provenance import provenance_of
from variants.speech.data import DataError, Speech, hold_out

from . import evaluate, weights
from .architecture import XVectorSincNet
from .distill import MARGIN, SCALE, DistillationBatches
from .embedding import features_of, pool_windows, tdnn_levels
from .features import freeze_front
from .losses import arcface_logits, relational_loss
from .rooms import augment, room_responses
from .voices import MIXED, Bank, VoiceCrops, bank

ROOMS = 200
RELATION = 20.0  # weight of the relational loss


class TaughtBatches(DistillationBatches):
    """DIART-like chunks of a bank's crops, each with the teacher's embeddings of its two voices and their classes.

    crop: the shortest and the longest chunk, in seconds; the longer ones come later in training.
    """

    speakers = 1024  # different crops in a batch, at most

    def __init__(self, voices: Bank, steps: int, seconds: float, crop: tuple[float, float], seed: int) -> None:
        super().__init__(voices, steps, seconds, crop[1], seed, weighted=True)
        self.voices, self.crop = voices, crop

    def __getitem__(self, step: int) -> dict[str, Tensor]:
        batch = super().__getitem__(step)
        items = batch.pop("labels").numpy()
        batch["targets"] = torch.from_numpy(self.voices.targets[items])
        batch["classes"] = torch.from_numpy(self.voices.classes[items])
        return batch


def orthonormal(dimension: int, into: int) -> Tensor:
    """A fixed matrix (dimension, into) with orthonormal rows, by which a teacher's embeddings become targets."""
    random = torch.randn(into, dimension, generator=torch.Generator().manual_seed(3))
    columns: Tensor = torch.linalg.qr(random)[0]
    return columns.T.contiguous()


class TaughtObjective(nn.Module):
    """Loss of a batch: one minus the cosine to the teacher, plus `RELATION` times the squared error of its cosines.

    classes, factor: with a factor, that many times ArcFace over the classes besides. dropout: of the pooled statistics.
    """

    def __init__(
        self,
        network: XVectorSincNet,
        dimension: int,
        seed: int,
        classes: int = 0,
        factor: float = 0.0,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        size = network.embedding.out_features
        if dimension > size:
            raise DataError(f"a teacher of {dimension} dimensions cannot teach {size}")
        self.network, self.norm, self.factor, self.dropout = network, nn.Identity(), factor, dropout
        self.register_buffer("projection", orthonormal(dimension, size), persistent=False)
        self.register_buffer("rooms", room_responses(ROOMS, seed), persistent=False)
        if factor:
            self.class_vectors = nn.Parameter(torch.randn(classes, size) * 0.05)

    def embeddings(self, signal: Tensor, weights: Tensor) -> Tensor:
        """Unit embeddings (batch, speakers, dimension) of chunks (batch, 1, samples)."""
        front = self.network.sincnet.back(features_of(self.network, signal)).transpose(1, 2)
        pooled = pool_windows(tdnn_levels(self.network, front)[-1], weights)
        return F.normalize(self.network.embedding(F.dropout(pooled, self.dropout, self.training)), dim=-1)

    def forward(self, batch: dict[str, Tensor], progress: float) -> tuple[Tensor, dict[str, Tensor]]:
        with torch.no_grad():
            signal = augment(batch["signal"][:, 0], self.get_buffer("rooms"))[:, None]
        own = self.embeddings(signal, batch["weights"]).flatten(0, 1)
        targets = batch["targets"].flatten(0, 1) @ self.get_buffer("projection")
        distance, relation = (1 - (own * targets).sum(dim=1)).mean(), relational_loss(own, targets)
        losses = {"distance": distance, "relation": relation}
        loss = distance + RELATION * relation
        known = batch["classes"].flatten() != MIXED
        if self.factor and known.any():
            labels = batch["classes"].flatten()[known]
            cosines = own[known] @ F.normalize(self.class_vectors).T
            losses["arcface"] = F.cross_entropy(arcface_logits(cosines, labels, MARGIN * progress, SCALE / 2), labels)
            loss = loss + self.factor * losses["arcface"]
        return loss, losses


def held_out(speech: Speech, args: argparse.Namespace) -> tuple[Speech, Speech]:
    """Speech to train on, and of the speakers that choose the checkpoint: those of `--dev`, else drawn."""
    if not args.dev:
        return hold_out(speech, args.dev_speakers, args.seed)
    if unknown := sorted(set(args.dev) - set(speech)):
        raise DataError(f"--dev: no such speaker: {', '.join(unknown)}")
    return {n: s for n, s in speech.items() if n not in args.dev}, {n: speech[n] for n in args.dev}


def train(speech: Speech, args: argparse.Namespace) -> None:
    """Train; checkpoints, logs and `embedding.safetensors` (of the best, float16) go to `args.out`."""
    from .fit import fit

    taught, held = held_out(speech, args)
    teacher = load("embedding", args.teacher)
    stamped = provenance_of(teacher)
    assert stamped is not None  # `load` stamps
    if args.accelerator != "cpu" and torch.cuda.is_available():
        teacher = teacher.cuda()
    torch.manual_seed(args.seed)
    network = XVectorSincNet()
    if args.start:
        network.load_state_dict(weights.load_network(args.start).state_dict())
    if not args.free_front:
        freeze_front(network)
    clips = sum(map(len, taught.values()))
    voices = VoiceCrops(taught, max(round(args.crops / clips), 1), args.seed)
    settings: dict[str, object] = {"teacher": stamped.sha256, "clips": [str(clip) for _, clip in voices.items]}
    known = bank(args.cache or args.out, settings, voices, teacher, args.mixing, args.workers)
    del teacher
    torch.manual_seed(args.seed)  # again: making the bank draws numbers, finding it does not
    objective = TaughtObjective(network, known.targets.shape[1], args.seed, voices.classes, args.arcface, args.dropout)
    batches = TaughtBatches(known, args.steps, args.batch_seconds, tuple(args.crop), args.seed)
    augmented = evaluate.held_out_eer(held, args.seed)

    def validate(trained: nn.Module) -> dict[str, float]:
        return augmented(trained) | {
            "dev_clean_eer": evaluate.evaluate_embedding(trained.get_submodule("network"), held)["eer"]
        }

    best = fit(objective, batches, validate, "dev_eer", args)
    weights.export(weights.load_network(best), args.out / "embedding.safetensors")
