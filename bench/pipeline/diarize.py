"""A whole file through the stock pipeline, with the segmentation shared by all variants and embeddings in batches."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from pyannote.core import Annotation, Segment, Timeline

from bench.corpus import Recording
from variants.arrays import Floats

from .chunks import Chunks, stream_chunks
from .oracle import OracleSegmentation
from .staged import PipelineSettings, diart_config, diart_pipeline

if TYPE_CHECKING:
    from diart.models import EmbeddingModel, SegmentationModel

BATCH = 32  # as diart.inference.Benchmark


@dataclass(frozen=True)
class Segmented:
    """One recording (or its first seconds), cut and segmented.

    waveforms: (chunks, samples, 1). segmentations: (chunks, frames, speakers). scored: where DER counts, None for
    all of it.
    """

    recording: Recording
    scored: Timeline | None
    chunks: Chunks
    waveforms: torch.Tensor
    segmentations: torch.Tensor


@dataclass(frozen=True)
class Output:
    """What the pipeline made of one file: embeddings (chunks, speakers, dim), labels per chunk and over all."""

    embeddings: Floats
    by_chunk: list[Annotation]
    labels: Annotation


def segment(
    recording: Recording, settings: PipelineSettings, segmentation: SegmentationModel, seconds: float | None = None
) -> Segmented:
    """Cut a recording (its first `seconds`) into chunks and segment them once, for every variant."""
    from diart.blocks import SpeakerSegmentation

    waveform, scored = recording.waveform(), recording.uem
    if seconds is not None:
        waveform = waveform[:, : round(seconds * 16000)]
        first = Timeline([Segment(0, seconds)])
        scored = first if scored is None else scored.crop(first, mode="intersection")
    chunks = stream_chunks(waveform, recording.path, diart_config(settings, segmentation, segmentation))
    waveforms = torch.stack([torch.from_numpy(chunk.data).float() for chunk in chunks.items])
    oracle = segmentation.model if isinstance(segmentation.model, OracleSegmentation) else None
    if oracle is not None:
        starts = [chunks.start(i) for i in range(len(chunks.items))]
        oracle.reference(recording.reference, starts)
    block = SpeakerSegmentation(segmentation, torch.device("cpu"))
    parts = []
    for i in range(0, len(waveforms), BATCH):
        if oracle is not None:
            oracle.at(starts[i : i + BATCH])
        parts.append(block(waveforms[i : i + BATCH]))
    return Segmented(recording, scored, chunks, waveforms, torch.cat(parts))


def embed(segmented: Segmented, embedding: EmbeddingModel) -> torch.Tensor:
    """DIART's overlap-aware embeddings of every chunk, (chunks, speakers, dim), unit norm."""
    from diart.blocks import OverlapAwareSpeakerEmbedding

    block = OverlapAwareSpeakerEmbedding(embedding, device=torch.device("cpu"))
    parts = [
        block(segmented.waveforms[first : first + BATCH], segmented.segmentations[first : first + BATCH])
        for first in range(0, len(segmented.waveforms), BATCH)
    ]
    return torch.cat(parts)


def diarize(
    segmented: Segmented,
    embeddings: torch.Tensor,
    settings: PipelineSettings,
    segmentation: SegmentationModel,
    embedding: EmbeddingModel,
    lean: bool = False,
) -> Output:
    """Run the pipeline over a file, its two models replaced by what they have already computed."""
    from diart.sinks import PredictionAccumulator

    pipeline = diart_pipeline(settings, segmentation, embedding, lean)
    pipeline.reset()
    pipeline.set_timestamp_shift(-segmented.chunks.padding)
    accumulator = PredictionAccumulator(segmented.recording.name)
    by_chunk = []
    for i, chunk in enumerate(segmented.chunks.items):
        pipeline.segmentation = lambda _, i=i: segmented.segmentations[i : i + 1]
        pipeline.embedding = lambda *_, i=i: embeddings[i : i + 1]
        ((labels, _),) = pipeline([chunk])
        by_chunk.append(labels.copy())
        accumulator.on_next(labels)
    return Output(embeddings.numpy(), by_chunk, accumulator.get_prediction())
