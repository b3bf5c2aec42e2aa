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
    """A file as several models hear it, side by side. Models of equal structure and weights (the twin) run once.

    failed: why a variant that raised is heard no more; the others go on.
    """

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
        self.embed, self.diarize, self.failed = {}, {}, dict[str, str]()
        for run, name in self.first.items():
            embedding, lean = variants.as_embedding_model(models[name]), variants.get(name).segmentation is not None
            self.embed[run] = Embedder(file, embedding)
            self.diarize[run] = Diarizer(file, settings, self.segmentations[run], embedding, lean)
        self.said = {run: hashlib.sha256() for run in self.first}
        self.took = dict.fromkeys([*self.first, *map(str, self.segment)], 0.0)

    def __call__(
        self, chunks: slice
    ) -> tuple[dict[str, torch.Tensor], dict[str, list[Annotation]], dict[str, torch.Tensor]]:
        """Embeddings, labels and segmentations of the next chunks, by variant name; of those that have not failed."""
        segmented: dict[int, torch.Tensor] = {}
        embeddings, labels = {}, {}
        for run in [run for run, name in self.first.items() if name not in self.failed]:
            try:
                embeddings[run], labels[run] = self._run(run, chunks, segmented)
            except Exception as error:  # whatever somebody's own variant raises: the others go on
                reason = (str(error).splitlines() or [""])[0]
                failed = [name for name, mine in self.runs.items() if mine == run]
                self.failed |= dict.fromkeys(failed, f"{type(error).__name__}: {reason}")
        going = {name: run for name, run in self.runs.items() if name not in self.failed}
        return (
            {name: embeddings[run] for name, run in going.items()},
            {name: labels[run] for name, run in going.items()},
            {name: segmented[id(self.segmentations[run])] for name, run in going.items()},
        )

    def _run(
        self, run: str, chunks: slice, segmented: dict[int, torch.Tensor]
    ) -> tuple[torch.Tensor, list[Annotation]]:
        """Embeddings and labels of one model; `segmented` keeps what each segmentation model says of these chunks."""
        key = id(self.segmentations[run])
        if key not in segmented:
            segmented[key] = self._timed(str(key), lambda: self.segment[key](chunks))
        embeddings = self._timed(run, lambda: self.embed[run](chunks, segmented[key]))
        labels = self._timed(run, lambda: self.diarize[run](chunks, segmented[key], embeddings))
        for chunk in labels:
            self.said[run].update(repr(turns(chunk)).encode())
        return embeddings, labels

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
