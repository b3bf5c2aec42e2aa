"""Pipelines of several live streams that share one pair of models; chunks of several go through these in one pass."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch

from bench.pipeline.staged import PipelineSettings, diart_pipeline
from variants.exact.memory import memories, missed, remember

if TYPE_CHECKING:
    from diart.models import EmbeddingModel, SegmentationModel
    from pyannote.core import Annotation, SlidingWindowFeature

Chunk = tuple[int, "SlidingWindowFeature"]  # of which stream


class Streams:
    """As many streams, each with speakers, buffers and clock of its own.

    failed: why a stream ended, by its number. Segmentation and embedding run once for all chunks of a call; where that
    raises, each chunk runs alone, and the stream of the one that raises ends. All others never notice.
    """

    def __init__(
        self,
        count: int,
        settings: PipelineSettings,
        segmentation: SegmentationModel,
        embedding: EmbeddingModel,
        lean: bool = False,
    ) -> None:
        self.pipelines = [diart_pipeline(settings, segmentation, embedding, lean) for _ in range(count)]
        self.segmentation, self.embedding = self.pipelines[0].segmentation, self.pipelines[0].embedding
        self.models = segmentation, embedding
        self.samples = round(settings.duration * 16000)
        self.failed: dict[int, str] = {}
        for memory in memories(self.models):
            memory.clear()
        remember(count, *self.models)
        self._missed = missed(*self.models)

    @property
    def missed(self) -> int:
        """Chunks whose stream a model had forgotten: there should be none."""
        return missed(*self.models) - self._missed

    @property
    def state(self) -> tuple[object, ...]:
        """All that is kept from chunk to chunk."""
        return [vars(pipeline) for pipeline in self.pipelines], memories(self.models)

    def __call__(self, chunks: Sequence[Chunk]) -> list[Annotation | None]:
        """The labels of each chunk; None for those of streams that have ended."""
        going = [(stream, chunk) for stream, chunk in chunks if self._sound(stream, chunk)]
        found = iter(self._together(going)) if going else iter(())
        alive = {id(chunk) for _, chunk in going}
        return [next(found) if id(chunk) in alive else None for _, chunk in chunks]

    def _sound(self, stream: int, chunk: SlidingWindowFeature) -> bool:
        if stream not in self.failed and chunk.data.shape != (self.samples, 1):
            self._end(stream, f"a chunk of shape {chunk.data.shape}, where ({self.samples}, 1) was due")
        return stream not in self.failed

    def _end(self, stream: int, why: str) -> None:
        self.failed[stream] = f"stream {stream} ended: {why}"

    def _together(self, chunks: Sequence[Chunk]) -> list[Annotation | None]:
        try:
            waveforms = torch.from_numpy(np.stack([chunk.data for _, chunk in chunks]))
            segmentations = self.segmentation(waveforms)
            embeddings = self.embedding(waveforms, segmentations)
            # DIART drops the dimension of a single speaker
            embeddings = embeddings.reshape(len(chunks), segmentations.shape[2], -1)
        except Exception as error:  # whatever a variant raises
            if len(chunks) > 1:
                return [labels for chunk in chunks for labels in self([chunk])]
            self._end(chunks[0][0], f"{type(error).__name__}: {str(error).partition(chr(10))[0]}")
            return [None]
        return [self._labels(*chunk, segmentations[i], embeddings[i]) for i, chunk in enumerate(chunks)]

    def _labels(
        self, stream: int, chunk: SlidingWindowFeature, segmentation: torch.Tensor, embeddings: torch.Tensor
    ) -> Annotation | None:
        """Clustering and aggregation, in the stream's own pipeline."""
        pipeline = self.pipelines[stream]
        pipeline.segmentation, pipeline.embedding = _known(segmentation), _known(embeddings)
        try:
            ((labels, _),) = pipeline([chunk])
        except Exception as error:
            self._end(stream, f"{type(error).__name__}: {str(error).partition(chr(10))[0]}")
            return None
        return labels


def _known(found: torch.Tensor) -> Callable[..., torch.Tensor]:
    """A model's stand-in, which has been run already."""
    return lambda *_: found[None]
