"""How far a student is from its teacher, while it is pruned and after."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor


def matching_loss(student: Sequence[Tensor], teacher: Sequence[Tensor]) -> Tensor:
    """mean |h_s - h_t| - mean cos(h_s, h_t) (second paper), the mean over pairs of (..., dimension) outputs."""
    distances = [
        F.l1_loss(own, wanted) - F.cosine_similarity(own, wanted, dim=-1).mean()
        for own, wanted in zip(student, teacher, strict=True)
    ]
    return torch.stack(distances).mean()
