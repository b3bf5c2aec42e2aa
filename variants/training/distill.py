"""Recipe of the student (paper IV-A): the reduced XVectorSincNet learns the embeddings of its teacher.

The paper's way adds lambda times the distance to the teacher's embedding to ArcFace, from random weights. The better
way starts from the teacher's own layers, needs no speaker labels, and compares embeddings pooled as DIART pools them.
"""

from __future__ import annotations

import argparse

import numpy as np
import torch
import torch.nn.functional as F
from scipy.ndimage import uniform_filter1d
from torch import Tensor, nn

from variants.arrays import Doubles, Floats, Integers
from variants.paper.distilled import REMOVED
from variants.speech.data import Speech, hold_out

from . import weights
from .architecture import XVectorSincNet
from .embedding import (
    SPEEDS,
    WEIGHTS,
    AugmentedSpeech,
    EmbeddingBatches,
    Source,
    features_of,
    pool_windows,
    tdnn_levels,
)
from .features import FeatureStore, freeze_front, stored
from .losses import arcface_logits
from .student import Teacher, centre_frames, cut_student, has_initial_front, new_student

MARGIN, SCALE = float(np.deg2rad(28.6)), 64.0  # of ArcFace, pyannote's defaults


def penalised(scores: Doubles) -> Doubles:
    """Pooling weights that DIART's overlap-aware embedding makes of activities (speakers, steps), gamma 3, beta 10."""
    exponents = np.exp(10 * (scores - scores.max(axis=0)))
    return np.asarray(np.maximum(scores**3 * (exponents / exponents.sum(axis=0)) ** 3, 1e-8))


class DistillationBatches(EmbeddingBatches):
    """Batches for a student: with `weighted` pooling as DIART has it, else one voice a row, pooled over all of it.

    Weighted, the rows are those of `EmbeddingBatches`, their windows made as uncertain as a segmentation is, and
    overlapping now and then, before DIART's penalty of overlap turns them into weights.
    """

    def __init__(self, source: Source, steps: int, seconds: float, crop: float, seed: int, weighted: bool) -> None:
        super().__init__(source, steps, seconds, (crop, crop), seed)
        self.weighted = weighted

    def _row(self, rng: np.random.Generator, speakers: Integers, length: int) -> tuple[Floats, list[int], Floats]:
        if not self.weighted:
            label = int(rng.choice(speakers))
            signal = self.source.crop(rng, int(rng.choice(self.by_class[label])), length)
            return signal, [label], np.ones((1, WEIGHTS), np.float32)
        signal, labels, windows = super()._row(rng, speakers, length)
        soft = uniform_filter1d(windows, int(rng.integers(2, 12)), axis=1)
        peaks, floors = rng.uniform(0.5, 1, (2, 1)), rng.uniform(0, 0.15, (2, 1))
        peaks[rng.random((2, 1)) < 0.15] *= 0.1  # an output of the segmentation that hardly speaks
        scores = np.clip(soft * peaks + floors * rng.random(windows.shape), 0, 1)
        return signal, labels, penalised(scores).astype(np.float32)


def distillation_loss(classified: Tensor, student: Tensor, teacher: Tensor, factor: float) -> Tensor:
    """The paper's: the task's own loss plus `factor` (its lambda) times the distance to the teacher's embedding.

    The paper does not say which distance; here it is the mean squared difference of embeddings (..., dimension).
    """
    return classified + factor * F.mse_loss(student, teacher)


