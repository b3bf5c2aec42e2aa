"""The trunk's step as an ONNX graph, which multiplies a few frames with prepared weights."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from variants.runtime.graph import Graph
from variants.runtime.onnx import Finish, as_it_is

from .trunk import FrameTrunk, State, moments_of

STEPS = 15  # frames of the example that is traced: about a quarter of a second


class GraphStep(nn.Module):
    """Called as the `FrameTrunk` itself: the first stage in torch, all others in one graph, the state in and out.

    again: for states of which outputs wait.
    """

    def __init__(self, trunk: FrameTrunk, finish: Finish = as_it_is, again: bool = False) -> None:
        super().__init__()
        self.trunk = trunk
        example = feed_of(trunk, torch.rand(trunk.field + STEPS * trunk.hop), 1, 0 if again else None)
        axis = int(again)
        self.graph = Graph(Flat(trunk), example, finish, {"inputs": {axis: "steps"}, "outputs": {axis: "frames"}})

    def forward(self, samples: Tensor, state: State, rate: float) -> tuple[Tensor, State]:
        outputs, before = first_stage(self.trunk, samples, state, rate)
        state = self.trunk.rescaled(state, before.moments[0]) if before.moments else state
        frames, *after = self.graph.run(feed(outputs, state, rate))
        return frames, self.joined(before, after)

    def joined(self, before: State, after: list[Tensor]) -> State:
        """The state of all stages, from that of the first and a graph's outputs for the others."""
        contexts = len(self.trunk.stages) - 1
        return State(before.contexts[:1] + after[:contexts], before.moments[:1] + after[contexts:], before.waiting)


def first_stage(trunk: FrameTrunk, samples: Tensor, state: State, rate: float) -> tuple[Tensor, State]:
    """Outputs and state of the first stage alone, out of all: the sinc filters are quicker in torch, and in float."""
    first = State(state.contexts[:1], state.moments[:1], state.waiting)
    found: tuple[Tensor, State] = trunk(samples, first, rate, slice(1))
    return found


class Flat(nn.Module):
    """The stages behind the first, with tensors only for inputs and outputs."""

    def __init__(self, trunk: FrameTrunk) -> None:
        super().__init__()
        self.trunk = trunk

    def forward(self, inputs: Tensor, rate: Tensor, *state: Tensor) -> tuple[Tensor, ...]:
        contexts = len(self.trunk.stages) - 1
        frames, after = self.trunk(inputs, State(list(state[:contexts]), list(state[contexts:])), rate, slice(1, None))
        return (frames, *after.contexts, *after.moments)


class Whole(nn.Module):
    """All that a chunk gives behind the first stage, (steps, features), by its own statistics; frames and the state.

    steps: no more than its frames need.
    """

    def __init__(self, trunk: FrameTrunk) -> None:
        super().__init__()
        self.trunk = trunk

    def forward(self, outputs: Tensor) -> tuple[Tensor, ...]:
        contexts, moments = [], []
        for stage in self.trunk.stages[1:]:
            if stage.norm is not None:
                moments.append(moments_of(outputs))
                outputs = stage.normalised(outputs, moments[-1])
            contexts.append(outputs[outputs.shape[0] - (stage.field - stage.hop) :])
            outputs = stage.layers(outputs)
        return (outputs, *contexts, *moments)


def feed(inputs: Tensor, state: State, rate: float) -> dict[str, Tensor]:
    """A `Flat`'s inputs by name; state: of all stages."""
    behind = [*state.contexts[1:], *state.moments[1:]]
    return {"inputs": inputs, "rate": torch.tensor(rate), **{f"state{i}": tensor for i, tensor in enumerate(behind)}}


def feed_of(trunk: FrameTrunk, waveform: Tensor, begun: int, delay: int | None = None) -> dict[str, Tensor]:
    """A feed as it comes up within a waveform (samples,) of which `begun` frames have been computed."""
    at = (begun - 1) * trunk.hop + trunk.field
    _, state = trunk.start(waveform[:at], delay=delay)
    new = trunk.frames_in(len(waveform)) - begun
    outputs, _ = first_stage(trunk, waveform[at : at + new * trunk.hop, None], state, 0.5)
    return feed(outputs, state, 0.5)
