"""Streams that share models: what each hears is its own, whoever else is heard in the same pass, and what befalls one
of them befalls no other.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from lightweight import SETTINGS, Embedder, Segmenter
from pyannote.core import Annotation, SlidingWindowFeature
from torch import nn

from bench.capacity.audio import Looped
from bench.capacity.state import state_bytes
from bench.capacity.streams import Streams
from bench.pipeline.staged import diart_pipeline

CHUNKS = 24
Make = Callable[..., Streams]


def alone(streams: Streams, audio: Looped, stream: int) -> list[Any]:
    """What stock DIART says of a stream."""
    pipeline = diart_pipeline(SETTINGS, *streams.models)
    return [pipeline([audio.chunk(stream, i)])[0][0] for i in range(CHUNKS)]


Change = Callable[[int, int, Any], Any]  # of a stream's chunk, by stream and number


def heard(streams: Streams, audio: Looped, change: Change = lambda s, i, c: c) -> list[list[Any]]:
    """Labels of each stream, which are heard in passes of unequal size."""
    found: list[list[Any]] = [[] for _ in streams.pipelines]
    order = np.random.default_rng(0)
    for i in range(CHUNKS):
        for part in np.array_split(order.permutation(len(found)), 2):
            chunks = [(int(s), change(int(s), i, audio.chunk(int(s), i))) for s in part]
            for s, labels in zip(part, streams(chunks), strict=True):
                found[s].append(labels)
    return found


def test_together_as_alone(light: Make, audio: Looped) -> None:
    streams = light(5)
    found = heard(streams, audio)
    expected = [alone(streams, audio, stream) for stream in range(5)]
    assert found == expected and not streams.failed and streams.missed == 0
    assert sum(len(labels) for labels in expected[0]) > 10 and expected[0] != expected[1]


def damaged(samples: Callable[[np.ndarray], np.ndarray], at: range) -> Change:
    """Change stream 1's samples in some of its chunks."""

    def change(stream: int, index: int, chunk: Any) -> Any:
        if stream != 1 or index not in at:
            return chunk
        return SlidingWindowFeature(samples(chunk.data.copy()), chunk.sliding_window)

    return change


def holes(samples: np.ndarray) -> np.ndarray:
    samples[4000:5000] = np.nan
    return samples


FAULTS = {"nan": holes, "silence": np.zeros_like, "clipping": lambda x: np.clip(1000 * x, -1, 1)}


@pytest.mark.parametrize("fault", FAULTS)
def test_bad_samples_leave_all_streams_going(fault: str, light: Make, audio: Looped) -> None:
    streams = light(3)
    found = heard(streams, audio, damaged(FAULTS[fault], range(8, 12)))
    assert not streams.failed
    for stream in (0, 2):
        assert found[stream] == alone(streams, audio, stream)
    assert all(isinstance(labels, Annotation) for labels in found[1])
    assert any(len(labels) for labels in found[1][14:])  # it goes on


def test_a_gap_leaves_all_streams_going(light: Make, audio: Looped) -> None:
    """Stream 1 is not heard of for five steps, then goes on where it then is."""
    streams = light(2)
    for i in range(CHUNKS):
        due = [0] if 8 <= i < 13 else [0, 1]
        labels = streams([(stream, audio.chunk(stream, i)) for stream in due])
        assert all(isinstance(one, Annotation) for one in labels)
        if i >= 16:
            # four windows later nothing of before the gap is left in the buffers
            late = labels[1].get_timeline().extent()
            assert not late or late.start >= 0.25 * i
    assert not streams.failed


def test_a_burst_is_answered_in_order(light: Make, audio: Looped) -> None:
    """Six chunks of stream 1 come at once, in one pass with one of stream 0."""
    streams = light(2)
    expected, mine = alone(streams, audio, 1), []
    for first in range(0, CHUNKS, 6):
        labels = streams([*((1, audio.chunk(1, i)) for i in range(first, first + 6)), (0, audio.chunk(0, first // 6))])
        mine += labels[:6]
    assert mine == expected


class Raising(Embedder):
    """Raises where any sample is larger than 1."""

    def forward(self, waveforms: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
        if (waveforms > 1).any():
            raise RuntimeError("too loud\nfor me")
        return super().forward(waveforms, weights)


def test_a_variant_that_raises_ends_that_stream_alone(light: Make, audio: Looped) -> None:
    streams = light(3, embedder=Raising())
    found = heard(streams, audio, damaged(lambda x: 100 * x, range(8, 9)))
    assert streams.failed == {1: "stream 1 ended: RuntimeError: too loud"}
    for stream in (0, 2):
        assert found[stream] == alone(streams, audio, stream)
    assert found[1][:8] == alone(streams, audio, 1)[:8] and found[1][8:] == [None] * (CHUNKS - 8)


def test_a_chunk_of_wrong_length_ends_that_stream_alone(light: Make, audio: Looped) -> None:
    streams = light(3)
    found = heard(streams, audio, damaged(lambda x: x[:-1], range(8, 9)))
    assert streams.failed == {1: "stream 1 ended: a chunk of shape (15999, 1), where (16000, 1) was due"}
    assert found[0] == alone(streams, audio, 0) and found[1][8] is None


class Silent(Segmenter):
    """What clustering cannot take: no frames."""

    def forward(self, waveforms: torch.Tensor) -> torch.Tensor:
        found = super().forward(waveforms)
        return found[:, :0] if (waveforms > 1).any() else found


def test_clustering_that_raises_ends_that_stream_alone(light: Make, audio: Looped) -> None:
    class Any3(nn.Module):
        def forward(self, waveforms: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
            return torch.ones(len(waveforms), 3)

    streams = light(1, Silent(), Any3())
    assert isinstance(streams([(0, audio.chunk(0, 0))])[0], Annotation)
    loud = SlidingWindowFeature(100 * audio.chunk(0, 1).data, audio.chunk(0, 1).sliding_window)
    assert streams([(0, loud)]) == [None]
    assert streams.failed[0].startswith("stream 0 ended: ")


def test_bytes_of_what_is_kept() -> None:
    whole = np.zeros(1000)
    tensor = torch.zeros(100)
    empty = state_bytes([])
    assert state_bytes([whole]) == empty + 8 + 8000
    assert state_bytes([whole[:10], whole[5:]]) == empty + 16 + 8000  # of views it is the whole that is kept, once
    assert state_bytes([tensor, tensor[3:]]) == empty + 16 + 400
    assert state_bytes(nn.Linear(3, 3), heard, len, Streams) == 0

    class Holder:
        def __init__(self) -> None:
            self.kept = {"a": (whole,), "me": self}

    assert 8000 < state_bytes(Holder()) < 9500


def test_state_of_streams_is_bounded(light: Make, audio: Looped) -> None:
    streams, sizes = light(2), []
    for i in range(40):
        streams([(stream, audio.chunk(stream, i)) for stream in (0, 1)])
        sizes.append(state_bytes(streams.state))
    assert sizes[1] > sizes[0]  # buffers fill
    assert max(sizes[10:]) - min(sizes[10:]) < 0.02 * sizes[10]
