"""One-dimensional layers as two-dimensional ones of height 1, for which runtimes have blocked kernels."""

from collections.abc import Iterable

import torch
from torch import nn

from variants.errors import UnavailableError

from .folded import frozen_sinc


def lowered(layer: nn.Module) -> nn.Module:
    """`layer` for (batch, channels, 1, time) instead of (batch, channels, time); others than these are elementwise."""
    if isinstance(layer, nn.Conv1d):
        if isinstance(layer.padding, str) or layer.padding_mode != "zeros" or layer.groups != 1:
            raise UnavailableError("only an ungrouped convolution, padded by zeros, is lowered to two dimensions")
        result: nn.Module = nn.Conv2d(
            layer.in_channels,
            layer.out_channels,
            (1, layer.kernel_size[0]),
            (1, layer.stride[0]),
            (0, layer.padding[0]),
            dilation=(1, layer.dilation[0]),
            bias=layer.bias is not None,
        )
        state = {name: value.unsqueeze(2) if value.dim() == 3 else value for name, value in layer.state_dict().items()}
    elif isinstance(layer, nn.MaxPool1d):
        assert isinstance(layer.kernel_size, int) and isinstance(layer.stride, int)  # not a tuple of one
        return nn.MaxPool2d((1, layer.kernel_size), stride=(1, layer.stride))
    elif isinstance(layer, nn.InstanceNorm1d):
        result, state = nn.InstanceNorm2d(layer.num_features, layer.eps, affine=layer.affine), layer.state_dict()
    elif isinstance(layer, nn.BatchNorm1d):
        result, state = nn.BatchNorm2d(layer.num_features, layer.eps), layer.state_dict()
    else:
        return layer
    result.load_state_dict(state)
    return result.eval()


def sincnet_layers(sincnet: nn.Module) -> list[nn.Module]:
    """A SincNet's layers in order, (rows, 1, samples) -> (rows, 60, frames); its sinc filters frozen.

    The absolute value is written as a LeakyReLU of slope -1, which runtimes fuse into the convolution before it.
    """
    convolutions, pools, norms = (sincnet.get_submodule(name) for name in ("conv1d", "pool1d", "norm1d"))
    layers: list[nn.Module] = [sincnet.get_submodule("wav_norm1d")]
    for i, (convolution, pool, norm) in enumerate(
        zip(convolutions.children(), pools.children(), norms.children(), strict=True)
    ):
        layers.append(convolution if i else frozen_sinc(convolution))
        layers += [nn.LeakyReLU(-1.0)] if i == 0 else []
        layers += [pool, norm, nn.LeakyReLU()]
    return layers


def lowered_sequence(layers: Iterable[nn.Module]) -> nn.Sequential:
    """All `layers` in two dimensions, between views: (rows, channels, time) in, the same out."""
    return nn.Sequential(Raised(), *(lowered(layer) for layer in layers), nn.Flatten(1, 2)).eval()


class Raised(nn.Module):
    """(rows, channels, time) -> (rows, channels, 1, time)."""

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        return inputs.unsqueeze(2)
