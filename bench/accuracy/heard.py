"""One file, heard by several models side by side."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, TypeVar

import torch
from pyannote.core import Annotation

import variants
from bench.pipeline.diarize import Cut, Diarizer, Embedder, segmenter
from bench.pipeline.staged import PipelineSettings

from .der import turns

if TYPE_CHECKING:
    from diart.models import SegmentationModel

    from variants.registry import Built

T = TypeVar("T")


class Heard:
    """A file as several models hear it, side by side. Models of equal structure and weights (the twin) run once."""

    def __init__(
        self,
        file: Cut,
        models: Mapping[str, Built],
        digests: Mapping[str, str | None],
        segmentations: Mapping[str, SegmentationModel],
        settings: PipelineSettings,
    ) -> None:
        self.runs = {name: digests[name] or name for name in models}
        self.first = {run: name for name, run in reversed(self.runs.items())}  # whose model each run is of
        self.segmentations = {run: segmentations[name] for run, name in self.first.items()}
        self.segment = {id(model): segmenter(file, model) for model in self.segmentations.values()}
        self.embed, self.diarize = {}, {}
        for run, name in self.first.items():
            embedding, lean = variants.as_embedding_model(models[name]), variants.get(name).segmentation is not None
            self.embed[run] = Embedder(file, embedding)
            self.diarize[run] = Diarizer(file, settings, self.segmentations[run], embedding, lean)
        self.said = {run: hashlib.sha256() for run in self.first}
        self.took = dict.fromkeys([*self.first, *map(str, self.segment)], 0.0)

    def __call__(self, chunks: slice) -> tuple[dict[str, torch.Tensor], dict[str, list[Annotation]]]:
        """Embeddings and labels of the next chunks, by variant name."""
        segmented, embeddings, labels = {}, {}, {}
        for key, segment in self.segment.items():
            segmented[key] = self._timed(str(key), lambda: segment(chunks))  # noqa: B023
        for run, embed in self.embed.items():
            mine = segmented[id(self.segmentations[run])]
            found = embeddings[run] = self._timed(run, lambda: embed(chunks, mine))  # noqa: B023
            labels[run] = self._timed(run, lambda: self.diarize[run](chunks, mine, found))  # noqa: B023
            for chunk in labels[run]:
                self.said[run].update(repr(turns(chunk)).encode())
        return (
            {name: embeddings[run] for name, run in self.runs.items()},
            {name: labels[run] for name, run in self.runs.items()},
        )

    def _timed(self, key: str, call: Callable[[], T]) -> T:
        begin = time.perf_counter()
        try:
            return call()
        finally:
            self.took[key] += time.perf_counter() - begin

    def labels(self, name: str) -> Annotation:
        """Who spoke when in the whole file."""
        return self.diarize[self.runs[name]].labels

    def digest(self, name: str) -> str:
        """Of the labels of each chunk."""
        return self.said[self.runs[name]].hexdigest()

    def seconds(self, name: str) -> float:
        """That segmentation, embedding and the rest of the pipeline took."""
        run = self.runs[name]
        return self.took[run] + self.took[str(id(self.segmentations[run]))]
