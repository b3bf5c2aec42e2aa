"""The trunk's step as an ONNX graph, which multiplies a few frames with prepared weights."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from variants.runtime.graph import Graph
from variants.runtime.onnx import Finish, as_it_is

from .trunk import FrameConv, FramePool, FrameTrunk, State

STEPS = 15  # frames of the example that is traced: about a quarter of a second


class GraphStep(nn.Module):
    """Called as the `FrameTrunk` itself: the first stage in torch, all others in one graph, the state in and out."""

    def __init__(self, trunk: FrameTrunk, finish: Finish = as_it_is) -> None:
        super().__init__()
        self.trunk = trunk
        example = feed_of(trunk, torch.rand(trunk.field + STEPS * trunk.hop), 1)
        self.graph = Graph(Flat(trunk, 1), example, finish, {"inputs": {0: "steps"}, "outputs": {0: "frames"}})

    def forward(self, samples: Tensor, state: State, rate: float) -> tuple[Tensor, State]:
        outputs, before = first_stage(self.trunk, samples, state, rate)
        state = State(state.contexts, self.trunk.rescaled(state, before))
        frames, *after = self.graph.run(feed(outputs, state, rate))
        return frames, self.joined(before, after)

    def joined(self, before: State, after: list[Tensor]) -> State:
        """The state of all stages, from that of the first and a graph's outputs for the others."""
        contexts = len(self.trunk.stages) - 1
        return State(before.contexts[:1] + after[:contexts], before.moments[:1] + after[contexts:])


class GraphTwice(nn.Module):
    """Called as the `FrameTrunk` itself, of states of which outputs wait: all stages in one graph.

    What goes on waiting does not go through it.
    """

    def __init__(self, trunk: FrameTrunk, finish: Finish = as_it_is) -> None:
        super().__init__()
        self.trunk = trunk
        example = feed_of(trunk, torch.rand(trunk.field + STEPS * trunk.hop), 1, 0)
        axes = {"inputs": {0: "samples"}, list(example)[-1]: {0: "waiting"}, "outputs": {1: "frames"}}
        self.graph = Graph(Flat(trunk, 0), example, finish, axes)

    def forward(self, samples: Tensor, state: State, rate: float) -> tuple[Tensor, State]:
        assert state.waiting is not None
        count, contexts = len(samples) // self.trunk.stages[0].hop, len(self.trunk.stages)
        now = State(state.contexts, state.moments, state.waiting[:count])
        frames, *after = self.graph.run(feed(samples, now, rate, 0))
        return frames, State(after[:contexts], after[contexts:-1], torch.cat([state.waiting[count:], after[-1]]))


def first_stage(trunk: FrameTrunk, samples: Tensor, state: State, rate: float) -> tuple[Tensor, State]:
    """Outputs and state of the first stage alone, out of all."""
    first = State(state.contexts[:1], state.moments[:1])
    found: tuple[Tensor, State] = trunk(samples, first, rate, slice(1))
    return found


class Flat(nn.Module):
    """The stages from the `first` on, with tensors only for inputs and outputs: contexts, moments, what waits."""

    def __init__(self, trunk: FrameTrunk, first: int) -> None:
        super().__init__()
        self.trunk, self.part = trunk, slice(first, None)
        stages = trunk.stages[self.part]
        self.contexts, self.moments = len(stages), sum(stage.norm is not None for stage in stages)

    def forward(self, inputs: Tensor, rate: Tensor, *state: Tensor) -> tuple[Tensor, ...]:
        moments, waiting = state[self.contexts :][: self.moments], state[self.contexts + self.moments :]
        given = State(list(state[: self.contexts]), list(moments), *waiting)
        outputs, after = self.trunk(inputs, given, rate, self.part)
        return (outputs, *after.contexts, *after.moments, *([] if after.waiting is None else [after.waiting]))


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


def feed(inputs: Tensor, state: State, rate: float, first: int = 1) -> dict[str, Tensor]:
    """A `Flat`'s inputs by name; state: of all stages."""
    tensors = [*state.contexts[first:], *state.moments[first:], *([] if state.waiting is None else [state.waiting])]
    return {"inputs": inputs, "rate": torch.tensor(rate), **{f"state{i}": tensor for i, tensor in enumerate(tensors)}}


def feed_of(trunk: FrameTrunk, waveform: Tensor, begun: int, delay: int | None = None) -> dict[str, Tensor]:
    """A feed as it comes up within a waveform (samples,) of which `begun` frames have been computed.

    Of what is behind the first stage; with a `delay` of all stages.
    """
    at = (begun - 1) * trunk.hop + trunk.field
    _, state = trunk.start(waveform[:at], delay=delay)
    new = trunk.frames_in(len(waveform)) - begun
    samples = waveform[at : at + new * trunk.hop, None]
    if delay is None:
        return feed(first_stage(trunk, samples, state, 0.5)[0], state, 0.5)
    return feed(samples, state, 0.5, 0)
