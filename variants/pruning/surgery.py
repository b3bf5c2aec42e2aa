"""Taking units out of layers: what is left is a plain, smaller layer."""

from dataclasses import dataclass
from typing import TypeVar

import torch
from torch import Tensor, nn

Layer = TypeVar("Layer", bound=nn.Module)


@dataclass(frozen=True)
class Kept:
    """Indices of the units that stay, and what the gate of each multiplies its output by."""

    index: Tensor
    scale: Tensor

    def __len__(self) -> int:
        return len(self.index)

    def repeated(self, times: int, units: int) -> "Kept":
        """The same of `times` successive blocks of `units` units each."""
        index = torch.cat([self.index + block * units for block in range(times)])
        return Kept(index, self.scale.repeat(times))


def keep(mask: Tensor, least: int = 1) -> Kept:
    """What a mask (units,) keeps: all that is not 0, and at least `least` units, whose scale may be 0.

    Runtimes take no empty tensors; a unit of scale 0 adds exactly nothing.
    """
    index = mask.nonzero()[:, 0]
    if len(index) < least:
        index = mask.argsort(descending=True, stable=True)[:least].sort().values
    return Kept(index, mask[index])


@torch.no_grad()
def narrow(layer: nn.Module, outputs: Kept | None = None, inputs: Kept | None = None) -> nn.Module:
    """`layer` with only these outputs and inputs, each input multiplied by its scale; a new module.

    Takes Linear, Conv1d without groups (of which `inputs` are channels) and norms over channels or features, whose
    `outputs` are their inputs, too. Raises TypeError for other layers.
    """
    rows = slice(None) if outputs is None else outputs.index
    if isinstance(layer, nn.Linear | nn.Conv1d):
        weight = layer.weight[rows]
        if inputs is not None:
            scale = inputs.scale.to(weight)
            weight = weight[:, inputs.index] * (scale[:, None] if weight.dim() == 3 else scale)
        if isinstance(layer, nn.Linear):
            result: nn.Module = nn.Linear(weight.shape[1], weight.shape[0], layer.bias is not None)
        elif layer.groups == 1:
            geometry = {name: getattr(layer, name) for name in ("kernel_size", "stride", "padding", "dilation")}
            result = nn.Conv1d(weight.shape[1], weight.shape[0], bias=layer.bias is not None, **geometry)
        else:
            raise TypeError("a grouped convolution cannot be narrowed")
        state = {"weight": weight} | ({} if layer.bias is None else {"bias": layer.bias[rows]})
    elif isinstance(layer, nn.BatchNorm1d | nn.InstanceNorm1d | nn.LayerNorm | nn.GroupNorm):
        state = {name: value[rows] if value.dim() else value for name, value in layer.state_dict().items()}
        units = len(state["weight"])
        if isinstance(layer, nn.LayerNorm):
            result = nn.LayerNorm(units, layer.eps)
        elif isinstance(layer, nn.GroupNorm):  # one group per channel, as an instance norm
            result = nn.GroupNorm(units, units, layer.eps)
        else:
            result = type(layer)(units, layer.eps, affine=layer.affine)
    else:
        raise TypeError(f"a {type(layer).__name__} cannot be narrowed")
    result.to(layer.weight).load_state_dict(state)
    return result.train(layer.training).requires_grad_(layer.weight.requires_grad)
