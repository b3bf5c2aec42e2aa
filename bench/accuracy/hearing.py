"""One file, under one perturbation: what several variants say of it, scored. In this process, from nothing kept."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import variants
from bench.pipeline.diarize import Cut, batches
from bench.pipeline.staged import PipelineSettings
from variants import UserError

from .der import FileScore, Turn, changed_chunks, lower, lowest, row_cosines, score, turns
from .heard import Heard
from .parts import Part
from .rows import Rows

if TYPE_CHECKING:
    from diart.models import SegmentationModel

    from variants.registry import Built

Told = Callable[..., None]  # the share that is done, and at what pace if it is known


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


@dataclass(frozen=True)
class Job:
    """Variants to score on one part under one perturbation, beside one another.

    baseline: its turns, if it is not among them.
    """

    names: tuple[str, ...]
    part: int
    perturbation: int = 0
    baseline: tuple[Turn, ...] | None = None


@dataclass(frozen=True)
class Found:
    """What a job found: scores, and of the variants that raised, why."""

    scores: Mapping[str, FileScore]
    failed: Mapping[str, str] = field(default_factory=dict)


class Hearing:
    """Does one job at a time. digests: of models; those of equal ones run once."""

    def __init__(self, models: Mapping[str, Built], digests: Mapping[str, str | None], task: Task) -> None:
        self.models, self.digests, self.task = models, digests, task

    def parent(self, name: str, perturbation: int) -> str:
        """Whom a variant's embeddings and labels are held against; the baseline stands in for absent parents."""
        parent = variants.get(name).parent
        return parent if perturbation == 0 and parent in self.models and parent is not None else "baseline"

    def __call__(self, job: Job, progress: Told = lambda done: None) -> Found | None:
        """Scores of the wanted variants; None if the file is damaged. UserError if the baseline raises.

        All hear the file chunk by chunk beside one another; of a chunk nothing stays but what its labels were, as a
        digest. Cosines and chunks are those of perturbation 0 only; where the parent raised, they are to the baseline.
        """
        file = self.task.cut(self.task.parts[job.part], job.perturbation)
        if file is None:
            return None
        parents = {} if job.perturbation else {name: self.parent(name, 0) for name in job.names}
        needed = dict.fromkeys([*(["baseline"] if parents else []), *parents.values(), *job.names])
        heard = Heard(
            file,
            {name: self.models[name] for name in needed},
            self.digests,
            {name: self.task.others.get(name, self.task.segmentation) for name in needed},
            self.task.settings,
        )
        pairs = [(name, other) for name in parents for other in dict.fromkeys(("baseline", parents[name]))]
        cosines: dict[tuple[str, str], float | None] = dict.fromkeys(pairs, 1.0)
        changed: dict[tuple[str, str], list[float]] = {pair: [] for pair in pairs}
        rows = {pair: Rows() for pair in pairs}
        for chunks in batches(file):
            progress(chunks.start / len(file.chunks))
            embeddings, labels, scores = heard(chunks)
            if "baseline" in heard.failed:
                raise UserError(f"{file.recording.name}: the baseline failed: {heard.failed['baseline']}")
            for name, other in pairs:
                if not {name, other} & heard.failed.keys():
                    near = row_cosines(embeddings[name].numpy(), embeddings[other].numpy())
                    cosines[name, other] = lower(cosines[name, other], None if near is None else lowest(near))
                    if near is not None:
                        rows[name, other].add(file, chunks.start, near, scores[other], self.task.settings.tau)
                    changed[name, other] += changed_chunks(file, chunks.start, labels[name], labels[other])
        base = turns(heard.labels("baseline")) if "baseline" in needed else job.baseline
        options, made = (self.task.collar, self.task.skip_overlap), dict[str, FileScore]()
        for name in (name for name in job.names if name not in heard.failed):
            above = name, "baseline" if parents.get(name) in heard.failed else parents.get(name, "baseline")
            both = cosines.get((name, "baseline"), 1.0), cosines.get(above, 1.0)
            found = score(file, heard.labels(name), base, both, changed.get(above, []), *options)
            made[name] = replace(found, labels=heard.digest(name), seconds=heard.seconds(name))
            if above in rows:
                made[name] = replace(made[name], cosines=rows[name, "baseline"].counts, worst=rows[above].worst)
        return Found(made, {name: heard.failed[name] for name in job.names if name in heard.failed})
