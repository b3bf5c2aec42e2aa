"""The chunks that DIART's pipeline would receive from a file."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import accumulate, repeat
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch

from variants.arrays import Floats

if TYPE_CHECKING:
    from diart import SpeakerDiarizationConfig
    from pyannote.core import SlidingWindowFeature


@dataclass(frozen=True)
class Chunks:
    """Successive chunks of one padded file, all of them views of its samples.

    waveforms: (chunks, samples, 1). starts: of each in the padded file's time, and its left padding, in seconds.
    """

    waveforms: torch.Tensor
    starts: list[float]
    padding: float
    rate: int

    def __len__(self) -> int:
        return len(self.starts)

    def __getitem__(self, index: int) -> SlidingWindowFeature:
        """A chunk (samples, 1) as DIART's pipeline takes it."""
        from pyannote.core import SlidingWindow, SlidingWindowFeature

        window = SlidingWindow(start=self.starts[index], duration=1 / self.rate, step=1 / self.rate)
        return SlidingWindowFeature(self.waveforms[index].numpy(), window)

    def __iter__(self) -> Iterator[SlidingWindowFeature]:
        return (self[i] for i in range(len(self)))

    def start(self, index: int) -> float:
        """Start of a chunk in the file's own time, in seconds (negative inside the padding)."""
        return self.starts[index] - self.padding


def stream_chunks(waveform: Floats, path: Path, config: SpeakerDiarizationConfig) -> Chunks:
    """Cut `waveform` (1, samples), read from `path`, as `diart.inference.Benchmark` does.

    DIART's padding lets the last `latency - step` seconds get labels; its `FileAudioSource` (which cannot be imported
    without PortAudio) fills the last step with zeros. The chunks are those of `rearrange_audio_stream`: the first one
    ends with the step that completes it, and is said to start a step later if that is more than it holds.
    """
    left, right = config.get_file_padding(path)
    rate = config.sample_rate
    size, step = (round(rate * seconds) for seconds in (config.duration, config.step))
    pad_left, pad_right = (int(np.rint(seconds * rate)) for seconds in (left, right))
    pad_right += -(pad_left + waveform.shape[1] + pad_right) % step
    padded = torch.from_numpy(np.pad(waveform[0], (pad_left, pad_right)))
    waveforms = padded[-size % step :].unfold(0, size, step)[..., None]
    begin = config.step if size % step else 0.0
    starts = list(accumulate(repeat(config.step, len(waveforms) - 1), initial=begin))  # summed as DIART does
    return Chunks(waveforms, starts, float(left), rate)
