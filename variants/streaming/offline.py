"""A whole recording through the trunk at once, its norms' statistics mixed from blocks of time as a stream would."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise

import numpy as np
import torch
from torch import Tensor

from variants.arrays import Doubles

from .trunk import RATE, FrameTrunk, moments_of

# The weight of what was heard up to so many seconds before, 0 for what is yet to come: an integral over lags.
Kind = Callable[[Doubles], Doubles]


def exponential(seconds: float) -> Kind:
    """What is so many seconds old by 1/e: how `FrameTrunk` itself goes on."""
    return lambda lags: 1 - np.exp(-np.maximum(lags, 0) / seconds)


def shares(kind: Kind, ends: Doubles) -> Doubles:
    """Weights (blocks, blocks) of every block's moments in those that each takes; ends: of blocks, in seconds.

    The first block is taken for all that was before it, too.
    """
    lags = ends[:, None] - np.concatenate([[-1e6], ends[:-1]])
    found = kind(lags) - kind(ends[:, None] - ends[None])
    return np.asarray(found / found.sum(axis=1, keepdims=True))


def mixed(moments: Tensor, weights: Doubles) -> Tensor:
    """Moments (blocks, 2, channels) of mixtures of blocks, by their weights (blocks, blocks)."""
    means, variances = moments.double().unbind(dim=1)
    by = torch.from_numpy(weights).to(means.device)
    mean, square = by @ means, by @ (variances + means.square())
    return torch.stack([mean, square - mean.square()], dim=1).float()


def frames_by(trunk: FrameTrunk, waveform: Tensor, counts: Sequence[int], kind: Kind) -> Tensor:
    """All frames (n, features) of a recording (samples,); counts: of the frames that are known after each chunk."""
    bounds = [[0, *(needed[i] for needed in map(trunk.inputs_of, counts))] for i in range(len(trunk.stages))]
    weights = shares(kind, np.array(bounds[0][1:]) / RATE)
    outputs = waveform[:, None]
    for stage, ends in zip(trunk.stages, bounds, strict=True):
        blocks = [outputs[first:end] for first, end in pairwise(ends)]
        if stage.norm is not None:
            taken = mixed(torch.stack([moments_of(block) for block in blocks]), weights)
            if stage is trunk.stages[0]:
                taken = taken[:1].expand_as(taken)  # one level for all: the norm behind the filters undoes it
            blocks = [stage.normalised(block, moments) for block, moments in zip(blocks, taken, strict=True)]
        outputs = stage.layers(torch.cat(blocks))
    return outputs
