"""Oracle segmentation: the reference itself in place of a segmentation model, which isolates the embedding."""

from collections.abc import Sequence

import numpy as np
import torch
from pyannote.core import Annotation

from variants.arrays import Floats

LOCAL_SPEAKERS = 3  # as many columns as pyannote/segmentation has, more where a chunk has more speakers


class OracleSegmentation:
    """Returns, for chunks whose start times it was told by `at`, who speaks in each frame (0 or 1).

    Wrapped in a `diart.models.SegmentationModel`; waveforms (chunks, 1, samples) in, (chunks, frames, speakers)
    out. A frame is active for a speaker if its middle lies in one of the speaker's turns.
    """

    def __init__(self, duration: float, frames: int) -> None:
        self.duration, self.frames = duration, frames
        self._speakers: list[Floats] = []
        self._starts: list[float] = []
        self._columns = LOCAL_SPEAKERS

    def reference(self, annotation: Annotation, starts: Sequence[float]) -> None:
        """Take a new file's reference; `starts` are all of its chunks' start times (file time, seconds)."""
        self._speakers = [
            np.array([(s.start, s.end) for s in annotation.label_timeline(label)]) for label in annotation.labels()
        ]
        counts = [sum(bool(column.any()) for column in self._chunk(start)) for start in starts]
        self._columns = max([LOCAL_SPEAKERS, *counts])

    def at(self, starts: Sequence[float]) -> None:
        """Tell the start times (file time, seconds) of the chunks of the next call."""
        self._starts = list(starts)

    def _chunk(self, start: float) -> list[Floats]:
        """One (frames,) row of bools per speaker of the file."""
        middles = start + (np.arange(self.frames) + 0.5) * self.duration / self.frames
        return [
            ((middles[:, None] >= turns[:, 0]) & (middles[:, None] < turns[:, 1])).any(axis=1)
            for turns in self._speakers
        ]

    def __call__(self, waveforms: torch.Tensor) -> torch.Tensor:
        if len(self._starts) != len(waveforms):
            raise ValueError(f"oracle was told {len(self._starts)} start times for {len(waveforms)} chunks")
        output = np.zeros((len(waveforms), self.frames, self._columns), np.float32)
        for row, start in zip(output, self._starts, strict=True):
            present = [active for active in self._chunk(start) if active.any()]
            for column, active in enumerate(present):
                row[:, column] = active
        return torch.from_numpy(output)

    def to(self, device: torch.device) -> "OracleSegmentation":
        """Nothing to move; DIART asks every model."""
        return self
