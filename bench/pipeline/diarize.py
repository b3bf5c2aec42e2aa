"""A whole file through the stock pipeline, some chunks at a time: segmentation shared by variants, models in batches.

Results are those of DIART's pipeline fed chunk by chunk; what is kept of a chunk is what the caller keeps.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from pyannote.core import Annotation, Segment, Timeline
from torch import nn

from bench.corpus import Recording
from variants.arrays import Floats
from variants.exact.cached import CachedFront
from variants.exact.shared_trunk import SharedTrunk

from .chunks import Chunks, stream_chunks
from .oracle import OracleSegmentation
from .perturb import perturbed
from .staged import PipelineSettings, diart_config, diart_pipeline

if TYPE_CHECKING:
    from diart.models import EmbeddingModel, SegmentationModel

BATCH = 8  # chunks segmented at a time: on two cores 9 ms each, at 32 as at 1 16 ms
EMBEDDED = 4  # chunks embedded at a time: more rows leave the caches
CHECKED = 2  # chunks of a file on which a model's answer to 3-D weights is compared
STITCHED = 64  # chunks after which a file's labels are stitched: one turn for what is otherwise hundreds


@dataclass(frozen=True)
class Cut:
    """One recording (or its first seconds: duration) as chunks. scored: where DER counts, None for all of it."""

    recording: Recording
    scored: Timeline | None
    chunks: Chunks
    duration: float

    @property
    def waveforms(self) -> torch.Tensor:
        """(chunks, samples, 1)."""
        return self.chunks.waveforms


@dataclass(frozen=True)
class Segmented(Cut):
    """With segmentations (chunks, frames, speakers)."""

    segmentations: torch.Tensor


@dataclass(frozen=True)
class Output:
    """What the pipeline made of one file: embeddings (chunks, speakers, dim), labels per chunk and over all."""

    embeddings: Floats
    by_chunk: list[Annotation]
    labels: Annotation


def cut(recording: Recording, settings: PipelineSettings, seconds: float | None = None, perturbation: int = 0) -> Cut:
    """Read a recording (its first `seconds`), perturb it, and cut it into chunks; CorpusError if it is damaged."""
    waveform, scored = recording.waveform(), recording.uem
    if seconds is not None:
        waveform = waveform[:, : round(seconds * 16000)]
        first = Timeline([Segment(0, seconds)])
        scored = first if scored is None else scored.crop(first, mode="intersection")
    waveform = perturbed(waveform, perturbation, recording.name)
    chunks = stream_chunks(waveform, recording.path, diart_config(settings, object(), object()))
    return Cut(recording, scored, chunks, waveform.shape[1] / 16000)


def batches(file: Cut) -> Iterator[slice]:
    """The successive chunks that are worked on at a time."""
    return (slice(first, min(first + BATCH, len(file.chunks))) for first in range(0, len(file.chunks), BATCH))


def segmenter(file: Cut, segmentation: SegmentationModel) -> Callable[[slice], torch.Tensor]:
    """From successive chunks of a file to their segmentations (chunks, frames, speakers)."""
    from diart.blocks import SpeakerSegmentation

    block = SpeakerSegmentation(segmentation, torch.device("cpu"))
    oracle = segmentation.model if isinstance(segmentation.model, OracleSegmentation) else None
    starts = [file.chunks.start(i) for i in range(len(file.chunks))] if oracle is not None else []
    if oracle is not None:
        oracle.reference(file.recording.reference, starts)

    def segmented(chunks: slice) -> torch.Tensor:
        if oracle is not None:
            oracle.at(starts[chunks])
        found: torch.Tensor = block(file.waveforms[chunks])
        return found

    return segmented


class Embedder:
    """DIART's overlap-aware embeddings of successive chunks of a file, (chunks, speakers, dim), unit norm.

    DIART hands a model each waveform once per speaker. Where the model itself takes the weights of all speakers,
    (chunks, speakers, frames), as pyannote's statistics pooling does, it is called once per chunk: tried on drawn
    chunks of each file, and only if its embeddings are those of the call row by row. A model that keeps something from
    call to call hears nothing but the file, in order; one that shares its trunk among rows gains nothing.
    """

    def __init__(self, file: Cut, embedding: EmbeddingModel) -> None:
        from diart.blocks import OverlapAwareSpeakerEmbedding

        self.block, self.file = OverlapAwareSpeakerEmbedding(embedding, device=torch.device("cpu")), file
        model = embedding.model
        own = not isinstance(model, nn.Module) or any(isinstance(m, CachedFront | SharedTrunk) for m in model.modules())
        self.once: bool | None = False if own else None  # whether once per chunk; None: not tried yet

    def __call__(self, chunks: slice, segmentations: torch.Tensor) -> torch.Tensor:
        if self.once is None:
            self.once = self._agrees(*segmentations.shape[1:])
        embed = self._by_chunk if self.once else self._by_row
        parts = zip(self.file.waveforms[chunks].split(EMBEDDED), segmentations.split(EMBEDDED), strict=True)
        return torch.cat([embed(waveforms, segmentation) for waveforms, segmentation in parts])

    def _by_row(self, waveforms: torch.Tensor, segmentations: torch.Tensor) -> torch.Tensor:
        found: torch.Tensor = self.block(waveforms, segmentations)
        return found.reshape(len(waveforms), segmentations.shape[2], -1)  # DIART squeezes a single speaker

    def _by_chunk(self, waveforms: torch.Tensor, segmentations: torch.Tensor) -> torch.Tensor:
        weights = self.block.osp(segmentations).transpose(1, 2)
        with torch.no_grad():
            raw = self.block.embedding.model(waveforms.transpose(1, 2), weights)
        found: torch.Tensor = self.block.normalize(raw)
        return found

    def _agrees(self, frames: int, speakers: int) -> bool:
        """Whether both calls give the same for drawn chunks, speakers talking by turns, at once, and not at all."""
        random = torch.Generator().manual_seed(0)
        drawn = torch.randperm(len(self.file.chunks), generator=random)[:CHECKED]
        scores = torch.rand(len(drawn), 8, speakers, generator=random).repeat_interleave(-(-frames // 8), 1)[:, :frames]
        scores[0, :, -1] = 0
        expected = self._by_row(self.file.waveforms[drawn], scores)
        try:
            found = self._by_chunk(self.file.waveforms[drawn], scores)
        except Exception:  # somebody's own model may raise anything at weights that it was never promised
            return False
        return found.shape == expected.shape and torch.allclose(found, expected, rtol=0, atol=1e-5, equal_nan=True)


class Diarizer:
    """The pipeline over a file's successive chunks, its two models replaced by what they have already computed."""

    def __init__(
        self,
        file: Cut,
        settings: PipelineSettings,
        segmentation: SegmentationModel,
        embedding: EmbeddingModel,
        lean: bool = False,
    ) -> None:
        from diart.sinks import PredictionAccumulator

        self.file, self.pipeline = file, diart_pipeline(settings, segmentation, embedding, lean)
        self.pipeline.reset()
        self.pipeline.set_timestamp_shift(-file.chunks.padding)
        self.accumulator = PredictionAccumulator(file.recording.name)

    def __call__(self, chunks: slice, segmentations: torch.Tensor, embeddings: torch.Tensor) -> list[Annotation]:
        """The labels of each chunk."""
        found = []
        for i, index in enumerate(range(*chunks.indices(len(self.file.chunks)))):
            self.pipeline.segmentation = lambda _, i=i: segmentations[i : i + 1]
            self.pipeline.embedding = lambda *_, i=i: embeddings[i : i + 1]
            ((labels, _),) = self.pipeline([self.file.chunks[index]])
            found.append(labels.copy())
            self.accumulator.on_next(labels)
            if index % STITCHED == STITCHED - 1:
                self.accumulator.patch()
        return found

    @property
    def labels(self) -> Annotation:
        """The labels of all chunks so far."""
        return self.accumulator.get_prediction()


