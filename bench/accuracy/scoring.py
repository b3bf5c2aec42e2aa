"""Scores of all variants on the same files: from this run, here or by other processes, or from the cache."""

from __future__ import annotations

import inspect
import math
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cache as cached
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import variants

from . import cache
from .der import Accuracy, FileScore
from .hearing import Found, Hearing, Job, Task, Told

if TYPE_CHECKING:
    from diart.models import SegmentationModel

    from variants.registry import Built


class Workers(Protocol):
    """Those who do jobs beside one another."""

    def results(self, jobs: Sequence[Job], left: Callable[[], float]) -> Iterator[tuple[Job, Found | None]]:
        """What each found, as it comes; what `Hearing` says of one. Once no seconds are left, none is begun."""
        ...


class Scorer:
    """Scores models, by variant name: one file under one perturbation at a time, and each score is kept at once.

    The baseline must be among the models, and stands in for absent parents. folder: of the cache. mark: of scores that
    are not to be taken for others of the same code, models and audio. workers: None to do all of it here.
    failed: variants that raised, with the first file and reason; what else they scored is left out.
    """

    def __init__(self, models: Mapping[str, Built], task: Task, folder: Path, mark: str = "") -> None:
        self.models, self.task, self.folder = models, task, folder
        self.workers: Workers | None = None
        model = task.segmentation.model
        self.common = cache.digest(
            cache.code_digest(),
            task.settings,
            (task.collar, task.skip_overlap),
            cache.model_digest(model) or type(model).__name__,
            *([mark] if mark else []),
        )
        self.digests = {name: _identity(name, model, task.others.get(name)) for name, model in models.items()}
        self.hearing = Hearing(models, self.digests, task)
        self.known: dict[tuple[str, int, int], FileScore] = {}  # by variant, part and perturbation
        self.damaged: set[int] = set()
        self.failed: dict[str, str] = {}
        self.recordings = cached(cache.recording_digest)

    def accuracy(
        self, names: Collection[str], perturbation: int = 0, progress: Told = lambda done: None
    ) -> dict[str, Accuracy]:
        """Accuracy of each that does not raise on all files; of none where all files are damaged."""
        jobs = [Job(tuple(names), i, perturbation) for i in range(len(self.task.parts))]
        if self.workers is not None:
            jobs.sort(key=lambda job: -self._length(job))  # longest first, or the last of them goes on alone
        self.run(jobs, progress=progress)
        return self.complete(names, perturbation)

    def complete(self, names: Collection[str], perturbation: int) -> dict[str, Accuracy]:
        """Accuracy of each whose scores of all files are known."""
        usable = [i for i in range(len(self.task.parts)) if i not in self.damaged]
        whole = [name for name in names if all((name, i, perturbation) in self.known for i in usable)]
        return {
            name: Accuracy(tuple(self.known[name, i, perturbation] for i in usable))
            for name in whole
            if name not in self.failed
        }

    def run(
        self, jobs: Iterable[Job], left: Callable[[], float] = lambda: math.inf, progress: Told = lambda done: None
    ) -> bool:
        """Make those scores that are not known yet; False if the time was over before. What is begun is finished.

        Whoever does a job, its scores are kept here, as they come: they are the same, and so are those of an
        interrupted run.
        """
        todo = [job for given in jobs if (job := self._missing(given)).names]
        lengths = {job: self._length(job) for job in todo}
        done, total, begin = 0.0, sum(lengths.values()), time.monotonic()

        def told(job: Job, share: float) -> None:
            progress((done + share * lengths[job]) / total)

        if self.workers is not None:
            for count, (job, found) in enumerate(self.workers.results(todo, left), 1):
                self._keep(job, found or self.hearing(job))  # what is damaged is so here, too, and is told
                done += lengths.pop(job)
                progress(done / total, f"{count / (time.monotonic() - begin):.2g} files/s")
            return not lengths
        for job in todo:
            if left() <= 0:
                return False
            told(job, 0.0)
            self._keep(job, self.hearing(job, partial(told, job)))
            done += lengths[job]
        return True

    def _length(self, job: Job) -> float:
        recording, seconds = self.task.parts[job.part]
        return seconds or recording.duration

    def _missing(self, job: Job) -> Job:
        """What of a job is not known: under perturbations, the baseline's labels are a part of it."""
        for name in (*job.names, *(["baseline"] if job.perturbation else [])):
            if (at := (name, job.part, job.perturbation)) not in self.known:
                key = self._key(*at)
                if key and (hit := cache.load(self.folder, key)):
                    self.known[at] = hit
        names = tuple(n for n in job.names if (n, job.part, job.perturbation) not in self.known)
        if job.part in self.damaged or not names:
            return replace(job, names=())
        base = self.known.get(("baseline", job.part, job.perturbation))
        if job.perturbation and base is None and "baseline" not in names:
            names = ("baseline", *names)
        return replace(job, names=names, baseline=base.turns if job.perturbation and base else None)

    def _keep(self, job: Job, found: Found | None) -> None:
        """Remember what a job found, and write its scores."""
        if found is None:
            self.damaged.add(job.part)
            return
        for name, why in found.failed.items():
            self.failed.setdefault(name, f"{self.task.parts[job.part][0].name}: {why}")
        for name, score in found.scores.items():
            self.known[name, job.part, job.perturbation] = score
            key = self._key(name, job.part, job.perturbation)
            if key and self.hearing.parent(name, job.perturbation) not in found.failed:
                cache.store(self.folder, key, score)

    def _key(self, name: str, part: int, perturbation: int) -> str | None:
        """Of a score: it depends on the variant, the baseline and the parent; None where one of them has no digest."""
        trio = [self.digests[n] for n in (name, "baseline", self.hearing.parent(name, perturbation))]
        recording, seconds = self.task.parts[part]
        heard = (recording.name, self.recordings(recording), seconds, perturbation)
        return None if None in trio else cache.digest(self.common, heard, trio)


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
