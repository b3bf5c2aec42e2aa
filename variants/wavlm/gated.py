"""An encoder with a gate on every unit that pruning may remove."""

from typing import cast

import torch
from torch import Tensor, nn

from variants.pruning import HardConcrete

from .counting import count, parameters
from .encoder import Encoder, Gates

# share of gates closed at first
CLOSED = {"convs": 0.01, "heads": 0.01, "ffns": 0.5}


class GatedEncoder(nn.Module):
    """`encoder` with gates on convolution channels, attention heads and feed-forward units.

    In training the gates are drawn anew in each call, in evaluation they are fixed and partly 0.
    """

    def __init__(self, encoder: Encoder) -> None:
        super().__init__()
        self.encoder, sizes = encoder, encoder.sizes
        self.convs = _gates(list(sizes.convs), CLOSED["convs"])
        self.heads = _gates([len(layer) for layer in sizes.heads], CLOSED["heads"])
        self.ffns = _gates(list(sizes.ffns), CLOSED["ffns"])
        self.dense = parameters(sizes)

    def gates(self) -> Gates:
        """The gates' values now; no convolution is closed altogether."""
        convs, heads, ffns = ([cast(HardConcrete, gate) for gate in group] for group in self._groups())
        return Gates([_some(gate) for gate in convs], [gate() for gate in heads], [gate() for gate in ffns])

    def _groups(self) -> tuple[nn.ModuleList, ...]:
        return self.convs, self.heads, self.ffns

    def forward(self, waveforms: Tensor) -> list[Tensor]:
        states: list[Tensor] = self.encoder(waveforms, self.gates())
        return states

    def expected_parameters(self) -> Tensor:
        """Parameters that are expected to stay: differentiable."""
        open_ = ([cast(HardConcrete, gate).expected() for gate in group] for group in self._groups())
        return count(self.encoder.sizes, *open_)

    def sparsity(self) -> Tensor:
        """Share of the encoder's parameters that is expected to go: differentiable."""
        removed: Tensor = 1 - self.expected_parameters() / self.dense
        return removed


def _gates(units: list[int], closed: float) -> nn.ModuleList:
    return nn.ModuleList(HardConcrete(many, closed) for many in units)


def _some(gate: HardConcrete) -> Tensor:
    """The gate's values, with its likeliest unit open if all are closed: a convolution cannot be empty."""
    values = gate()
    return values if values.any() else torch.zeros_like(values).index_fill(0, gate.log_alpha.argmax(), 1)
