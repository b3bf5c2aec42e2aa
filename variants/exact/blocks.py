"""DIART's blocks around the two models, without what they compute needlessly; the output is the same, bit for bit.

Per chunk, DIART draws a Hamming window anew for each of up to twelve buffered predictions, crops it by itself, copies
each crop three times over, and looks for speaker turns frame by frame. Here each window position is worked out once
per buffer, the window once per length, and all turns at once.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
from pyannote.core import Annotation, Segment, SlidingWindowFeature

from variants.arrays import Doubles

if TYPE_CHECKING:
    from diart import SpeakerDiarization


@lru_cache(maxsize=8)
def hamming(frames: int) -> Doubles:
    """Hamming window (frames, 1)."""
    return np.hamming(frames)[:, None]


class LeanHamming:
    """`diart.blocks.aggregation.HammingWeightedAverageStrategy`, with one crop per buffer."""

    def __init__(self, cropping_mode: str) -> None:
        self.cropping_mode = cropping_mode

    def __call__(self, buffers: list[SlidingWindowFeature], focus: Segment) -> SlidingWindowFeature:
        from diart.blocks.aggregation import AggregationStrategy

        return AggregationStrategy.__call__(self, buffers, focus)

    def aggregate(self, buffers: list[SlidingWindowFeature], focus: Segment) -> Doubles:
        """Mean of all buffers (frames, speakers) over `focus`, weighted by the window aligned to each."""
        frames = len(buffers[0].data)
        window, weights, scores = hamming(frames), [], []
        for buffer in buffers:
            ((first, end),) = buffer.sliding_window.crop(
                focus, mode=self.cropping_mode, fixed=focus.duration, return_ranges=True
            )
            rows = np.arange(first, end).clip(0, frames - 1)  # as pyannote: beyond its ends a buffer stays as it is
            weights.append(window[rows])
            scores.append(buffer.data[rows])
        hammings, intersection = np.stack(weights), np.stack(scores)
        return np.asarray(np.sum(hammings * intersection, axis=0) / np.sum(hammings, axis=0))


class LeanBinarize:
    """`diart.blocks.Binarize`: scores (frames, speakers) above the threshold to an Annotation, all turns at once."""

    def __init__(self, threshold: float) -> None:
        self.threshold = threshold

    def __call__(self, segmentation: SlidingWindowFeature) -> Annotation:
        active = segmentation.data > self.threshold
        edges = np.diff(np.pad(active, ((1, 1), (0, 0))).astype(np.int8), axis=0)  # (frames + 1, speakers)
        annotation = Annotation(modality="speech")
        middle = segmentation.sliding_window.__getitem__
        begun: dict[int, float] = {}
        for frame, speaker in np.argwhere(edges):
            if edges[frame, speaker] > 0:
                begun[speaker] = middle(int(frame)).middle
            else:
                annotation[Segment(begun[speaker], middle(int(frame)).middle), speaker] = f"speaker{speaker}"
        return annotation


def lean(pipeline: SpeakerDiarization) -> SpeakerDiarization:
    """A `diart.SpeakerDiarization` with these blocks for its own; it is changed and returned."""
    aggregation = pipeline.pred_aggregation
    aggregation.aggregate = LeanHamming(aggregation.cropping_mode)
    pipeline.binarize = LeanBinarize(pipeline.binarize.threshold)
    return pipeline
