"""Scores of all variants on the same files, from this run or from the cache."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache as cached
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import variants
from bench.pipeline.diarize import Cut, batches
from bench.pipeline.staged import PipelineSettings

from . import cache
from .der import Accuracy, FileScore, changed_chunks, lower, lowest_cosine, score, turns
from .heard import Heard
from .parts import Part

if TYPE_CHECKING:
    from diart.models import SegmentationModel

    from variants.registry import Built

Told = Callable[[float], None]  # the share that is done


@dataclass(frozen=True)
class Task:
    """What is scored and how.

    parts: of recordings. cut: reads one under a perturbation and cuts it into chunks, called only if the cache does not
    know all of it; None for a damaged one. segmentation: the stock one. others: the segmentation model of each variant
    whose pipeline runs another. collar, skip_overlap: DER's two options.
    """

    parts: Sequence[Part]
    cut: Callable[[Part, int], Cut | None]
    settings: PipelineSettings
    segmentation: SegmentationModel
    collar: float
    skip_overlap: bool
    others: Mapping[str, SegmentationModel] = field(default_factory=dict)

    def digest(self) -> str:
        """SHA-256 of all that results depend on besides the recording and the embedding models."""
        model = self.segmentation.model
        return cache.digest(
            cache.code_digest(),
            self.settings,
            (self.collar, self.skip_overlap),
            cache.model_digest(model) or type(model).__name__,
        )


class Scorer:
    """Scores models, by variant name: one file under one perturbation at a time, and each score is kept at once.

    The baseline must be among the models, and stands in for absent parents. folder: of the cache.
    """

    def __init__(self, models: Mapping[str, Built], task: Task, folder: Path) -> None:
        self.models, self.task, self.folder = models, task, folder
        self.common = task.digest()
        self.digests = {name: _identity(name, model, task.others.get(name)) for name, model in models.items()}
        self.known: dict[tuple[str, int, int], FileScore] = {}  # by variant, part and perturbation
        self.damaged: set[int] = set()
        self.recordings = cached(cache.recording_digest)

    def accuracy(
        self, names: Collection[str], perturbation: int = 0, progress: Told = lambda done: None
    ) -> dict[str, Accuracy]:
        """Accuracy of each on all files; of none where all files are damaged."""
        lengths = [seconds or recording.duration for recording, seconds in self.task.parts]

        def told(i: int, share: float) -> None:
            progress((sum(lengths[:i]) + share * lengths[i]) / sum(lengths))

        for i in range(len(lengths)):
            self.file(names, i, perturbation, partial(told, i))
        usable = [i for i in range(len(lengths)) if i not in self.damaged]
        return {name: Accuracy(tuple(self.known[name, i, perturbation] for i in usable)) for name in names}

    def file(
        self, names: Collection[str], part: int, perturbation: int = 0, progress: Told = lambda done: None
    ) -> None:
        """Make those scores of one file that are not known yet.

        All that are missing hear it chunk by chunk beside one another. Cosines and changed chunks are those of
        perturbation 0 only; under others a variant runs alone, and is compared with what the baseline's labels were.
        """
        progress(0.0)
        if perturbation and "baseline" not in names:
            self.file(["baseline"], part, perturbation)
        keys = {name: self._key(name, part, perturbation) for name in names}
        for name, key in keys.items():
            if (name, part, perturbation) not in self.known and key and (hit := cache.load(self.folder, key)):
                self.known[name, part, perturbation] = hit
        missing = [name for name in names if (name, part, perturbation) not in self.known]
        file = self.task.cut(self.task.parts[part], perturbation) if missing and part not in self.damaged else None
        if missing and file is None:
            self.damaged.add(part)
        if file is None:
            return
        for name, fresh in self._scores(file, missing, part, perturbation, progress).items():
            self.known[name, part, perturbation] = fresh
            if key := keys[name]:
                cache.store(self.folder, key, fresh)

    def _key(self, name: str, part: int, perturbation: int) -> str | None:
        """Of a score: it depends on the variant, the baseline and the parent; None where one of them has no digest."""
        trio = [self.digests[n] for n in (name, "baseline", self._parent(name, perturbation))]
        recording, seconds = self.task.parts[part]
        heard = (recording.name, self.recordings(recording), seconds, perturbation)
        return None if None in trio else cache.digest(self.common, heard, trio)

    def _parent(self, name: str, perturbation: int) -> str:
        parent = variants.get(name).parent
        return parent if perturbation == 0 and parent in self.models and parent is not None else "baseline"

    def _scores(
        self, file: Cut, wanted: Collection[str], part: int, perturbation: int, progress: Told
    ) -> dict[str, FileScore]:
        """Scores of the wanted variants. Of a chunk nothing stays but what its labels were, as a digest."""
        parents = {} if perturbation else {name: self._parent(name, 0) for name in wanted}
        needed = dict.fromkeys([*(["baseline"] if parents else []), *parents.values(), *wanted])
        heard = Heard(
            file,
            {name: self.models[name] for name in needed},
            self.digests,
            {name: self.task.others.get(name, self.task.segmentation) for name in needed},
            self.task.settings,
        )
        cosines: dict[str, tuple[float | None, float | None]] = dict.fromkeys(wanted, (1.0, 1.0))
        changed: dict[str, list[float]] = {name: [] for name in wanted}
        for chunks in batches(file):
            progress(chunks.start / len(file.chunks))
            embeddings, labels = heard(chunks)
            for name, parent in parents.items():
                mine, above = embeddings[name].numpy(), embeddings[parent].numpy()
                lowest = lowest_cosine(mine, embeddings["baseline"].numpy()), lowest_cosine(mine, above)
                cosines[name] = (lower(cosines[name][0], lowest[0]), lower(cosines[name][1], lowest[1]))
                changed[name] += changed_chunks(file, chunks.start, labels[name], labels[parent])
        if "baseline" in needed:
            base = turns(heard.labels("baseline"))
        else:
            base = self.known["baseline", part, perturbation].turns
        options = (self.task.collar, self.task.skip_overlap)
        return {
            name: replace(
                score(file, heard.labels(name), base, cosines[name], changed[name], *options),
                labels=heard.digest(name),
                seconds=heard.seconds(name),
            )
            for name in wanted
        }


def _identity(name: str, model: Built, segmentation: SegmentationModel | None = None) -> str | None:
    """Digest of what a model computes: its structure and weights, and the code of variants from elsewhere.

    The code of this project is part of every key; somebody's own variant may change `forward` alone.
    """
    known = cache.model_digest(model)
    if known is not None and segmentation is not None:
        known = cache.digest(known, cache.model_digest(segmentation.model), name)
    foreign = [v for v in variants.ancestry(name) if not v.build.__module__.startswith("variants.")]
    if known is None or not foreign:
        return known
    return cache.digest(known, *(Path(inspect.getfile(inspect.unwrap(v.build))).read_bytes() for v in foreign), name)
