"""HardConcrete gates: a number in [0, 1] for each unit, exactly 0 or 1 most of the time, yet differentiable."""

import math

import torch
from torch import Tensor, nn

BETA, LOW, HIGH = 2 / 3, -0.1, 1.1  # temperature and stretch (Louizos et al., section 4)
SHARPNESS = 0.8  # of the gates at evaluation


class HardConcrete(nn.Module):
    """Gates (units,) to multiply the outputs of units with (Louizos et al., equations 10 to 13).

    units: channels, heads or feed-forward units. pruned: p, the share closed at first: log_alpha ~
    N(log((1-p)/p), 0.01).
    multiple: at evaluation the number of open gates is a multiple of it (fast kernels take channels in blocks).
    """

    def __init__(self, units: int, pruned: float = 0.01, multiple: int = 1) -> None:
        super().__init__()
        self.multiple = multiple
        self.log_alpha = nn.Parameter(torch.normal(math.log((1 - pruned) / pruned), 0.01, (units,)))

    def expected(self, offset: float = 0.0) -> Tensor:
        """Expected number of open gates, the L0 norm: sum of sigmoid(log_alpha - beta log(-low / high)) (equation 12).

        offset: that many would be open with `offset` added to each log_alpha.
        """
        return torch.sigmoid(self.log_alpha + offset - BETA * math.log(-LOW / HIGH)).sum()

    def sample(self) -> Tensor:
        """min(1, max(0, s (high - low) + low)), s = sigmoid((log u - log(1 - u) + log_alpha) / beta), u uniform."""
        noise = torch.empty_like(self.log_alpha).uniform_(1e-6, 1 - 1e-6).logit()
        soft = torch.sigmoid((noise + self.log_alpha) / BETA)
        return (soft * (HIGH - LOW) + LOW).clamp(0, 1)

    @torch.no_grad()
    def mask(self, offset: float = 0.0) -> Tensor:
        """Gates at evaluation: sigmoid(0.8 log_alpha / beta), the smallest round(units - expected(offset)) being 0."""
        soft = torch.sigmoid(SHARPNESS * self.log_alpha / BETA)
        units = len(soft)
        kept = min(round(float(self.expected(offset)) / self.multiple) * self.multiple, units)
        return soft.index_fill(0, soft.argsort(stable=True)[: units - kept], 0)

    def forward(self) -> Tensor:
        return self.sample() if self.training else self.mask()
