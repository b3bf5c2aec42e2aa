"""What a streaming segmentation makes graphs of: the SincNet of a whole chunk, and a step from samples to scores."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .recurrence import Recurrence
from .trunk import FrameConv, FramePool, FrameTrunk, Moments, Stage, State


class Front(nn.Module):
    """A SincNet's first stage in two steps, of which the first does not depend on the norm's statistics."""

    def __init__(self, stage: Stage) -> None:
        super().__init__()
        convolution, _, pool = stage.layers
        assert isinstance(convolution, FrameConv) and isinstance(pool, FramePool) and stage.norm is not None
        self.norm, self.convolution, self.pool = stage.norm, convolution, pool
        self.gain = convolution.weight.sum(dim=1)  # what each filter makes of a constant

    def raw(self, samples: Tensor) -> Tensor:
        """Highest of each pool's outputs of samples as they are, and of these negated, (2, steps, filters)."""
        outputs = self.convolution(samples[:, None])
        return torch.stack([self.pool(outputs), self.pool(-outputs)])

    def normed(self, raw: Tensor, moments: Moments) -> Tensor:
        """The stage's outputs (steps, filters), had its input these moments (2, 1): of an affine map's, the largest."""
        scale = self.norm.weight / torch.sqrt(moments[1] + self.norm.eps)
        shift = self.gain * (self.norm.bias - moments[0] * scale) * scale.sign()  # where it turns all over
        scale = scale.abs()
        return torch.maximum(torch.addcmul(shift, raw[0], scale), torch.addcmul(-shift, raw[1], scale))


class Whole(nn.Module):
    """All that a chunk gives behind the first stage, (steps, features), by its own statistics; frames and the state.

    steps: no more than its frames need. Inside, channels come first, as a runtime's convolutions of many steps like it.
    """

    def __init__(self, trunk: FrameTrunk) -> None:
        super().__init__()
        self.trunk = trunk

    def forward(self, inputs: Tensor) -> tuple[Tensor, ...]:
        outputs, contexts, moments = inputs.t()[None], [], []
        for stage in self.trunk.stages[1:]:
            if stage.norm is not None:
                mean = outputs.mean(dim=2, keepdim=True)
                moments.append(torch.cat([mean, torch.square(outputs - mean).mean(dim=2, keepdim=True)], dim=2)[0].t())
                scale, shift = (part.t() for part in stage.affine(moments[-1]))
                outputs = stage.activation(outputs * scale + shift)
            contexts.append(outputs[0, :, outputs.shape[2] - (stage.field - stage.hop) :].t())
            for layer in stage.layers:
                if isinstance(layer, FrameConv):
                    kernels = layer.weight.unflatten(1, (layer.taps, -1)).transpose(1, 2)
                    outputs = F.conv1d(outputs, kernels, layer.bias, layer.stride, 0, layer.dilation)
                else:
                    outputs = F.max_pool1d(outputs, layer.hop) if isinstance(layer, FramePool) else layer(outputs)
        return (outputs[0].t(), *contexts, *moments)


class Onward(nn.Module):
    """A step by statistics that stay, from samples to scores, with tensors only for inputs and outputs.

    Called with what `onward_feed` names: scores of the last frames, and of those that are new; `Front.raw` of the
    samples; the features, hidden state and contexts for the next call.
    """

    def __init__(self, trunk: FrameTrunk, front: Front, recurrence: Recurrence) -> None:
        super().__init__()
        self.stages, self.front, self.recurrence = nn.ModuleList(trunk.stages[1:]), front, recurrence
        self.norms = sum(stage.norm is not None for stage in trunk.stages)

    def forward(self, samples: Tensor, features: Tensor, hidden: Tensor, *state: Tensor) -> tuple[Tensor, ...]:
        moments, contexts, after = iter(state), iter(state[self.norms :]), []
        raw = self.front.raw(samples)
        outputs = self.front.normed(raw, next(moments))
        for stage in self.stages:
            assert isinstance(stage, Stage)
            if stage.norm is not None:
                outputs = stage.normalised(outputs, next(moments))
            if stage.field > stage.hop:
                outputs = torch.cat([next(contexts), outputs])
                after.append(outputs[stage.hop - stage.field :])
            outputs = stage.layers(outputs)
        heard, again = torch.cat([features, outputs])[:, None], features.shape[0]
        scores, hidden = self.recurrence(heard[:-again], heard[-again:], hidden)
        return scores[:, 0], raw, heard[-again:, 0], hidden, *after


def onward_feed(
    trunk: FrameTrunk, samples: Tensor, features: Tensor, hidden: Tensor, state: State
) -> dict[str, Tensor]:
    """An `Onward`'s inputs by name.

    samples: (n,) of which each output of the filters has all it needs. features: (m, features) of the last frames,
    hidden: the LSTMs' state at the first of them. Moments of all norms, contexts of the stages that have some.
    """
    wide = [c for c, stage in zip(state.contexts, trunk.stages, strict=True) if stage.field > stage.hop][1:]
    tensors = {f"state{i}": tensor for i, tensor in enumerate([*state.moments, *wide])}
    return {"samples": samples, "features": features, "hidden": hidden, **tensors}
