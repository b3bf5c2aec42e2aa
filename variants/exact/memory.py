"""The streams that a model remembers from chunk to chunk: as many as `remember` says, found by how a chunk begins.

No caller says which stream a chunk is of: DIART hands models nothing but samples. What a chunk shares with the last
one of its stream says it, and is compared sample by sample.
"""

import warnings
from collections import deque
from collections.abc import Callable, Iterable
from typing import Protocol, TypeVar

import numpy as np
import torch
from torch import nn

STREAMS = 4  # remembered unless `remember` was called: as many interleaved streams can share a model and still hit
PROBE, CANDIDATES = 64, 4  # samples compared before all of them are, and places tried, in looking for an unknown shift
GONE = 64  # forgotten streams that are known again if they come back


class Kept(Protocol):
    """What is remembered of a stream: its last chunk (samples,), and by how many strides it came after the one before.

    The latter is how the next is expected; 0: not known.
    """

    waveform: torch.Tensor
    shift: int


S = TypeVar("S", bound=Kept)


class Memory(list[S]):
    """Streams, the most recent first; at most `room` of them.

    stride: samples in a shift of 1. missed: chunks of streams that had been forgotten, computed anew for want of room.
    """

    def __init__(self, stride: int) -> None:
        super().__init__()
        self.stride, self.room, self.missed = stride, STREAMS, 0
        self._next: dict[int, bytes] = {}  # how the next chunk of each stream should begin
        self._gone: deque[torch.Tensor] = deque(maxlen=GONE)  # how the forgotten streams ended

    @property
    def shift(self) -> int:
        """By how many strides chunks came last: steps are mostly alike."""
        return self[0].shift if self else 0

    def clear(self) -> None:
        """Forget all, as if nothing had been heard."""
        super().clear()
        self._next.clear()
        self._gone.clear()

    def likeliest(self, waveform: torch.Tensor) -> list[S]:
        """All streams, first those whose next chunk should begin as this one (samples,)."""
        begin = _bytes(waveform[:PROBE])
        return sorted(self, key=lambda stream: self._next[id(stream)] != begin)

    def keep(self, stream: S) -> None:
        """As the most recent one; the one that was not heard for longest makes room."""
        self[:] = [stream, *(other for other in self if other is not stream)]
        first = stream.shift * self.stride
        self._next[id(stream)] = _bytes(stream.waveform[first : first + PROBE])
        while len(self) > max(1, self.room):
            last = self.pop()
            del self._next[id(last)]
            self._gone.append(last.waveform[-PROBE:].clone())

    def begun(self, waveform: torch.Tensor) -> None:
        """Take note of a chunk that continues no stream: it is missed where it holds the end of a forgotten one."""
        for tail in self._gone:
            if (tail != tail[0]).any() and len(places(tail, waveform, self.stride)):
                self.missed += 1
                text = f"more than the {self.room} streams that this model remembers: their work is done anew"
                warnings.warn(f"{text} (variants.exact.memory.remember)", RuntimeWarning, stacklevel=2)
                return


def memories(models: Iterable[object]) -> list["Memory[Kept]"]:
    """Those in models, or in DIART's wrappers around them."""
    inner = [getattr(model, "model", model) if not isinstance(model, nn.Module) else model for model in models]
    parts = [part for model in inner if isinstance(model, nn.Module) for part in model.modules()]
    return [found for part in parts if isinstance(found := getattr(part, "streams", None), Memory)]


def remember(streams: int, *models: object) -> None:
    """Let models, or DIART's wrappers around them, remember as many interleaved streams."""
    for memory in memories(models):
        memory.room = streams


def missed(*models: object) -> int:
    """Chunks that were computed anew because their streams had been forgotten."""
    return sum(memory.missed for memory in memories(models))


def equal_samples(one: torch.Tensor, other: torch.Tensor) -> bool:
    """`torch.equal` of samples on the CPU, in less time."""
    return np.array_equal(one.numpy(), other.numpy())


def _bytes(samples: torch.Tensor) -> bytes:
    return samples.contiguous().numpy().tobytes()


def places(probe: torch.Tensor, waveform: torch.Tensor, stride: int) -> torch.Tensor:
    """Where `probe` (PROBE,) lies in a waveform (samples,): shifts in strides, from its own end on, least first."""
    behind = len(waveform) - PROBE
    windows = waveform[behind % stride :].unfold(0, PROBE, stride)
    found = (windows[:, 0] == probe[0]).nonzero()[:, 0]  # few, mostly
    found = found[(windows[found] == probe).all(dim=1)]
    shifts: torch.Tensor = behind // stride - found.flip(0)
    return shifts


def shift_between(last: torch.Tensor, waveform: torch.Tensor, stride: int, known: int) -> int | None:
    """By how many strides a chunk continues the `last` one (samples,); None if it does not. known: tried first."""
    if last.shape != waveform.shape:
        return None
    for shift in (known, 0):
        if _continues(last, waveform, shift * stride):
            return shift
    # The end of the last chunk, looked for at every place that a multiple of the stride would bring it to.
    for moved in places(last[-PROBE:], waveform, stride)[:CANDIDATES].tolist():
        if _continues(last, waveform, moved * stride):
            return int(moved)
    return None


def continued(
    streams: Memory[S], waveform: torch.Tensor, least: int, advance: Callable[[S, torch.Tensor, int], None]
) -> S | None:
    """The stream of stride 1 that a chunk (samples,) continues, brought up to it by `advance`; None without one.

    At least `least` samples must be shared, unless all are, and not all be of one value: those might be any stream's.
    advance: told the stream, the chunk, and by how many samples it comes after the stream's last.
    """
    for stream in streams.likeliest(waveform):
        if stream.waveform.shape == waveform.shape and _continues(stream.waveform, waveform, 0):
            return stream
        shift = shift_between(stream.waveform, waveform, 1, stream.shift)
        shared = waveform[: len(waveform) - (shift or 0)]
        if shift and len(shared) >= least and not _constant(shared):
            advance(stream, waveform, shift)
            return stream
    return None


def _constant(samples: torch.Tensor) -> bool:
    """Whether all samples are one value; the last ones are asked first."""
    last = samples[-1]
    return bool((samples[-PROBE:] == last).all() and (samples == last).all())


def _continues(last: torch.Tensor, waveform: torch.Tensor, samples: int) -> bool:
    """Whether all samples that the two share are equal, if one came so many after the other."""
    shared = len(last) - samples
    return (
        shared > 0
        and equal_samples(last[samples : samples + PROBE], waveform[: min(PROBE, shared)])
        and equal_samples(last[samples:], waveform[:shared])
    )
