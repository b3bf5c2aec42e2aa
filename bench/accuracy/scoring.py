"""Accuracy of all variants on the same files, from this run or from the cache."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from pyannote.core import Segment, Timeline

import variants
from bench.corpus import Recording
from bench.pipeline.diarize import Output, Segmented, diarize, embed
from bench.pipeline.staged import PipelineSettings

from . import cache
from .der import Accuracy, score

if TYPE_CHECKING:
    from diart.models import SegmentationModel

    from variants.registry import Built

Part = tuple[Recording, float | None]  # the seconds to use of it, None for all


@dataclass(frozen=True)
class Task:
    """What is scored and how.

    parts: of recordings. segmented: cuts and segments them for a variant,
    called only if the cache does not know the answer. segmentation: the stock one. others: the segmentation model of
    each variant whose pipeline runs another. collar, skip_overlap: DER's two options.
    """

    parts: Sequence[Part]
    segmented: Callable[[str], list[Segmented]]
    settings: PipelineSettings
    segmentation: SegmentationModel
    collar: float
    skip_overlap: bool
    others: Mapping[str, SegmentationModel] = field(default_factory=dict)

    def digest(self) -> str:
        """SHA-256 of all that results depend on besides the embedding models."""
        model = self.segmentation.model
        return cache.digest(
            cache.code_digest(),
            [(cache.recording_digest(recording), seconds) for recording, seconds in self.parts],
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
    """Accuracy of each model by variant name. The baseline must be among them, and stands in for absent parents."""
    common = task.digest()
    digests = {name: _identity(name, model, task.others.get(name)) for name, model in models.items()}

    def key(name: str) -> str | None:
        trio = [digests[n] for n in (name, "baseline", _parent(name, models))]
        return None if None in trio else cache.digest(common, trio)

    keys = {name: key(name) for name in models}
    stored = {name: cache.load(folder, k) for name, k in keys.items() if k is not None}
    hits = {name: hit for name, hit in stored.items() if hit is not None}
    if len(hits) == len(models):
        return hits
    outputs: dict[str, list[Output]] = {}
    by_digest: dict[str, list[Output]] = {}  # models of equal structure and weights (the twin) run once
    for i, (name, model) in enumerate(models.items()):
        progress(i / len(models))
        known = digests[name]
        outputs[name] = by_digest.get(known or "") or _run(name, model, task)
        if known is not None:
            by_digest[known] = outputs[name]
    result = {name: _score(name, outputs, task) for name in models}
    for name, found in result.items():
        if (k := keys[name]) is not None:
            cache.store(folder, k, found)
    return result


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


def _run(name: str, model: Built, task: Task) -> list[Output]:
    embedding, lean = variants.as_embedding_model(model), variants.get(name).segmentation is not None
    return [
        diarize(file, embed(file, embedding), task.settings, task.segmentation, embedding, lean)
        for file in task.segmented(name)
    ]


def _score(name: str, outputs: Mapping[str, list[Output]], task: Task) -> Accuracy:
    parent = outputs[_parent(name, outputs)]
    trios = zip(task.segmented(name), outputs[name], outputs["baseline"], parent, strict=True)
    return Accuracy(
        tuple(score(file, mine, base, above, task.collar, task.skip_overlap) for file, mine, base, above in trios)
    )
