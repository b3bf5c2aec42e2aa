"""What is timed: a variant's embedding call alone, and the full DIART pipeline around it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from bench.pipeline.diarize import Segmented
from bench.pipeline.oracle import OracleSegmentation
from bench.pipeline.staged import PipelineSettings, StagedPipeline

if TYPE_CHECKING:
    from diart.models import EmbeddingModel, SegmentationModel
    from pyannote.core import SlidingWindowFeature


@dataclass(frozen=True)
class Item:
    """One chunk, its samples (1, samples, 1) and its segmentation (1, frames, speakers)."""

    chunk: SlidingWindowFeature
    waveform: torch.Tensor
    segmentation: torch.Tensor


def items(segmented: Segmented) -> list[Item]:
    """The successive items of a file."""
    return [
        Item(chunk, segmented.waveforms[i : i + 1], segmented.segmentations[i : i + 1])
        for i, chunk in enumerate(segmented.chunks)
    ]


class ModelOnly:
    """DIART's `OverlapAwareSpeakerEmbedding` on a chunk, as the pipeline calls it."""

    def __init__(self, embedding: EmbeddingModel) -> None:
        from diart.blocks import OverlapAwareSpeakerEmbedding

        self.block = OverlapAwareSpeakerEmbedding(embedding, device=torch.device("cpu"))

    def start(self, stream: Segmented) -> None:
        """Nothing is kept from file to file."""

    def __call__(self, item: Item) -> Mapping[str, float]:
        self.block(item.waveform, item.segmentation)
        return {}


class Pipeline:
    """The pipeline, from chunk in to labels out, reset at each file."""

    def __init__(
        self,
        embedding: EmbeddingModel,
        segmentation: SegmentationModel,
        settings: PipelineSettings,
        lean: bool = False,
        device: str = "cpu",
    ) -> None:
        self.staged = StagedPipeline(settings, segmentation, embedding, lean, device)
        self.oracle = segmentation.model if isinstance(segmentation.model, OracleSegmentation) else None
        self.padding = 0.0

    def start(self, stream: Segmented) -> None:
        self.padding = stream.chunks.padding
        self.staged.reset(-self.padding)
        if self.oracle is not None:
            starts = [stream.chunks.start(i) for i in range(len(stream.chunks))]
            self.oracle.reference(stream.recording.reference, starts)

    def __call__(self, item: Item) -> Mapping[str, float]:
        if self.oracle is not None:
            self.oracle.at([item.chunk.extent.start - self.padding])
        return self.staged(item.chunk)[1]