def segment(
    recording: Recording,
    settings: PipelineSettings,
    segmentation: SegmentationModel,
    seconds: float | None = None,
    perturbation: int = 0,
) -> Segmented:
    """Cut a recording (its first `seconds`) into chunks and segment them once, for every variant."""
    file = cut(recording, settings, seconds, perturbation)
    segmented = segmenter(file, segmentation)
    found = torch.cat([segmented(part) for part in batches(file)])
    return Segmented(file.recording, file.scored, file.chunks, file.duration, found)


def embed(segmented: Segmented, embedding: EmbeddingModel) -> torch.Tensor:
    """Embeddings of every chunk, (chunks, speakers, dim), unit norm."""
    embedder = Embedder(segmented, embedding)
    return torch.cat([embedder(part, segmented.segmentations[part]) for part in batches(segmented)])


def diarize(
    segmented: Segmented,
    embeddings: torch.Tensor,
    settings: PipelineSettings,
    segmentation: SegmentationModel,
    embedding: EmbeddingModel,
    lean: bool = False,
) -> Output:
    """Run the pipeline over a file, its two models replaced by what they have already computed."""
    diarizer = Diarizer(segmented, settings, segmentation, embedding, lean)
    by_chunk = diarizer(slice(None), segmented.segmentations, embeddings)
    return Output(embeddings.numpy(), by_chunk, diarizer.labels)
