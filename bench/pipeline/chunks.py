"""The chunks that DIART's pipeline would receive from a file."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from variants.arrays import Floats

if TYPE_CHECKING:
    from diart import SpeakerDiarizationConfig
    from pyannote.core import SlidingWindowFeature


@dataclass(frozen=True)
class Chunks:
    """Successive chunks (samples, 1) of one padded file, and its left padding in seconds."""

    items: list[SlidingWindowFeature]
    padding: float

    def start(self, index: int) -> float:
        """Start of a chunk in the file's own time, in seconds (negative inside the padding)."""
        return float(self.items[index].extent.start) - self.padding


def stream_chunks(waveform: Floats, path: Path, config: SpeakerDiarizationConfig) -> Chunks:
    """Cut `waveform` (1, samples), read from `path`, as `diart.inference.Benchmark` does.

    DIART's padding lets the last `latency - step` seconds get labels; its `FileAudioSource` (which cannot be imported
    without PortAudio) fills the last step with zeros; the sliding window is DIART's own.
    """
    import rx
    from diart.operators import rearrange_audio_stream

    left, right = config.get_file_padding(path)
    rate, step = config.sample_rate, int(np.rint(config.step * config.sample_rate))
    pad_left, pad_right = (int(np.rint(seconds * rate)) for seconds in (left, right))
    padded = np.pad(waveform, ((0, 0), (pad_left, pad_right)))
    padded = np.pad(padded, ((0, 0), (0, -padded.shape[1] % step)))
    blocks = (padded[:, first : first + step] for first in range(0, padded.shape[1], step))
    items: list[SlidingWindowFeature] = []
    windows = rearrange_audio_stream(config.duration, config.step, rate)
    rx.from_iterable(blocks).pipe(windows).subscribe(items.append)
    return Chunks(items, float(left))
