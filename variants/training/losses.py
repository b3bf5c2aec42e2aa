"""Training objectives, PyTorch only."""

from __future__ import annotations

from itertools import permutations

import torch
import torch.nn.functional as F
from torch import Tensor


def arcface_logits(cosines: Tensor, labels: Tensor, margin: float, scale: float) -> Tensor:
    """`scale` * cos(angle), with `margin` radians added to the angle of the true class.

    cosines (batch, classes) in [-1, 1], labels (batch,). Where the angle with its margin would pass pi, the
    cosine goes on falling linearly, so that a larger angle never costs less. Deng et al., CVPR 2019.
    """
    target = cosines.gather(1, labels[:, None]).clamp(-1 + 1e-6, 1 - 1e-6)
    limit = torch.cos(torch.tensor(torch.pi - margin))
    shifted = torch.where(target > limit, torch.cos(torch.acos(target) + margin), target - 1 - limit)
    return scale * cosines.scatter(1, labels[:, None], shifted.to(cosines.dtype))


def contrastive_loss(cosines: Tensor, labels: Tensor, scale: float) -> Tensor:
    """Supervised contrastive loss: each sample should find those of its own class among all others.

    cosines (batch, batch) of all pairs, labels (batch,); samples alone in their class count as others only; 0 if
    all are.
    Khosla et al., NeurIPS 2020.
    """
    itself = torch.eye(len(labels), dtype=torch.bool, device=labels.device)
    same = (labels[:, None] == labels) & ~itself
    found = (scale * cosines).masked_fill(itself, -1e9).log_softmax(dim=1)
    paired = same.any(dim=1)
    return -((found * same).sum(dim=1)[paired] / same.sum(dim=1)[paired]).sum() / paired.sum().clamp_min(1)


def relational_loss(embeddings: Tensor, targets: Tensor) -> Tensor:
    """Mean squared difference of all cosines within a batch of unit vectors (batch, dim). Park et al., CVPR 2019."""
    return torch.square(embeddings @ embeddings.T - targets @ targets.T).mean()


def permutation_invariant_bce(logits: Tensor, targets: Tensor, weights: Tensor | None = None) -> Tensor:
    """Binary cross-entropy under the best assignment of targets to outputs, averaged over the batch.

    logits and targets (batch, frames, speakers), weights (batch,) or None.
    """
    speakers = targets.shape[-1]
    pairs = torch.stack(
        [
            F.binary_cross_entropy_with_logits(
                logits, targets[..., [speaker]].expand_as(logits), reduction="none"
            ).mean(dim=1)
            for speaker in range(speakers)
        ],
        dim=-1,
    )  # (batch, outputs, targets)
    orders = torch.tensor(list(permutations(range(speakers))), device=logits.device)
    costs = pairs[:, torch.arange(speakers, device=logits.device), orders].mean(dim=-1)
    best = costs.min(dim=1).values
    return best.mean() if weights is None else (best * weights).sum() / weights.sum()