class DistillationObjective(nn.Module):
    """Loss of a batch: with `factor` the paper's, else one minus the cosine to the teacher's embedding.

    frames: weight of the auxiliary loss on each level behind the cut: the squared difference of its outputs, as a share
    of the variance of the teacher's. A student whose SincNet is frozen is taken for one of `cut_student`. The teacher
    never changes: no gradient, always in evaluation mode.
    """

    def __init__(
        self,
        student: XVectorSincNet,
        teacher: Teacher,
        factor: float | None = None,
        classes: int = 1,
        frames: float = 0.0,
    ) -> None:
        super().__init__()
        self.network, self.teacher, self.factor, self.frames = student, teacher.network, factor, frames
        digest = list(bytes.fromhex(teacher.sha256))  # as floats, for which the average of equals is exact
        self.register_buffer("teacher_sha256", torch.tensor(digest, dtype=torch.float32))
        self.cut = not any(parameter.requires_grad for parameter in student.sincnet.parameters())
        if factor is not None:
            self.classes = nn.Parameter(torch.randn(classes, student.embedding.out_features) * 0.05)

    def train(self, mode: bool = True) -> DistillationObjective:
        super().train(mode)
        self.teacher.eval()
        if self.cut:  # its BatchNorms are the teacher's, whose statistics are better than a batch's
            self.network.eval()
        return self

    def embeddings(self, batch: dict[str, Tensor]) -> tuple[Tensor, Tensor, list[Tensor], list[Tensor]]:
        """Of student and teacher: embeddings (batch, speakers, dimension), outputs of the levels behind the cut."""
        signal, weights = batch["signal"], batch["weights"]
        with torch.no_grad():
            features = features_of(self.teacher, signal)
            front = self.teacher.sincnet.back(features).transpose(1, 2)
            theirs = tdnn_levels(self.teacher, front)[REMOVED + 1 :]
            target = self.teacher.embedding(pool_windows(theirs[-1], weights))
        if not self.cut:
            front = self.network.sincnet.back(features).transpose(1, 2)
        mine = tdnn_levels(self.network, front)[REMOVED:]
        return self.network.embedding(pool_windows(mine[-1], weights)), target, mine, theirs

    def forward(self, batch: dict[str, Tensor], progress: float) -> tuple[Tensor, dict[str, Tensor]]:
        student, teacher, mine, theirs = self.embeddings(batch)
        cosines = F.cosine_similarity(student, teacher, dim=-1)
        distance = (1 - cosines).mean()
        metrics = {"distance": distance, "lowest_cosine": cosines.min()}
        if self.factor is not None:
            labels = batch["labels"].flatten()
            angles = F.normalize(student.flatten(0, 1)) @ F.normalize(self.classes).T
            arcface = F.cross_entropy(arcface_logits(angles, labels, MARGIN, SCALE), labels)
            return distillation_loss(arcface, student, teacher, self.factor), metrics | {"arcface": arcface}
        if not self.frames:
            return distance, metrics
        helper = torch.stack(
            [
                F.mse_loss(centre_frames(own, wanted.shape[1]), wanted) / wanted.var()
                for own, wanted in zip(mine, theirs, strict=True)
            ]
        ).mean()
        return distance + self.frames * helper, metrics | {"frames": helper}


def prepared(
    teacher: Teacher, speech: Speech, args: argparse.Namespace, seed: int
) -> tuple[AugmentedSpeech, FeatureStore | AugmentedSpeech, Speech]:
    """Speech to teach with, the teacher's stored features of it (or itself, without `--copies`), held-out speakers."""
    taught, held = hold_out(speech, args.dev_speakers, seed)
    source = AugmentedSpeech(taught, max(args.copies, 1), SPEEDS, seed)
    if not args.copies:
        return source, source, held
    settings: dict[str, object] = {"recipe": "embedding", "seed": seed, "copies": args.copies}
    settings |= {"speeds": SPEEDS, "clips": [str(clip) for clip, _, _ in source.items]}
    if not has_initial_front(teacher.network):  # else the store of the embedding's own training serves
        settings["front"] = teacher.sha256
    front = teacher.network.sincnet.front
    return source, stored(args.cache or args.out, settings, source, front, args.workers), held


def train(teacher: Teacher, speech: Speech, args: argparse.Namespace) -> None:
    """Train a student; checkpoints, logs and `student.safetensors` (of the best) go to `args.out`."""
    from .fit import fit

    source, batch_source, held = prepared(teacher, speech, args, args.seed)
    weighted = args.pooling == "weighted"
    crop, chunk = args.crop or (5.0 if weighted else 2.0), args.crop or 5.0
    batches = DistillationBatches(batch_source, args.steps, args.batch_seconds, crop, args.seed, weighted)
    if args.start == "teacher":
        fitted = DistillationBatches(batch_source, 1, 10 * args.batch_seconds, chunk, args.seed + 1, True)
        student = cut_student(teacher.network, fitted[0]["signal"])
    else:
        student = new_student(teacher.network, args.seed)
    out = args.out / "student.safetensors"
    if not args.steps:
        args.out.mkdir(parents=True, exist_ok=True)
        return weights.export(student, out, teacher.sha256)
    freeze_front(student)
    torch.manual_seed(args.seed)  # here: making the store has drawn numbers, finding it has not
    frames = args.frames if args.start == "teacher" else 0.0
    objective = DistillationObjective(student, teacher, args.factor, int(source.labels.max()) + 1, frames)
    others = AugmentedSpeech(held, 2, (1.0,), args.seed)
    unseen = DistillationBatches(others, 1, 2 * args.batch_seconds, chunk, args.seed, True)[0]

    @torch.no_grad()
    def validate(trained: nn.Module) -> dict[str, float]:
        assert isinstance(trained, DistillationObjective)
        device = next(trained.parameters()).device
        own, other, *_ = trained.embeddings({key: value.to(device) for key, value in unseen.items()})
        cosines = F.cosine_similarity(own, other, dim=-1)
        return {"dev_distance": float(1 - cosines.mean()), "dev_lowest_cosine": float(cosines.min())}

    best = fit(objective, batches, validate, "dev_distance", args)
    weights.export(weights.load_network(best), out, teacher.sha256)
