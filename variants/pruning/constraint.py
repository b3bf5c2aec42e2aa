"""A model that must reach a size while it learns: augmented Lagrangian, its schedule and its optimiser's groups."""

from typing import Any

import torch
from torch import Tensor, nn

from .gates import HardConcrete

Groups = list[dict[str, Any]]  # as torch types those of an optimiser


class Constraint(nn.Module):
    """l1 (s - t) + l2 (s - t)^2 for sparsity s and target t (Wang, Wohlwend and Lei, EMNLP 2020, section 3.2).

    The multipliers ascend while all else descends: see `parameter_groups`.
    """

    def __init__(self) -> None:
        super().__init__()
        self.l1, self.l2 = nn.Parameter(torch.zeros(())), nn.Parameter(torch.zeros(()))

    def forward(self, sparsity: Tensor, target: float) -> Tensor:
        gap = sparsity - target
        return self.l1 * gap + self.l2 * gap.square()


def scheduled(progress: float, target: float, warm: float) -> float:
    """The target at `progress` (0 to 1): it rises linearly from 0 and is reached at `warm`."""
    return target * min(progress / warm, 1.0)


def parameter_groups(objective: nn.Module, weights: float, gates: float = 2e-2, multipliers: float = 2e-2) -> Groups:
    """Groups for AdamW, without decay: learning rates of weights, of gates, and of multipliers, which ascend.

    The defaults are the second paper's. Parameters that need no gradient are left out.
    """
    found: dict[str, list[nn.Parameter]] = {"weights": [], "gates": [], "multipliers": []}
    for module in objective.modules():
        kind = {HardConcrete: "gates", Constraint: "multipliers"}.get(type(module), "weights")
        found[kind] += [parameter for parameter in module.parameters(recurse=False) if parameter.requires_grad]
    rates = {"weights": weights, "gates": gates, "multipliers": multipliers}
    return [
        {"params": parameters, "lr": rates[kind], "weight_decay": 0.0, "maximize": kind == "multipliers"}
        for kind, parameters in found.items()
        if parameters
    ]
