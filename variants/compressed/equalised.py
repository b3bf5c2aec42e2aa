"""Channels brought nearer to one another's size before a single range must hold them all in int8."""

import torch
from torch import nn

from variants.exact.pooling import ProductPool

from .calibration import calibration

CHUNKS, LEAST = 24, 1e-6  # of the calibration; of the largest channel: what is smaller is silence


@torch.no_grad()
def equalise(model: nn.Module) -> nn.Module:
    """Scale the channels between the layers of a folded TDNN in place; what it gives stays the same up to rounding.

    Each is divided by the square root of its largest value in the calibration, and the next convolution, or the
    pooling, multiplies by it: a leaky ReLU commutes with that (cross-layer equalisation, Nagel et al. 2019; the square
    root, which leaves half of the spread to the weights: SmoothQuant, Xiao et al. 2023). Other models stay as they are.
    """
    layers, pool = list(getattr(model, "tdnns", nn.ModuleList())), getattr(model, "stats_pool", None)
    pairs = list(zip(layers[::2], layers[1::2], strict=False))
    if not pairs or not isinstance(pool, ProductPool) or not all(_follows(*pair) for pair in pairs):
        return model
    waveforms = torch.from_numpy(calibration().spread(CHUNKS).waveforms)
    features = [model.get_submodule("sincnet")(waveform[None]) for waveform in waveforms]
    for i, (layer, activation) in enumerate(pairs):
        features = [activation(layer(feature)) for feature in features]
        size = torch.stack([feature[0].abs().amax(1) for feature in features]).amax(0)
        root = size.clamp(min=LEAST * float(size.max())).sqrt()
        root /= root.log().mean().exp()
        layer.weight /= root[:, None, None]
        layer.bias /= root
        features = [feature / root[:, None] for feature in features]
        if i + 1 < len(pairs):
            pairs[i + 1][0].weight *= root[:, None]
        else:
            pool.scale.mul_(root)
    return model


def _follows(layer: nn.Module, activation: nn.Module) -> bool:
    """Whether these commute with scales above zero, given what follows."""
    plain = isinstance(layer, nn.Conv1d) and layer.groups == 1 and layer.bias is not None
    return plain and isinstance(activation, nn.LeakyReLU | nn.ReLU)
