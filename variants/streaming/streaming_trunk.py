"""`streaming-trunk`: a chunk's new frames, and as many old ones anew, pooled with those kept of the chunks before."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from math import exp
from typing import NamedTuple

import torch
from torch import Tensor, nn

from variants.errors import UnavailableError
from variants.exact.memory import Memory, continued
from variants.exact.pooling import CentredPool, ProductPool, pool_directly
from variants.exact.shared_trunk import SharedTrunk, run_lengths
from variants.registry import Variant
from variants.runtime.graph import Graph

from .step import GraphStep
from .trunk import RATE, FrameTrunk, State

SECONDS = 5.0  # in which the statistics forget all but 1/e: `python -m bench.studies streaming`
AGAIN = 0.65  # of a chunk's frames, after which a frame is computed again: by hand, see docs/streaming.md
TOLERANCES = {"": 0.5, "distilled-": 1.0, "channel-pruned-50-": 1.0, "channel-pruned-75-": 2.0}  # of whose trunk
Step = Callable[[Tensor, State, float], tuple[Tensor, State]]  # as `FrameTrunk` itself is called


@dataclass
class Stream:
    """One stream up to its last chunk.

    waveform: that chunk (samples,). begin: where it begins, in samples from the stream's first. shift: by how many the
    next is expected after it. kept: frames and their squares, less `centre`, (rows, 2 features), of which those
    up to `end` are known; the last of these is the stream's frame number `frames` - 1.
    """

    waveform: Tensor
    begin: int
    shift: int
    state: State
    centre: Tensor
    kept: Tensor
    end: int
    frames: int


class Window(NamedTuple):
    """What is known of a chunk: as many frames as the stock trunk gives of it.

    frames: with their squares, less `centre` (features,), (n, 2 features). late: how many frames after the stock's
    first the first one begins: a stream's frames lie on one grid, chunks anywhere, so that is some part of one, and
    mostly negative.
    """

    frames: Tensor
    centre: Tensor
    late: float


class StreamingTrunk(SharedTrunk):
    """Embeddings of rows (rows, 1, samples) under weights (rows, frames), each stream's frames computed twice.

    Once when they are new, and again when they have gone through `AGAIN` of a chunk, with the statistics of then.

    A row continues one of those that `streams` remembers where all samples that it shares with its last chunk are
    equal, and not all the same; it may come any number of samples later that leaves a hop of them to share. Any other
    row starts a stream, and is embedded as the stock model does it; one with a NaN or an infinity is, too, and not
    kept.
    seconds: in which the norms' statistics forget all but 1/e; infinity: they stay those of a stream's first chunk.
    step: makes what stands in for the trunk behind a stream's first chunk.
    For inference. Not thread-safe: calls change what is kept, so each thread needs a model of its own.
    """

    stats_pool: ProductPool
    reuses = "all frames of the trunk but the new ones and as many old ones"  # as `CachedFront.reuses`

    def __init__(
        self, model: nn.Module, seconds: float = SECONDS, step: Callable[[FrameTrunk], Step] | None = None
    ) -> None:
        super().__init__(model)
        pool = model.get_submodule("stats_pool")
        if not isinstance(pool, ProductPool):
            raise UnavailableError("streaming needs a model whose BatchNorms are folded")
        self.frame_trunk, self.stats_pool, self.seconds = FrameTrunk(model), pool, seconds
        self.centred_pool: nn.Module = CentredPool(pool)
        self.step: Step = self.frame_trunk if step is None else step(self.frame_trunk)
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
        embeddings: Tensor = self.embedding(self.pooled(*window[:2], weights, window.late))
        return embeddings

    @torch.no_grad()
    def frames(self, waveform: Tensor) -> Window:
        """The frames of a chunk (samples,), those that are new computed and the others found."""
        trunk = self.frame_trunk
        count = trunk.frames_in(len(waveform))
        sound = bool(torch.isfinite(waveform.sum()))
        known = continued(self.streams, waveform, trunk.hop, self._advance) if sound else None
        stream = known or self._started(waveform)
        if sound:
            self.streams.keep(stream)
        late = (stream.frames - count) * trunk.hop - stream.begin
        rows = slice(stream.end - count, stream.end)
        return Window(stream.kept[rows], stream.centre, late / trunk.hop)

    def pooled(self, frames: Tensor, centre: Tensor, weights: Tensor | None, late: float = 0.0) -> Tensor:
        """Statistics (rows, 2 features) of centred `frames` and their squares under weights (rows, given), or none."""
        scale, shift = self.stats_pool.scale, self.stats_pool.shift
        features = len(centre)
        if weights is None:
            pooled: Tensor = self.stats_pool((frames[:, :features] + centre).t()[None])
            return pooled
        weights = placed(weights, len(frames), late)
        pooled, few = self.centred_pool(weights, frames, centre)
        for row in few[:, 0].nonzero()[:, 0] if few.any() else ():
            mapped, chosen = ((frames[:, :features] + centre) * scale + shift).t()[None], weights[row, None]
            total, squares = chosen.sum(dim=1, keepdim=True), torch.square(chosen).sum(dim=1, keepdim=True)
            pooled[row] = pool_directly(mapped, chosen, total, squares)[0]
        return pooled

    def _started(self, waveform: Tensor) -> Stream:
        """A stream of which nothing is known; there is room for as many frames again."""
        self.streams.begun(waveform)
        rows, state = self.frame_trunk.start(waveform, delay=delay_of(self.frame_trunk.frames_in(len(waveform))))
        count, features = rows.shape
        kept = rows.new_empty(2 * count, 2 * features)
        stream = Stream(waveform.clone(), 0, self.streams.shift, state, rows.mean(dim=0), kept, 0, 0)
        _append(stream, rows, count)
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
        (rows, again), stream.state = self.step(samples, stream.state, rate)
        _append(stream, rows, count)
        delay = delay_of(count)
        _write(stream, again[-(count - delay) :], stream.end - delay)


class GraphPool(nn.Module):
    """A `CentredPool` as a graph."""

    def __init__(self, pool: CentredPool) -> None:
        super().__init__()
        frames = torch.rand(7, 2 * len(pool.scale))
        example = {"weights": torch.rand(3, 7), "frames": frames, "centre": pool.shift.detach()}
        axes = {"weights": {0: "rows", 1: "frames"}, "frames": {0: "frames"}, "outputs": {0: "rows"}}
        self.graph = Graph(pool, example, axes=axes)

    def forward(self, weights: Tensor, frames: Tensor, centre: Tensor) -> list[Tensor]:
        return self.graph.run({"weights": weights, "frames": frames, "centre": centre})


def placed(weights: Tensor | None, count: int, late: float) -> Tensor:
    """Weights (rows, given) as `F.interpolate` chooses the nearest, of `count` frames where they lie; None: ones."""
    if weights is None:
        return torch.ones(1, count)
    given = weights.shape[1]
    if given == count and not late:
        return weights
    return weights.index_select(1, _nearest(given, count, late))


@lru_cache(maxsize=64)  # a steady step comes back to few places
def _nearest(given: int, count: int, late: float) -> Tensor:
    """Indices (count,) of `placed`, as the rate of floats has them."""
    places = (torch.arange(count, dtype=torch.float32) + late) * (torch.ones(()) * given / count)
    return places.floor().long().clamp(0, given - 1)


def delay_of(count: int) -> int:
    """By how many frames the second time comes after the first, of chunks of so many; less than that."""
    return int(AGAIN * count)


def _append(stream: Stream, found: Tensor, count: int) -> None:
    """Keep new frames (n, features), and of those before them what makes at least `count` in all."""
    rows = found[-count:]
    if stream.end + len(rows) > len(stream.kept):
        stream.kept[:count] = stream.kept[stream.end - count : stream.end].clone()
        stream.end = count
    stream.end, stream.frames = stream.end + len(rows), stream.frames + len(found)
    _write(stream, rows, stream.end)


def _write(stream: Stream, frames: Tensor, end: int) -> None:
    """Frames (n, features) and their squares into the rows before `end`."""
    block, features = stream.kept[end - len(frames) : end], frames.shape[1]
    torch.sub(frames, stream.centre, out=block[:, :features])
    torch.square(block[:, :features], out=block[:, features:])


def in_graphs(model: nn.Module, step: Callable[[FrameTrunk], Step]) -> StreamingTrunk:
    """A `StreamingTrunk` with this step, pooling in a graph."""
    made = StreamingTrunk(model, step=step)
    made.centred_pool = GraphPool(CentredPool(made.stats_pool))
    return made.eval()


def streaming_trunk(model: nn.Module) -> nn.Module:
    """Frames by statistics that move slowly, when new and once again; pooled under each chunk's weights."""
    return in_graphs(model, GraphStep)


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
