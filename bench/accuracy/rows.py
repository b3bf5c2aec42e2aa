"""The embeddings of a file's speakers against another model's: how near most are, and which are farthest."""

from collections import Counter
from typing import NamedTuple

import numpy as np
import torch

from bench.pipeline.diarize import Cut
from variants.arrays import Floats

WORST, DIGITS = 3, 4  # chunks of a file that are named; of the cosines that are counted
Counts = tuple[tuple[float, int], ...]  # cosines, rounded, in order, and how many of each


class Row(NamedTuple):
    """A local speaker of a chunk: its start and end in seconds, number from 1 on, seconds that it speaks; cosine."""

    start: float
    end: float
    speaker: int
    spoken: float
    cosine: float


class Rows:
    """Cosines over the rows in which somebody speaks, as they come."""

    def __init__(self) -> None:
        self._counts: Counter[float] = Counter()
        self.worst: tuple[Row, ...] = ()

    def add(self, file: Cut, first: int, cosines: Floats, scores: torch.Tensor, threshold: float) -> None:
        """Those of the chunks from number `first` on: (chunks, speakers), NaN where there is nothing to compare.

        scores: the segmentation (chunks, frames, speakers); somebody speaks in a row that reaches the threshold.
        """
        spoken, seconds = (scores >= threshold).float().mean(1).numpy(), file.waveforms.shape[1] / file.chunks.rate
        chosen = np.argwhere((spoken > 0) & ~np.isnan(cosines))
        found = [*self.worst]
        for chunk, speaker in chosen:
            start, cosine = file.chunks.start(first + int(chunk)), round(float(cosines[chunk, speaker]), DIGITS)
            self._counts[cosine] += 1
            row = round(start, 3), round(start + seconds, 3), int(speaker) + 1
            found.append(Row(*row, round(seconds * float(spoken[chunk, speaker]), 2), cosine))
        self.worst = tuple(sorted(found, key=lambda row: row.cosine)[:WORST])

    @property
    def counts(self) -> Counts:
        """All of them."""
        return tuple(sorted(self._counts.items()))


def quantile(counts: Counts, share: float) -> float | None:
    """The least cosine that so large a share is at or below; None of none."""
    if not counts:
        return None
    values, numbers = zip(*sorted(counts), strict=True)
    reached = np.cumsum(numbers)
    return float(values[int(np.searchsorted(reached, share * reached[-1]))])
