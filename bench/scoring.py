"""Accuracy of all variants on the same files, from this run or from the cache."""

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import variants

from . import cache
from .accuracy import Accuracy, score
from .corpus import Recording
from .diarize import Output, Segmented, diarize, embed
from .pipeline import PipelineSettings


@dataclass(frozen=True)
class Task:
    """What is scored and how.

    parts: recordings with the seconds to use of each (None: all). segmented: cuts and segments them, called only if
    the cache does not know the answer. collar, skip_overlap: DER's two options.
    """

    parts: Sequence[tuple[Recording, float | None]]
    segmented: Callable[[], list[Segmented]]
    settings: PipelineSettings
    segmentation: Any
    collar: float
    skip_overlap: bool

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


def take(recordings: Sequence[Recording], seconds: float | None) -> list[tuple[Recording, float | None]]:
    """The first `seconds` of a corpus: recordings in order, the last one cut to fit (if 10 s or more are left for it).

    Each comes with the seconds to use of it, None for all.
    """
    chosen: list[tuple[Recording, float | None]] = []
    left = float("inf") if seconds is None else seconds
    for recording in recordings:
        if recording.duration <= left:
            chosen.append((recording, None))
        elif left >= 10 or not chosen:
            chosen.append((recording, left))
        left = max(0.0, left - recording.duration)
    return chosen


def accuracy(
    models: Mapping[str, Any], task: Task, folder: Path, progress: Callable[[float], None] = lambda done: None
) -> dict[str, Accuracy]:
    """Accuracy of each model (which must include the baseline and all parents), by variant name."""
    common = task.digest()
    digests = {name: _identity(name, model) for name, model in models.items()}

    def key(name: str) -> str | None:
        trio = [digests[n] for n in (name, "baseline", variants.get(name).parent or name)]
        return None if None in trio else cache.digest(common, trio)

    keys = {name: key(name) for name in models}
    stored = {name: cache.load(folder, k) for name, k in keys.items() if k is not None}
    hits = {name: hit for name, hit in stored.items() if hit is not None}
    if len(hits) == len(models):
        return hits
    files = task.segmented()
    outputs: dict[str, list[Output]] = {}
    by_digest: dict[str, list[Output]] = {}  # models of equal structure and weights (the twin) run once
    for i, (name, model) in enumerate(models.items()):
        progress(i / len(models))
        known = digests[name]
        outputs[name] = by_digest.get(known or "") or _run(files, model, task)
        if known is not None:
            by_digest[known] = outputs[name]
    result = {name: _score(name, files, outputs, task) for name in models}
    for name, found in result.items():
        if (k := keys[name]) is not None:
            cache.store(folder, k, found)
    return result


def _identity(name: str, model: Any) -> str | None:
    """Digest of what a model computes: its structure and weights, and the code of variants from elsewhere.

    The code of this project is part of every key; somebody's own variant may change `forward` alone.
    """
    known = cache.model_digest(model)
    foreign = [v for v in variants.ancestry(name) if not v.build.__module__.startswith("variants.")]
    if known is None or not foreign:
        return known
    return cache.digest(known, *(Path(inspect.getfile(v.build)).read_bytes() for v in foreign), name)


def _run(files: Sequence[Segmented], model: Any, task: Task) -> list[Output]:
    embedding = variants.as_embedding_model(model)
    return [diarize(file, embed(file, embedding), task.settings, task.segmentation, embedding) for file in files]


def _score(name: str, files: Sequence[Segmented], outputs: Mapping[str, list[Output]], task: Task) -> Accuracy:
    parent = outputs[variants.get(name).parent or name]
    trios = zip(files, outputs[name], outputs["baseline"], parent, strict=True)
    return Accuracy(
        tuple(score(file, mine, base, above, task.collar, task.skip_overlap) for file, mine, base, above in trios)
    )
