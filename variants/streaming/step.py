"""The trunk's step as an ONNX graph, which multiplies a few frames with prepared weights."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from variants.runtime.graph import Graph
from variants.runtime.onnx import Finish, as_it_is

from .trunk import FrameTrunk, State

STEPS = 15  # frames of the example that is traced: about a quarter of a second


class GraphStep(nn.Module):
    """Called as the `FrameTrunk` itself, of states of which outputs wait: all stages in one graph.

    What goes on waiting does not go through it.
    """

    def __init__(self, trunk: FrameTrunk, finish: Finish = as_it_is) -> None:
        super().__init__()
        self.trunk = trunk
        example = feed_of(trunk, torch.rand(trunk.field + STEPS * trunk.hop), 1, 0)
        axes = {"inputs": {0: "samples"}, list(example)[-1]: {0: "waiting"}, "outputs": {1: "frames"}}
        self.graph = Graph(Flat(trunk), example, finish, axes)

    def forward(self, samples: Tensor, state: State, rate: float) -> tuple[Tensor, State]:
        assert state.waiting is not None
        count, contexts = len(samples) // self.trunk.stages[0].hop, len(self.trunk.stages)
        now = State(state.contexts, state.moments, state.waiting[:count])
        frames, *after = self.graph.run(feed(samples, now, rate))
        return frames, State(after[:contexts], after[contexts:-1], torch.cat([state.waiting[count:], after[-1]]))


class Flat(nn.Module):
    """The trunk with tensors only for inputs and outputs: contexts, moments, what waits."""

    def __init__(self, trunk: FrameTrunk) -> None:
        super().__init__()
        self.trunk, self.contexts = trunk, len(trunk.stages)

    def forward(self, inputs: Tensor, rate: Tensor, *state: Tensor) -> tuple[Tensor, ...]:
        given = State(list(state[: self.contexts]), list(state[self.contexts : -1]), state[-1])
        outputs, after = self.trunk(inputs, given, rate)
        return (outputs, *after.contexts, *after.moments, after.waiting)


def feed(inputs: Tensor, state: State, rate: float) -> dict[str, Tensor]:
    """A `Flat`'s inputs by name."""
    assert state.waiting is not None
    tensors = [*state.contexts, *state.moments, state.waiting]
    return {"inputs": inputs, "rate": torch.tensor(rate), **{f"state{i}": tensor for i, tensor in enumerate(tensors)}}


def feed_of(trunk: FrameTrunk, waveform: Tensor, begun: int, delay: int) -> dict[str, Tensor]:
    """A feed as it comes up within a waveform (samples,) of which `begun` frames have been computed."""
    at = (begun - 1) * trunk.hop + trunk.field
    _, state = trunk.start(waveform[:at], delay=delay)
    new = trunk.frames_in(len(waveform)) - begun
    return feed(waveform[at : at + new * trunk.hop, None], state, 0.5)
