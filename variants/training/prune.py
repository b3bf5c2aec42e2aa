"""Recipe of the channel-pruned embeddings: fine-tune, prune while the unpruned model teaches, teach on.

Han et al., "Fine-tune Before Structured Pruning" (Interspeech 2025), on the first paper's model; `--order prune-first`
puts the fine-tuning last instead.
"""

from __future__ import annotations

import argparse
import copy
import json
import math
import sys
from collections.abc import Callable
from pathlib import Path
from typing import cast

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.data import Dataset

from variants import pruning
from variants.compressed.channel_pruned import CHANNELS, channels_of, remove_channels, trunk_macs
from variants.exact.folded import frozen_sinc
from variants.speech.data import DataError, Speech

from . import evaluate, weights
from .architecture import XVectorSincNet
from .distill import DistillationBatches, prepared
from .embedding import AugmentedSpeech, EmbeddingBatches, EmbeddingObjective, embed_windows, features_of
from .features import FeatureStore, freeze_front
from .student import Teacher

BLOCK = 16  # fast kernels take channels by the 16
WARM = 0.5  # of the steps, in which the target rises
CLOSED = 0.1  # share of the gates at first; the paper's 0.01 takes longer to leave


class PruningObjective(nn.Module):
    """Loss of a batch: how far the embeddings are from the teacher's, and the constraint on the trunk's MACs.

    share: of the multiply-adds to remove; None: no gates, the network learns as it is. rates: of gates and multipliers.
    The teacher never changes; BatchNorms keep their statistics, in the network too, so that gated equals pruned.
    """

    def __init__(
        self,
        network: XVectorSincNet,
        teacher: XVectorSincNet,
        share: float | None = None,
        rates: tuple[float, float] = (2e-2, 2e-2),
    ) -> None:
        super().__init__()
        self.network, self.teacher, self.share, self.rates = network, teacher, share, rates
        counts = CHANNELS if share else ()
        self.gates = nn.ModuleList(pruning.HardConcrete(count, CLOSED, BLOCK) for count in counts)
        self.constraint, self.clip = pruning.Constraint(), pruning.PercentileClip()

    def train(self, mode: bool = True) -> PruningObjective:
        super().train(mode)
        self.network.eval()
        self.teacher.eval()
        return self

    def parameter_groups(self, lr: float) -> pruning.Groups:
        return pruning.parameter_groups(self, lr, *self.rates)

    def embeddings(self, batch: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
        """Of the network under its gates and of the teacher: (batch, speakers, dimension) each."""
        signal, windows = batch["signal"], batch["weights"]
        with torch.no_grad():
            wanted = embed_windows(self.teacher, features_of(self.teacher, signal), windows)
        gates = [gate() for gate in self.gates]
        return embed_windows(self.network, features_of(self.network, signal), windows, gates), wanted

    def sparsity(self) -> Tensor:
        """Expected share of the trunk's multiply-adds that the gates remove."""
        expected = [cast(pruning.HardConcrete, gate).expected() for gate in self.gates]
        removed: Tensor = 1 - trunk_macs(expected) / trunk_macs(CHANNELS)
        return removed

    def forward(self, batch: dict[str, Tensor], progress: float) -> tuple[Tensor, dict[str, Tensor]]:
        own, wanted = self.embeddings(batch)
        loss = pruning.matching_loss([own], [wanted])
        metrics = {"distance": 1 - F.cosine_similarity(own, wanted, dim=-1).mean()}
        if self.share:
            sparsity = self.sparsity()
            loss = loss + self.constraint(sparsity, pruning.scheduled(progress, self.share, WARM))
            metrics["sparsity"] = sparsity
        return loss, metrics


def masks_for(share: float, make: Callable[[float], list[Tensor]]) -> list[Tensor]:
    """The masks of `make(offset)` with which the trunk has lost `share` of its MACs, or as little more as can be.

    make: the lower the offset, the more of the masks is 0.
    """

    def removed(masks: list[Tensor]) -> float:
        return 1 - trunk_macs([float((mask > 0).sum()) for mask in masks]) / trunk_macs(CHANNELS)

    low, high = -20.0, 20.0
    for _ in range(40):
        middle = (low + high) / 2
        low, high = (middle, high) if removed(make(middle)) >= share else (low, middle)
    return make(low)


def norm_masks(network: XVectorSincNet, share: float) -> list[Tensor]:
    """Masks without learning: of every layer the same part of its channels goes, those of the least L2 norm."""
    convolutions = [frozen_sinc(network.sincnet.conv1d[0]), *network.sincnet.conv1d[1:], *network.tdnns[::3]]
    norms = [layer.get_parameter("weight").detach().flatten(1).norm(dim=1) for layer in convolutions]

    def make(offset: float) -> list[Tensor]:
        part = 1 / (1 + math.exp(-offset))
        counts = [max(round(part * len(norm) / BLOCK) * BLOCK, BLOCK) for norm in norms]
        return [
            torch.zeros_like(norm).index_fill(0, norm.topk(min(count, len(norm))).indices, 1)
            for norm, count in zip(norms, counts, strict=True)
        ]

    return masks_for(share, make)


class Recipe:
    """The phases, each in a folder of its own under `args.out`; a finished one is not run again with `--resume`."""

    def __init__(self, teacher: Teacher, speech: Speech, args: argparse.Namespace) -> None:
        self.args, seed = args, args.data_seed
        self.source, self.batches, self.held = prepared(teacher, speech, args, seed)
        unseen = DistillationBatches(AugmentedSpeech(self.held, 2, (1.0,), seed), 1, 120, 5.0, seed, True)
        self.unseen = unseen[0]

    def phase(self, name: str, steps: int, lr: float, objective: nn.Module, train: Dataset[dict[str, Tensor]]) -> Path:
        """Fit in the phase's folder; returns its last checkpoint."""
        from .fit import fit

        args = argparse.Namespace(**{**vars(self.args), "out": self.args.out / name, "steps": steps, "lr": lr})
        args.resume = self.args.resume and (args.out / "last.ckpt").exists()
        if isinstance(objective, PruningObjective):
            # A function: of a bound method, weight averaging would copy the recipe, all stored features included.
            fit(objective, train, lambda trained: self.distance(trained), "dev_distance", args)
        else:
            fit(objective, train, evaluate.held_out_eer(self.held, self.args.data_seed), "dev_eer", args)
        return Path(args.out, "last.ckpt")

    @torch.no_grad()
    def distance(self, trained: nn.Module) -> dict[str, float]:
        """One minus the mean cosine to the teacher on unseen speakers, and the lowest cosine."""
        assert isinstance(trained, PruningObjective)
        device = next(trained.parameters()).device
        cosines = F.cosine_similarity(*trained.embeddings({k: v.to(device) for k, v in self.unseen.items()}), dim=-1)
        return {"dev_distance": float(1 - cosines.mean()), "dev_lowest_cosine": float(cosines.min())}

    def fine_tune(self, network: XVectorSincNet) -> XVectorSincNet:
        """By the embedding's own task: ArcFace and contrastive loss over speakers and their speeds."""
        args = self.args
        if not args.fine_tune_steps:
            return network
        torch.manual_seed(args.seed)
        objective = EmbeddingObjective(trainable(network), int(self.source.labels.max()) + 1)
        objective.classes.data = centroids(network, self.batches)
        train = EmbeddingBatches(
            self.batches, args.fine_tune_steps, args.batch_seconds, (min(2.0, args.crop), args.crop), args.seed
        )
        tuned = weights.load_network(self.phase("fine-tune", args.fine_tune_steps, args.lr, objective, train))
        assert isinstance(tuned, XVectorSincNet)
        setattr(tuned, "filters", getattr(network, "filters", None))  # noqa: B010 - as in `remove_channels`
        return tuned

    def prune(self, network: XVectorSincNet) -> XVectorSincNet:
        """Gates and weights together, `network` as it comes being the teacher; then the closed channels go."""
        args = self.args
        if args.norm:
            return remove_channels(copy.deepcopy(network), norm_masks(network, args.share))
        torch.manual_seed(args.seed)
        rates = args.gate_lr, args.gate_lr
        objective = PruningObjective(trainable(copy.deepcopy(network)), frozen(network), args.share, rates)
        train = DistillationBatches(self.batches, args.steps, args.batch_seconds, args.crop, args.seed, True)
        state = torch.load(self.phase("prune", args.steps, args.lr, objective, train), weights_only=True)["state_dict"]
        own = {key.removeprefix("objective."): value for key, value in state.items()}
        objective.load_state_dict(own)
        print(f"learned to remove {100 * objective.sparsity():.1f} % of the trunk's multiply-adds", file=sys.stderr)
        gates = [gate for gate in objective.gates if isinstance(gate, pruning.HardConcrete)]
        masks = masks_for(args.share, lambda offset: [gate.mask(offset) for gate in gates])
        return remove_channels(objective.network.eval(), masks)

    def distil(self, pruned: XVectorSincNet, teacher: XVectorSincNet) -> XVectorSincNet:
        """On without gates, by the same loss; the checkpoint nearest to the teacher on unseen speakers."""
        args = self.args
        if not args.distil_steps:
            return pruned
        torch.manual_seed(args.seed)
        objective = PruningObjective(trainable(pruned), frozen(teacher))
        train = DistillationBatches(self.batches, args.distil_steps, args.batch_seconds, args.crop, args.seed + 1, True)
        last = self.phase("distil", args.distil_steps, args.distil_lr, objective, train)
        taught = weights.load_network(last.with_name("best.ckpt"))
        assert isinstance(taught, XVectorSincNet)
        setattr(taught, "filters", getattr(pruned, "filters"))  # noqa: B009, B010 - as in `remove_channels`
        return taught


@torch.no_grad()
def centroids(network: XVectorSincNet, source: FeatureStore | AugmentedSpeech, seconds: float = 4.0) -> Tensor:
    """Where a trained network has each class: its standardised embedding of one stretch, (classes, dimension).

    Random class vectors would first undo what the network knows.
    """
    rng, items = np.random.default_rng(0), np.unique(np.asarray(source.labels), return_index=True)[1]
    crops = (source.crop(rng, int(item), int(seconds * source.rate)) for item in items)
    everywhere = torch.ones(1, 1, 1)
    found = torch.cat(
        [
            embed_windows(network, features_of(network, torch.from_numpy(crop.T[None].copy())), everywhere)[0]
            for crop in crops
        ]
    )
    return (found - found.mean(dim=0)) / found.std(dim=0)


def trainable(network: XVectorSincNet) -> XVectorSincNet:
    """All but what the stored features have gone through."""
    freeze_front(network.requires_grad_(True))
    return network


def frozen(network: XVectorSincNet) -> XVectorSincNet:
    """A copy that never changes."""
    return copy.deepcopy(network).eval().requires_grad_(False)


def train(teacher: Teacher, speech: Speech, args: argparse.Namespace) -> None:
    """Run the phases in their order; `pruned.safetensors` in `args.out` is the result."""
    if not 0 < args.share < 1:
        raise DataError("--share is a share of the multiply-adds, between 0 and 1")
    if list(args.out.glob("*/last.ckpt")) and not args.resume:
        raise DataError(f"{args.out} holds a run; add --resume to go on from it, or choose another --out")
    recipe = Recipe(teacher, speech, args)
    whole = copy.deepcopy(teacher.network)
    if args.order == "fine-tune-first":
        whole = recipe.fine_tune(whole)
        pruned = recipe.distil(recipe.prune(whole), teacher.network if args.towards == "original" else whole)
    else:
        pruned = recipe.fine_tune(recipe.distil(recipe.prune(whole), whole))
    channels = channels_of(pruned)
    removed = 1 - trunk_macs(channels) / trunk_macs(CHANNELS)
    args.out.mkdir(parents=True, exist_ok=True)
    notes = {"architecture": "variants.compressed.channel_pruned", "teacher_sha256": json.dumps(teacher.sha256)}
    pruning.write(args.out / "pruned.safetensors", pruned, channels, notes, coarse=["embedding.weight"])
    print(f"{args.out / 'pruned.safetensors'}: channels {channels}, {100 * removed:.1f} % of the multiply-adds removed")
