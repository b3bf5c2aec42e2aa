"""Endless audio: no seam, no sample that two streams share."""

from itertools import pairwise

import numpy as np
import pytest

from bench.capacity.audio import Looped
from bench.pipeline.staged import PipelineSettings
from variants import UserError


def test_chunks_go_on_over_the_seam(audio: Looped) -> None:
    size, hop = 16000, 4000
    for stream in (0, 3):
        chunks = [audio.chunk(stream, i) for i in range(60)]  # 15 s of 11.3
        for i, (one, other) in enumerate(pairwise(chunks)):
            assert one.data.shape == (size, 1) and np.array_equal(one.data[hop:], other.data[:-hop])
            assert other.extent.start == pytest.approx(0.25 * (i + 1))
    ring = np.concatenate([audio.chunk(0, i).data[:hop, 0] for i in range(46)])[: audio.length]
    assert np.array_equal(np.sort(ring), np.sort(audio.ring[: audio.length]))  # all of it, once


def test_streams_share_nothing(audio: Looped) -> None:
    first = {stream: audio.chunk(stream, 0).data[:, 0] for stream in range(5)}
    wave = np.concatenate([audio.chunk(0, i).data[:4000, 0] for i in range(46)])
    for stream in range(1, 5):
        assert not np.isin(first[stream], wave).mean() > 0.05
        assert not np.array_equal(first[stream], first[stream - 1])


def test_short_audio_repeats_and_none_is_refused() -> None:
    looped = Looped([np.arange(20_000, dtype=np.float32)], PipelineSettings(1.0, 0.25, 0.5))
    assert len(looped.ring) == 36_000 and np.array_equal(looped.ring[20_000:], looped.ring[:16_000])
    with pytest.raises(UserError, match=r"^the corpus holds 0.5 s of audio"):
        Looped([np.zeros(8000, np.float32)], PipelineSettings(1.0, 0.25, 0.5))
