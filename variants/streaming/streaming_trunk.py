"""`streaming-trunk`: a chunk's new frames only, pooled with those kept of the chunks before it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import exp
from typing import NamedTuple

import torch
from torch import Tensor, nn

from variants.errors import UnavailableError
from variants.exact.memory import Memory, continued
from variants.exact.pooling import ProductPool, pool_directly, pool_products
from variants.exact.shared_trunk import SharedTrunk, run_lengths
from variants.registry import Variant

from .drift import drift, load_correction, mark
from .step import GraphStep
from .trunk import RATE, FrameTrunk, State

SECONDS = 5.0  # in which the statistics forget all but 1/e: `python -m bench.studies streaming`
TOLERANCES = {"": 0.5, "distilled-": 1.0, "channel-pruned-50-": 1.0, "channel-pruned-75-": 2.0}  # of whose trunk
Step = Callable[[Tensor, State, float], tuple[Tensor, State]]  # as `FrameTrunk` itself is called


@dataclass
class Stream:
    """One stream up to its last chunk.

    waveform: that chunk (samples,). begin: where it begins, in samples from the stream's first. shift: by how many the
    next is expected after it. kept: frames and their squares, less `centre`, (rows, 2 features), of which those
    up to `end` are known; the last of these is the stream's frame number `frames` - 1. marks: by the same rows, the
    statistics of `variants.streaming.drift`.
    """

    waveform: Tensor
    begin: int
    shift: int
    state: State
    centre: Tensor
    kept: Tensor
    marks: Tensor
    end: int
    frames: int


class Window(NamedTuple):
    """What is known of a chunk: as many frames as the stock trunk gives of it.

    frames: with their squares, less `centre` (features,), (n, 2 features). late: how many frames after the stock's
    first the first one begins: a stream's frames lie on one grid, chunks anywhere, so that is some part of one, and
    mostly negative. marks: (n, statistics), as in `Stream`.
    """

    frames: Tensor
    centre: Tensor
    late: float
    marks: Tensor


class StreamingTrunk(SharedTrunk):
    """Embeddings of rows (rows, 1, samples) under weights (rows, frames), each stream's frames computed once.

    A row continues one of those that `streams` remembers where all samples that it shares with its last chunk are
    equal, and not all the same; it may come any number of samples later that leaves a hop of them to share. Any other
    row starts a stream, and is embedded as the stock model does it; one with a NaN or an infinity is, too, and not
    kept.
    seconds: in which the norms' statistics forget all but 1/e; infinity: they stay those of a stream's first chunk.
    step: makes what stands in for the trunk behind a stream's first chunk. `correction`: (statistics, dimension), what
    `variants.streaming.drift` adds to embeddings, where it was fitted to this model.
    For inference. Not thread-safe: calls change what is kept, so each thread needs a model of its own.
    """

    stats_pool: ProductPool
    reuses = "all frames of the trunk but the new ones"  # as `CachedFront.reuses`

    def __init__(
        self, model: nn.Module, seconds: float = SECONDS, step: Callable[[FrameTrunk], Step] | None = None
    ) -> None:
        super().__init__(model)
        pool = model.get_submodule("stats_pool")
        if not isinstance(pool, ProductPool):
            raise UnavailableError("streaming needs a model whose BatchNorms are folded")
        self.frame_trunk, self.stats_pool, self.seconds = FrameTrunk(model), pool, seconds
        self.step: Step = self.frame_trunk if step is None else step(self.frame_trunk)
        self.correction: nn.Parameter | None = None
        del self.sincnet, self.tdnns
        self.streams: Memory[Stream] = Memory(1)

    def forward(self, waveforms: Tensor, weights: Tensor | None = None) -> Tensor:
        sizes = run_lengths(waveforms)
        rows = iter([None] * len(sizes) if weights is None else weights.split(sizes))
        found, first = [], 0
        for size in sizes:
            found.append(self.embedded(self.frames(waveforms[first, 0]), next(rows)).expand(size, -1))
            first += size
        return torch.cat(found)

    def embedded(self, window: Window, weights: Tensor | None) -> Tensor:
        """Embeddings (rows, dimension) under weights (rows, given); one of all frames alike without."""
        embeddings: Tensor = self.embedding(self.pooled(window.frames, window.centre, weights, window.late))
        if self.correction is not None:
            apart = drift(window.marks, placed(weights, len(window.marks), window.late))
            embeddings = embeddings + apart @ self.correction
        return embeddings

    @torch.no_grad()
    def frames(self, waveform: Tensor) -> Window:
        """The frames of a chunk (samples,), those that are new computed and the others found."""
        trunk = self.frame_trunk
        count = trunk.frames_in(len(waveform))
        sound = bool(torch.isfinite(waveform.sum()))
        stream = (self._continued(waveform) if sound else None) or self._started(waveform)
        if sound:
            self.streams.keep(stream)
        late = (stream.frames - count) * trunk.hop - stream.begin
        rows = slice(stream.end - count, stream.end)
        return Window(stream.kept[rows], stream.centre, late / trunk.hop, stream.marks[rows])

    def pooled(self, frames: Tensor, centre: Tensor, weights: Tensor | None, late: float = 0.0) -> Tensor:
        """Statistics (rows, 2 features) of centred `frames` and their squares under weights (rows, given), or none."""
        scale, shift = self.stats_pool.scale, self.stats_pool.shift
        features = len(centre)
        if weights is None:
            plain: Tensor = self.stats_pool((frames[:, :features] + centre).t()[None])
            return plain
        weights = placed(weights, len(frames), late)
        first, second = (weights @ frames).split(features, dim=1)
        total, squares = weights.sum(dim=1, keepdim=True), torch.square(weights).sum(dim=1, keepdim=True)
        offset = (centre * scale + shift).expand(len(weights), -1)
        pooled, few = pool_products(first * scale, second * torch.square(scale), offset, total, squares)
        row = few[:, 0].nonzero()[:, 0]
        if len(row):
            mapped = ((frames[:, :features] + centre) * scale + shift).t().expand(len(row), -1, -1)
            pooled[row] = pool_directly(mapped, weights[row], total[row], squares[row])
        return pooled

    def _started(self, waveform: Tensor) -> Stream:
        """A stream of which nothing is known; there is room for as many frames again."""
        self.streams.begun(waveform)
        rows, state = self.frame_trunk.start(waveform)
        count, features = rows.shape
        kept = rows.new_empty(2 * count, 2 * features)
        own = mark(state.moments, state.moments, 0)
        marks = rows.new_empty(2 * count, len(own))
        stream = Stream(waveform.clone(), 0, self.streams.shift, state, rows.mean(dim=0), kept, marks, 0, 0)
        _append(stream, rows, own, count)
        return stream

    def _continued(self, waveform: Tensor) -> Stream | None:
        """The stream whose last chunk this one continues, brought up to it; None if there is none."""
        found = continued(self.streams, waveform, self.frame_trunk.hop)
        if found is None:
            return None
        stream, shift = found
        if shift:
            self._advance(stream, waveform, shift)
        return stream

    def _advance(self, stream: Stream, waveform: Tensor, shift: int) -> None:
        """Bring a stream up to its next chunk, by as many frames as are complete."""
        trunk, count = self.frame_trunk, self.frame_trunk.frames_in(len(waveform))
        stream.begin, stream.shift, stream.waveform = stream.begin + shift, shift, waveform.clone()
        new = trunk.frames_in(stream.begin + len(waveform)) - stream.frames
        if new <= 0:
            return
        first = (stream.frames - 1) * trunk.hop + trunk.field - stream.begin
        samples = waveform[first : first + new * trunk.hop, None]
        rate = 1 - exp(-new * trunk.hop / (RATE * self.seconds))
        rows, after = self.step(samples, stream.state, rate)
        marked = mark(stream.state.moments, after.moments, rate)
        stream.state = after
        _append(stream, rows, marked, count)


def placed(weights: Tensor | None, count: int, late: float) -> Tensor:
    """Weights (rows, given) as `F.interpolate` chooses the nearest, of `count` frames where they lie; None: ones."""
    if weights is None:
        return torch.ones(1, count)
    given = weights.shape[1]
    if given == count and not late:
        return weights
    places = (torch.arange(count, dtype=torch.float32) + late) * (torch.ones(()) * given / count)
    return weights.index_select(1, places.floor().long().clamp(0, given - 1))


def _append(stream: Stream, found: Tensor, marked: Tensor, count: int) -> None:
    """Keep new frames (n, features) with their mark, and of those before them what makes at least `count` in all."""
    rows = found[-count:]
    new, features = rows.shape
    if stream.end + new > len(stream.kept):
        for rows_kept in (stream.kept, stream.marks):
            rows_kept[:count] = rows_kept[stream.end - count : stream.end].clone()
        stream.end = count
    block = stream.kept[stream.end : stream.end + new]
    torch.sub(rows, stream.centre, out=block[:, :features])
    torch.square(block[:, :features], out=block[:, features:])
    stream.marks[stream.end : stream.end + new] = marked
    stream.end, stream.frames = stream.end + new, stream.frames + len(found)


def made_streaming(model: nn.Module, step: Callable[[FrameTrunk], Step]) -> StreamingTrunk:
    """The streaming form of a model, with the correction that is shipped for it, if one is."""
    made = StreamingTrunk(model, step=step).eval()
    made.correction = load_correction(model)
    return made


def streaming_trunk(model: nn.Module) -> nn.Module:
    """Each frame of the trunk once, normalised by statistics that move slowly; pooled under each chunk's weights."""
    return made_streaming(model, GraphStep)


for prefix, tolerance in TOLERANCES.items():
    Variant(
        f"{prefix}streaming-trunk",
        title="+ streaming trunk" if prefix else "streaming trunk",
        parent=f"{prefix}shared-folded",
        tolerance=tolerance,
        needs=["onnx", "onnxruntime"],
        default=False,
        exported_by=f"{prefix}shared-folded",
    )(streaming_trunk)
