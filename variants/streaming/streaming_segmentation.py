"""`streaming-segmentation`: of most chunks the last frames only, behind those kept of the chunks before it."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from variants.compressed.int8_static import quantised
from variants.errors import UnavailableError
from variants.exact.memory import Memory, continued
from variants.registry import variant
from variants.runtime.graph import Graph
from variants.runtime.onnx import SAMPLES, Finish, as_it_is

from .onward import Front, Onward, Whole, onward_feed
from .recurrence import Recurrence
from .step import STEPS
from .trunk import RATE, FrameTrunk, State, moments_of

AHEAD = 0.25  # seconds that follow a frame when it is computed for the last time: docs/streaming.md
ANEW = 0.25  # of a chunk's length after which one is computed anew


@dataclass
class Stream:
    """One stream up to its last chunk.

    waveform: that chunk (samples,). begin: where it begins, in samples from the stream's first. shift: by how many the
    next is expected after it. state: of the SincNet. raw: what its filters make of this chunk's samples and of some
    before, in pieces (`Front.raw`). features: those of the last frames (n, features) that will be scored again; hidden:
    the LSTMs' forward state at the first of them. scores: (frames, classes), of which the last is the stream's frame
    number `frames` - 1. age: frames since a chunk was computed as a whole.
    """

    waveform: Tensor
    begin: int
    shift: int
    state: State
    raw: list[Tensor]
    features: Tensor
    hidden: Tensor
    scores: Tensor
    frames: int
    age: int = 0


def sincnet_trunk(model: nn.Module) -> FrameTrunk:
    """A PyanNet's SincNet frame by frame; UnavailableError for another model."""
    if not hasattr(model, "sincnet"):
        raise UnavailableError(f"streaming needs a PyanNet, which {type(model).__name__} is not")
    return FrameTrunk(nn.ModuleDict({"sincnet": model.get_submodule("sincnet"), "tdnns": nn.ModuleList()}))


