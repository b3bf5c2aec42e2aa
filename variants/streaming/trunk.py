"""An x-vector's trunk frame by frame: each computed once, from new samples and what is kept of those before them.

Time comes first here, (steps, channels), so that a convolution of few steps is one matrix product.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import reduce
from math import prod

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from variants.errors import UnavailableError
from variants.exact.lowered import sincnet_layers

RATE = 16_000  # samples a second
Moments = Tensor  # (2, channels): mean and variance by which a norm normalises


@dataclass
class State:
    """What the next frame of a stream needs, by stage: normed inputs (context, channels), moments for its norm.

    waiting: outputs of the first stage (steps, channels), but for its norm's scale, of which frames are yet to be
    computed a second time; with them, contexts behind that stage are (2, context, channels): of new frames, and of
    those that come again.
    """

    contexts: list[Tensor] = field(default_factory=list)
    moments: list[Moments] = field(default_factory=list)
    waiting: Tensor | None = None


class FrameConv(nn.Module):
    """An unpadded, ungrouped convolution: (steps, inputs) -> (fewer steps, outputs)."""

    def __init__(self, layer: nn.Conv1d) -> None:
        super().__init__()
        if layer.padding != (0,) or layer.groups != 1 or (layer.stride != (1,) and layer.in_channels > 1):
            raise UnavailableError("streaming needs convolutions without padding, groups and stride behind the first")
        (self.taps,), (self.stride,), (self.dilation,) = layer.kernel_size, layer.stride, layer.dilation
        self.weight = nn.Parameter(layer.weight.detach().transpose(1, 2).flatten(1).contiguous(), requires_grad=False)
        self.bias = None if layer.bias is None else nn.Parameter(layer.bias.detach().clone(), requires_grad=False)
        self.field, self.hop = (self.taps - 1) * self.dilation + 1, self.stride

    def forward(self, inputs: Tensor) -> Tensor:
        if self.weight.shape[1] == self.taps and self.taps > 1:  # of the waveform
            if torch.onnx.is_in_onnx_export():  # a runtime's convolution is quicker, torch's is not
                filters, stride, dilation = self.weight[:, None, None], (1, self.stride), (1, self.dilation)
                return (
                    F.conv2d(inputs.t()[None, None], filters, self.bias, stride, 0, dilation).squeeze(2).squeeze(0).t()
                )
            windows = inputs[:, 0].unfold(0, self.field, self.stride)[:, :: self.dilation]
        elif self.taps > 1:
            taps = range(0, self.field, self.dilation)
            windows = torch.cat([inputs[..., tap : tap - self.field + 1 or None, :] for tap in taps], dim=-1)
        else:
            windows = inputs
        return F.linear(windows, self.weight, self.bias)


class FramePool(nn.Module):
    """The largest of each `hop` adjacent steps: (steps, channels) -> (steps // hop, channels)."""

    def __init__(self, layer: nn.MaxPool1d) -> None:
        super().__init__()
        size = layer.kernel_size
        if not isinstance(size, int) or size != layer.stride or layer.padding or layer.dilation != 1 or layer.ceil_mode:
            raise UnavailableError("streaming needs a plain pooling of adjacent outputs")
        self.field = self.hop = size

    def forward(self, inputs: Tensor) -> Tensor:
        adjacent = [inputs[..., i : i - self.hop + 1 or None : self.hop, :] for i in range(self.hop)]
        return reduce(torch.maximum, adjacent)


class Stage(nn.Module):
    """Layers whose outputs depend on `field` successive inputs each, `hop` further on from one output to the next.

    norm: what normalises the inputs, if anything does, and `activation` behind it.
    """

    def __init__(self, norm: nn.InstanceNorm1d | None, activation: nn.Module, layers: Sequence[nn.Module]) -> None:
        super().__init__()
        if norm is not None and (norm.track_running_stats or not norm.affine):
            raise UnavailableError("streaming needs instance norms with a scale and statistics of the chunk")
        self.norm, self.activation, self.layers = norm, activation, nn.Sequential(*layers)
        self.field = self.hop = 1
        for layer in layers:
            if isinstance(layer, FrameConv | FramePool):
                self.field, self.hop = self.field + (layer.field - 1) * self.hop, self.hop * layer.hop

    def normalised(self, inputs: Tensor, moments: Moments) -> Tensor:
        """Inputs through the norm, with these moments in place of the chunk's, and the activation behind it."""
        scale, shift = self.affine(moments)
        outputs: Tensor = self.activation(inputs * scale + shift)
        return outputs

    def affine(self, moments: Moments) -> tuple[Tensor, Tensor]:
        """Scale and shift (1, channels) of the norm by these moments."""
        assert self.norm is not None
        scale = self.norm.weight / torch.sqrt(moments[1:] + self.norm.eps)
        return scale, self.norm.bias - moments[:1] * scale


def stages(model: nn.Module) -> Iterator[Stage]:
    """The trunk of an XVectorSincNet whose BatchNorms are folded: a stage for each convolution of more than one tap."""
    tdnns = getattr(model, "tdnns", None)
    if not isinstance(tdnns, nn.ModuleList) or any(isinstance(layer, nn.BatchNorm1d) for layer in tdnns):
        raise UnavailableError(f"streaming needs a folded XVectorSincNet, not a {type(model).__name__}")
    norm: nn.InstanceNorm1d | None = None
    activation: nn.Module = nn.Identity()
    layers: list[nn.Module] = []
    for layer in (*sincnet_layers(model.get_submodule("sincnet")), *tdnns):
        if layers and (isinstance(layer, nn.InstanceNorm1d) or (isinstance(layer, nn.Conv1d) and _wide(layer))):
            yield Stage(norm, activation, layers)
            norm, activation, layers = None, nn.Identity(), []
        if isinstance(layer, nn.InstanceNorm1d):
            norm = layer
        elif isinstance(layer, nn.Conv1d):
            layers.append(FrameConv(layer))
        elif isinstance(layer, nn.MaxPool1d):
            layers.append(FramePool(layer))
        elif layers:
            layers.append(layer)
        else:
            activation = layer
    yield Stage(norm, activation, layers)


def _wide(layer: nn.Conv1d) -> bool:
    return layer.kernel_size[0] > 1


def moments_of(inputs: Tensor) -> Moments:
    """Of (steps, channels), as an instance norm takes them."""
    over = (0, 1) if inputs.shape[1] == 1 else (0,)  # the same, which a runtime is quicker at
    mean = inputs.mean(dim=over, keepdim=True)
    return torch.cat([mean, torch.square(inputs - mean).mean(dim=over, keepdim=True)])


def blended(known: Moments, found: Moments, rate: Tensor | float) -> Moments:
    """Moments of what the two describe, together, in the shares 1 - rate and rate."""
    change = found - known
    between = torch.square(change[:1]) * (rate * (1 - rate))
    return known + rate * change + F.pad(between, (0, 0, 1, 0))


class FrameTrunk(nn.Module):
    """The trunk in stages, without a state of its own: whoever calls keeps a `State` for each stream.

    hop: samples from frame to frame; field: samples that a frame depends on.
    """

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.stages: list[Stage] = list(stages(model))
        self.parts = nn.ModuleList(self.stages).requires_grad_(False)
        self.hop, self.field = prod(stage.hop for stage in self.stages), self.inputs_of(1)[0]

    def inputs_of(self, frames: int) -> list[int]:
        """How many inputs of each stage, and frames, so many frames need."""
        needed = [frames]
        for stage in reversed(self.stages):
            needed.insert(0, (needed[0] - 1) * stage.hop + stage.field)
        return needed

    def frames_in(self, samples: int) -> int:
        """How many frames so many samples give by themselves."""
        return max((samples - self.field) // self.hop + 1, 0)

    def start(self, waveform: Tensor, known: Sequence[Moments] = (), delay: int | None = None) -> tuple[Tensor, State]:
        """All frames (n, features) of a stream's first chunk (samples,), and the state for those that follow.

        The norms take the chunk's own statistics, as in the stock model, unless others are `known`. delay: by how many
        frames each is to be computed a second time after the first. RuntimeError for less samples than a frame's.
        """
        outputs, state, given = waveform[:, None], State(), iter(known)
        frames = self.frames_in(len(waveform))
        if frames < 1:
            raise RuntimeError(f"a chunk needs {self.field} samples, not {len(waveform)}")
        needed, again = self.inputs_of(frames)[1:], self.inputs_of(frames - (delay or 0))[1:]
        for i, stage in enumerate(self.stages):
            if stage.norm is not None:
                state.moments.append(next(given) if known else moments_of(outputs))
                outputs = stage.normalised(outputs, state.moments[-1])
            ends = (needed[i],) if delay is None or i == 0 else (needed[i], again[i])
            lanes = [outputs[end * stage.hop : end * stage.hop + stage.field - stage.hop].clone() for end in ends]
            state.contexts.append(lanes[0] if len(lanes) == 1 else torch.stack(lanes))
            outputs = stage.layers(outputs)
            if delay is not None and i == 0:
                state.waiting = outputs[again[0] : needed[0]] * self.level(state)
        return outputs, state

    def forward(self, inputs: Tensor, state: State, rate: Tensor | float) -> tuple[Tensor, State]:
        """The next frames (n, features) of n hops of samples (n hop, 1), and the state behind them.

        rate: share of the new inputs in the statistics by which they are normalised. Where outputs wait, the second of
        two lanes (2, n, features) are frames that come again, with the statistics of the new ones.
        """
        outputs, after, given = inputs, State(), iter(state.moments)
        for stage, context in zip(self.stages, state.contexts, strict=True):
            first = stage is self.stages[0]
            if stage.norm is not None:
                known, new = next(given), outputs if outputs.dim() == 2 else outputs[0]
                after.moments.append(blended(known, moments_of(new), rate))
                if first:
                    given = iter(self.rescaled(state, after)[1:])
                outputs = stage.normalised(outputs, after.moments[-1])
            outputs = torch.cat([context, outputs], dim=-2)
            after.contexts.append(outputs[..., stage.hop - stage.field :, :] if stage.field > stage.hop else context)
            outputs = stage.layers(outputs)
            if first and state.waiting is not None:
                waiting, count = torch.cat([state.waiting, outputs * self.level(after)]), outputs.shape[0]
                outputs = torch.stack([outputs, waiting[:count] / self.level(after)])
                after.waiting = waiting[count:]
        return outputs, after

    def level(self, state: State) -> Tensor | float:
        """What the first norm divides the waveform by, and so the outputs behind it: filters let no mean through."""
        norm = self.stages[0].norm
        return 1.0 if norm is None else torch.sqrt(state.moments[0][1:] + norm.eps)

    def rescaled(self, state: State, after: State) -> list[Moments]:
        """All moments of a state as if the waveform had been normalised by those `after` it."""
        moments, by = list(state.moments), self.level(state) / self.level(after)
        if isinstance(by, Tensor) and len(moments) > 1:
            moments[1] = moments[1] * torch.cat([by, torch.square(by)])
        return moments
