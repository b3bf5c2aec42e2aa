"""Accuracy of all variants on the same files, from this run or from the cache."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from pyannote.core import Segment, Timeline

import variants
from bench.corpus import Recording
from bench.pipeline.diarize import Cut, Diarizer, Embedder, batches, segmenter
from bench.pipeline.staged import PipelineSettings

from . import cache
from .der import Accuracy, FileScore, changed_chunks, lowest_cosine, score

if TYPE_CHECKING:
    from diart.models import SegmentationModel

    from variants.registry import Built

Part = tuple[Recording, float | None]  # the seconds to use of it, None for all


@dataclass(frozen=True)
class Task:
    """What is scored and how.

    parts: of recordings. cut: reads one and cuts it into chunks, called only if the cache does not know all of it;
    None for a damaged one. segmentation: the stock one. others: the segmentation model of each variant whose pipeline
    runs another. collar, skip_overlap: DER's two options.
    """

    parts: Sequence[Part]
    cut: Callable[[Part], Cut | None]
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


def take(recordings: Sequence[Recording], seconds: float | None, scored: bool = False) -> list[Part]:
    """The first `seconds` of a corpus: recordings in order, the last one cut to fit (if 10 s or more are left).

    `scored` counts what DER does: recordings with a reference come first, and only seconds within the UEM count, from
    the first turn on where no other lies among them.
    """
    if seconds is None:
        return [(recording, None) for recording in recordings]
    chosen: list[Part] = []
    left = seconds
    for recording in sorted(recordings, key=lambda r: r.reference is None) if scored else recordings:
        uem = recording.uem if scored else None
        length = recording.duration if uem is None else uem.duration()
        if recording.duration <= left:
            chosen.append((recording, None))
        elif min(left, length) >= 10 or length <= left or not chosen:
            chosen.append((recording, _end(recording, left) if scored else left))
        left = max(0.0, left - length)
    return chosen


def _end(recording: Recording, seconds: float) -> float:
    """Where the first `seconds` that count of a recording end, those from its first turn on if none is before."""
    whole = Timeline([Segment(0, recording.duration)])
    regions = recording.uem or whole
    turns = (whole if recording.reference is None else recording.reference.get_timeline()).crop(regions)

    def end(begin: float) -> float:
        left = seconds
        for region in regions.crop(Segment(begin, recording.duration)):
            if region.duration >= left:
                return float(region.start + left)
            left -= region.duration
        return float(regions.extent().end)

    first = turns.extent().start
    return found if (found := end(0.0)) > first else end(first)


def accuracy(
    models: Mapping[str, Built], task: Task, folder: Path, progress: Callable[[float], None] = lambda done: None
) -> dict[str, Accuracy]:
    """Accuracy of each model by variant name. The baseline must be among them, and stands in for absent parents.

    One file at a time: all models that the cache does not know hear it chunk by chunk beside one another, and what is
    found is kept before the next is read. Empty where all files are damaged.
    """
    common = task.digest()
    digests = {name: _identity(name, model, task.others.get(name)) for name, model in models.items()}
    found: dict[str, list[FileScore]] = {name: [] for name in models}
    lengths = [seconds or recording.duration for recording, seconds in task.parts]

    def told(i: int, share: float) -> None:
        progress((sum(lengths[:i]) + share * lengths[i]) / sum(lengths))

    for i, (recording, seconds) in enumerate(task.parts):
        told(i, 0.0)
        heard = (recording.name, cache.recording_digest(recording), seconds)
        keys = {name: _key(name, digests, (common, heard)) for name in models}
        scores = {name: hit for name, key in keys.items() if key and (hit := cache.load(folder, key)) is not None}
        if len(scores) < len(models):
            file = task.cut((recording, seconds))
            if file is None:
                continue
            missing = [name for name in models if name not in scores]
            for name, fresh in _heard(file, missing, models, digests, task, partial(told, i)).items():
                scores[name] = fresh
                if (key := keys[name]) is not None:
                    cache.store(folder, key, fresh)
            del file  # before the next is read
        for name in models:
            found[name].append(scores[name])
    return {name: Accuracy(tuple(files)) for name, files in found.items()}


def _key(name: str, digests: Mapping[str, str | None], rest: object) -> str | None:
    """Of a score: it depends on the variant, the baseline and the parent; None where one of them has no digest."""
    trio = [digests[n] for n in (name, "baseline", _parent(name, digests))]
    return None if None in trio else cache.digest(rest, trio)


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
    return cache.digest(known, *(Path(inspect.getfile(v.build)).read_bytes() for v in foreign), name)


def _parent(name: str, measured: Collection[str]) -> str:
    parent = variants.get(name).parent
    return parent if parent in measured and parent is not None else "baseline"


def _heard(
    file: Cut,
    wanted: Collection[str],
    models: Mapping[str, Built],
    digests: Mapping[str, str | None],
    task: Task,
    progress: Callable[[float], None],
) -> dict[str, FileScore]:
    """Scores of the wanted variants on one file, which each is run on beside the baseline and its parent.

    Models of equal structure and weights (the twin) run once. Of a chunk nothing stays but whether its labels changed.
    """
    parents = {name: _parent(name, models) for name in wanted}
    needed = dict.fromkeys(["baseline", *parents.values(), *wanted])
    runs = {name: digests[name] or name for name in needed}
    first = {run: name for name, run in reversed(runs.items())}  # whose model each run is of
    segmentations = {run: task.others.get(name, task.segmentation) for run, name in first.items()}
    segment = {id(model): segmenter(file, model) for model in segmentations.values()}
    embedders, diarizers = {}, {}
    for run, name in first.items():
        embedding, lean = variants.as_embedding_model(models[name]), variants.get(name).segmentation is not None
        embedders[run] = Embedder(file, embedding)
        diarizers[run] = Diarizer(file, task.settings, segmentations[run], embedding, lean)
    cosines = dict.fromkeys(wanted, (1.0, 1.0))
    changed: dict[str, list[float]] = {name: [] for name in wanted}
    for chunks in batches(file):
        progress(chunks.start / len(file.chunks))
        segmented = {key: called(chunks) for key, called in segment.items()}
        embeddings = {run: embed(chunks, segmented[id(segmentations[run])]) for run, embed in embedders.items()}
        labels = {
            run: diarize(chunks, segmented[id(segmentations[run])], embeddings[run])
            for run, diarize in diarizers.items()
        }
        for name, parent in parents.items():
            mine, stock, above = (runs[n] for n in (name, "baseline", parent))
            lowest = [lowest_cosine(embeddings[mine].numpy(), embeddings[other].numpy()) for other in (stock, above)]
            cosines[name] = (min(cosines[name][0], lowest[0]), min(cosines[name][1], lowest[1]))
            changed[name] += changed_chunks(file, chunks.start, labels[mine], labels[above])
    whole = {run: diarizer.labels for run, diarizer in diarizers.items()}
    base, options = whole[runs["baseline"]], (task.collar, task.skip_overlap)
    return {name: score(file, whole[runs[name]], base, cosines[name], changed[name], *options) for name in wanted}
