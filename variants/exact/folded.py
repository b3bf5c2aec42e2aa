"""All that is constant at inference, computed once: sinc filters frozen, BatchNorms folded into what follows them."""

from functools import singledispatch
from typing import Any

import torch
from torch import nn

from variants.errors import UnavailableError
from variants.registry import variant

from .pooling import ProductPool


def affine(norm: nn.BatchNorm1d) -> tuple[torch.Tensor, torch.Tensor]:
    """Scale and shift (features,) of a BatchNorm at inference, its epsilon included; float64."""
    mean, var = norm.running_mean, norm.running_var
    if mean is None or var is None:
        raise UnavailableError("a BatchNorm without running statistics cannot be folded")
    scale = norm.weight.double() / torch.sqrt(var.double() + norm.eps)
    return scale, norm.bias.double() - mean.double() * scale


def frozen_sinc(encoder: nn.Module) -> nn.Conv1d:
    """The sinc filterbank as a plain convolution; a convolution as it is."""
    if isinstance(encoder, nn.Conv1d):
        return encoder
    filterbank: Any = encoder.get_submodule("filterbank")  # asteroid ships no types
    filters = filterbank.filters().detach()
    convolution = nn.Conv1d(1, filters.shape[0], filters.shape[2], stride=filterbank.stride, bias=False)
    convolution.weight = nn.Parameter(filters.clone())
    return convolution


@torch.no_grad()
def fold_into_convolution(scale: torch.Tensor, shift: torch.Tensor, layer: nn.Conv1d) -> None:
    """Make `layer` do what it did behind x -> scale x + shift. It must not pad: padding is not shifted."""
    if any(layer.padding) or layer.bias is None:
        raise UnavailableError("only an unpadded convolution with a bias takes a folded BatchNorm")
    weight = layer.weight.double()
    layer.bias.copy_(layer.bias.double() + (weight * shift[None, :, None]).sum(dim=(1, 2)))
    layer.weight.copy_(weight * scale[None, :, None])


@variant("folded", title="folded", exact=True, default=False)
@variant("shared-folded", title="shared trunk, folded", parent="shared-trunk", exact=True)
@variant("distilled-folded", title="+ folding", parent="distilled", exact=True, tolerance=1.0, default=False)
@variant(
    "distilled-shared-folded",
    title="+ shared trunk, folding",
    parent="distilled-shared-trunk",
    exact=True,
    tolerance=1.0,
    default=False,
)
@singledispatch
def fold(model: nn.Module) -> nn.Module:
    """Freeze the sinc filters and fold every BatchNorm of the TDNN forward, the last one into the pooling.

    Each follows an activation and precedes an unpadded convolution or the pooling; as an affine map it moves forward
    whatever the activation is. In the pooling it acts on sums, not on frames, and exactly for any weights.
    """
    tdnns = getattr(model, "tdnns", None)
    if not isinstance(tdnns, nn.ModuleList):
        raise UnavailableError(f"folding needs an XVectorSincNet, not a {type(model).__name__}")
    filters = model.get_submodule("sincnet.conv1d")
    assert isinstance(filters, nn.ModuleList)
    filters[0] = frozen_sinc(filters[0])
    kept: list[nn.Module] = []
    pending: tuple[torch.Tensor, torch.Tensor] | None = None
    for layer in tdnns:
        if isinstance(layer, nn.BatchNorm1d):
            pending = affine(layer)
            continue
        if isinstance(layer, nn.Conv1d) and pending is not None:
            fold_into_convolution(*pending, layer)
            pending = None
        kept.append(layer)
    model.tdnns = nn.ModuleList(kept)
    if pending is not None:
        model.stats_pool = ProductPool(len(pending[0]), *pending)
    return model.eval()