class StreamingSegmentation(nn.Module):
    """Scores (rows, frames, classes) of chunks (rows, 1, samples): of a stream mostly those of its last frames only.

    A row continues a stream as in `StreamingTrunk`; any other starts one, and is scored as by the stock model. One
    with a NaN or an infinity is, too, and not kept.
    ahead: seconds that follow a frame when it is scored for the last time. anew: share of a chunk's length after which
    one is computed as a whole again, by its own statistics and from states of zero, but for the first convolution; in
    between, statistics and what is older than `ahead` stay. finish: of the LSTMs' graphs. recurrence: in place of the
    model's own.
    For inference. Not thread-safe: calls change what is kept, so each thread needs a model of its own.
    """

    reuses = "scores and states of all frames but the last, most chunks"  # as `CachedFront.reuses`

    def __init__(
        self,
        model: nn.Module,
        ahead: float = AHEAD,
        anew: float = ANEW,
        finish: Finish = as_it_is,
        recurrence: Recurrence | None = None,
    ) -> None:
        super().__init__()
        self.frame_trunk = trunk = sincnet_trunk(model)
        self.recurrence = recurrence or Recurrence(model)
        self.front = Front(trunk.stages[0])
        self.least = trunk.hop + trunk.stages[0].field  # new outputs of the filters begin with samples of known frames
        self.ahead, self.anew = max(1, round(ahead * RATE / trunk.hop)), anew
        features, state = trunk.start(torch.rand(SAMPLES))
        example = self.front.normed(self.front.raw(torch.rand(SAMPLES)), state.moments[0])
        self.whole = Graph(Whole(trunk), example, axes={"inputs": {0: "steps"}, "outputs": {0: "frames"}})
        before, behind = features[:, None].split(len(features) // 2 + 1)
        self.scoring = Graph(
            self.recurrence,
            {"before": before, "behind": behind, "state": self.recurrence.start()},
            finish,
            {"before": {0: "before"}, "behind": {0: "behind"}, "outputs": {0: "frames"}},
        )
        samples = torch.rand(len(state.contexts[0]) + STEPS * trunk.hop)
        self.onward = Graph(
            Onward(trunk, self.front, self.recurrence),
            onward_feed(trunk, samples, features[: self.ahead], self.recurrence.start(), state),
            finish,
            {"samples": {0: "samples"}, "features": {0: "again"}, "outputs": {0: "frames"}},
        )
        self.specifications = model.specifications
        self.streams: Memory[Stream] = Memory(1)

    @torch.no_grad()
    def forward(self, waveforms: Tensor) -> Tensor:
        return torch.stack([self.scores(waveform) for waveform in waveforms[:, 0]])

    def scores(self, waveform: Tensor) -> Tensor:
        """Of one chunk (samples,), read off between its stream's frames: these lie on one grid, chunks anywhere."""
        if not torch.isfinite(waveform.sum()):  # in torch, as a runtime's LSTM makes numbers of what is none
            features = self.frame_trunk.start(waveform)[0][:, None]
            alone: Tensor = self.recurrence(features[:1], features[1:], self.recurrence.start())[0][:, 0]
            return alone
        stream = continued(self.streams, waveform, self.least, self._advance)
        if stream is None:
            stream = self._started(waveform.clone())
        self.streams.keep(stream)
        found = stream.scores
        early = stream.begin / self.frame_trunk.hop - (stream.frames - len(found))  # frames, less than one
        beside = [found[1:], found[-1:]] if early > 0 else [found[:1], found[:-1]]
        return torch.lerp(found, torch.cat(beside), abs(early))

    def _started(self, waveform: Tensor) -> Stream:
        """A stream of which nothing is known."""
        self.streams.begun(waveform)
        features, state = self.frame_trunk.start(waveform)
        count = len(features)
        raw = self.front.raw(waveform)[:, : self.frame_trunk.inputs_of(count)[1]]
        scores, hidden = self._scored(features, count, self.recurrence.start())
        kept = features[-self._again(count) :]
        return Stream(waveform, 0, self.streams.shift, state, [raw], kept, hidden, scores, count)

    def _again(self, count: int) -> int:
        """How many of a chunk's last frames, of so many, the next one scores again."""
        return min(self.ahead, count - 1)

    def _scored(self, features: Tensor, count: int, hidden: Tensor) -> tuple[Tensor, Tensor]:
        """Scores of successive frames (n, features) of chunks of `count`, and the state where the next begins."""
        before, behind = features[:, None].split([len(features) - self._again(count), self._again(count)])
        scores, after = self.scoring.run({"before": before, "behind": behind, "state": hidden})
        return scores[:, 0], after

    def _advance(self, stream: Stream, waveform: Tensor, shift: int) -> None:
        """Bring a stream up to its next chunk, by as many frames as are complete."""
        trunk, count = self.frame_trunk, self.frame_trunk.frames_in(len(waveform))
        stream.begin, stream.shift, stream.waveform = stream.begin + shift, shift, waveform.clone()
        new = trunk.frames_in(stream.begin + len(waveform)) - stream.frames
        if new <= 0:
            return
        known = (stream.frames - 1) * trunk.hop + trunk.field - stream.begin  # samples
        samples = waveform[known - len(stream.state.contexts[0]) : known + new * trunk.hop]
        stream.frames, stream.age = stream.frames + new, stream.age + new
        if stream.age >= self.anew * count or new + self._again(count) >= count:
            stream.raw.append(self.front.raw(samples))
            self._renewed(stream, count)
            return
        given = onward_feed(trunk, samples, stream.features, stream.hidden, stream.state)
        scores, raw, stream.features, stream.hidden, *after = self.onward.run(given)
        stream.state.contexts[1 : 1 + len(after)] = after
        stream.raw.append(raw)
        stream.scores = torch.cat([stream.scores[: count - len(stream.features)], scores])[-count:]

    def _renewed(self, stream: Stream, count: int) -> None:
        """Compute the last chunk as a whole, but for its first convolution."""
        raw = torch.cat(stream.raw, dim=1)[:, -self.frame_trunk.inputs_of(count)[1] :]
        moments = moments_of(stream.waveform[:, None])
        features, *after = self.whole.run({"inputs": self.front.normed(raw, moments)})
        stream.raw, stream.age, norms = [raw], 0, len(stream.state.moments) - 1
        stream.state = State([*stream.state.contexts[:1], *after[:-norms]], [moments, *after[-norms:]])
        stream.scores, stream.hidden = self._scored(features, count, self.recurrence.start())
        stream.features = features[-self._again(count) :]


@variant(
    "streaming-segmentation",
    title="streaming",
    parent="segmentation",
    model="segmentation",
    tolerance=1.0,
    needs=["onnx", "onnxruntime"],
    exported_by="segmentation-onnx",
)
def streaming_segmentation(model: nn.Module) -> nn.Module:
    """Of most chunks the last frames only, by LSTMs that go on from a kept state; in float."""
    return StreamingSegmentation(model).eval()


@variant(
    "streaming-segmentation-int8",
    title="streaming, int8",
    parent="segmentation",
    model="segmentation",
    tolerance=1.0,
    needs=["onnx", "onnxruntime"],
    exported_by="segmentation-int8",
)
def streaming_segmentation_int8(model: nn.Module) -> nn.Module:
    """The same with its LSTMs in int8, as `segmentation-int8` has them."""
    return StreamingSegmentation(model, finish=quantised((), {})).eval()
