"""What the streams hear: real audio on end, so that an hour of it needs no hour of recordings."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from bench.corpus import Recording
from bench.pipeline.staged import PipelineSettings
from variants.arrays import Floats
from variants.errors import UserError

if TYPE_CHECKING:
    from pyannote.core import SlidingWindowFeature

RATE = 16000
SOFTER = 1e-4  # each stream's gain, times its number, below 1: where two hear the same, no sample is equal


class Looped:
    """Recordings one behind the other, over and over, from another place for each stream.

    waveforms: (samples,) each. Chunks of a stream overlap sample by sample, at the seam, too, and no two streams share
    any: a model that reuses a stream's work finds the work of that stream alone.
    """

    def __init__(self, waveforms: Sequence[Floats], settings: PipelineSettings, seed: int = 0) -> None:
        self.settings = settings
        self.size, self.hop = round(RATE * settings.duration), round(RATE * settings.step)
        whole = np.concatenate(waveforms)
        if len(whole) < self.size:
            raise UserError(f"the corpus holds {len(whole) / RATE:.1f} s of audio, less than a chunk of it")
        repeats = -(-self.size // len(whole)) + 1
        self.length, self.ring = len(whole), np.concatenate([whole, *([whole] * repeats)])[: len(whole) + self.size]
        self.begins = np.random.default_rng(seed).permutation(2**12)  # in 2^12ths of the length

    @classmethod
    def of(cls, recordings: Sequence[Recording], settings: PipelineSettings, seed: int = 0) -> Looped:
        """All of the recordings; CorpusError if one is damaged."""
        return cls([recording.waveform()[0] for recording in recordings], settings, seed)

    def chunk(self, stream: int, index: int) -> SlidingWindowFeature:
        """A stream's chunk, as DIART's pipeline takes it."""
        from pyannote.core import SlidingWindow, SlidingWindowFeature

        begin = int(self.begins[stream % len(self.begins)]) * self.length // len(self.begins)
        first = (begin + index * self.hop) % self.length
        samples = self.ring[first : first + self.size, None] * np.float32(1 - SOFTER * stream)
        window = SlidingWindow(start=index * self.settings.step, duration=1 / RATE, step=1 / RATE)
        return SlidingWindowFeature(samples, window)
