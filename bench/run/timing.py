"""How fast each variant of a run is, by one of two ways to measure, and what there is to hold that against."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Protocol

import variants
from bench.history.controls import Control
from bench.latency.floor import Floor, Operations, operations, peak
from bench.latency.interleave import Interrupted, Measurement, interleave
from bench.latency.kinds import KindName
from bench.latency.results import TWIN, Kind, summarize
from bench.latency.subjects import ModelOnly, Pipeline
from bench.latency.tracing import untraced
from variants import UserError

from .corpus import Corpus
from .footprint import footprint_of
from .models import Models
from .options import TimingOptions

if TYPE_CHECKING:
    from variants.registry import Built

PILOT = 8  # blocks


class Measurer(Protocol):
    """A way to measure all variants of a kind: `Interleaved`, or the gate's."""

    def measure(self, kind: KindName, progress: Callable[[float], None]) -> Measurement:
        """Rounds of every variant, aligned by block; `progress` is told the share that is done."""
        ...


class Timing:
    """Kinds are measured when a round of theirs is first asked for. progress: told the task and its share done."""

    def __init__(
        self,
        options: TimingOptions,
        models: Models,
        corpus: Corpus,
        progress: Callable[[str, float], None],
    ) -> None:
        self.models, self.corpus, self.progress = models, corpus, progress
        self.measurer: Measurer = Interleaved(self, options)
        self.measurers: dict[KindName, Measurer] = {}  # of kinds that take another one
        self.measurements: dict[KindName, Measurement] = {}
        self.kinds: dict[str, Kind] = {}
        self.memory: dict[str, float | None] = {}  # peak of each variant in MiB
        self.counts: dict[str, Mapping[str, int]] = {}  # what each variant calls and starts, see `footprint`
        self.floors: dict[str, Floor] = {}  # of each variant's embedding call, where it is known

    def subject(self, kind: KindName, name: str, model: Built | None = None) -> ModelOnly | Pipeline:
        """What is timed for one variant and kind; `model` in place of the run's own of that variant."""
        embedding = variants.as_embedding_model(self.models[name] if model is None else model)
        if kind == "model-only":
            return ModelOnly(embedding)
        lean = variants.get(name).segmentation is not None
        return Pipeline(embedding, self.models.segmentation_of(name), self.corpus.settings, lean)

    def rounds(self, kind: KindName, name: str) -> list[float]:
        """Seconds of each round of one variant; the first call measures all variants of that kind.

        Raises UserError with the reason if this variant failed; the others are kept.
        """
        if kind not in self.measurements:
            _ = self.corpus.streams
            self.corpus.cores.claim()
            try:
                with untraced():
                    measurer = self.measurers.get(kind, self.measurer)
                    self.measurements[kind] = measurer.measure(kind, lambda done: self.progress(kind, done))
            except Interrupted as stopped:  # the tables show what there is
                self._summarize(kind, stopped.measurement)
                raise
            self._summarize(kind, self.measurements[kind])
            if kind == "model-only":
                self.find_floors()
        measurement = self.measurements[kind]
        if name in measurement.failures:
            raise UserError(f"{name} failed: {measurement.failures[name]}")
        if not measurement.rounds[name].seconds:
            raise UserError(f"{name}: no rounds; the audio is shorter than one block of chunks")
        return measurement.rounds[name].seconds

    def pilot(self, kind: KindName) -> Control | None:
        """The control over `PILOT` blocks of it and the baseline alone; None where it gives no interval."""
        streams = self.corpus.streams
        self.corpus.cores.claim()
        with untraced():
            subjects = {name: self.subject(kind, name) for name in ("baseline", TWIN)}
            found = summarize(interleave(subjects, streams, budget=0, min_blocks=PILOT), {})
        if found.twin is None:
            return None
        return Control("a pilot", found.twin, {name: latency.mean for name, latency in found.latencies.items()})

    def _summarize(self, kind: KindName, measurement: Measurement) -> None:
        parents = {model: variants.get(model).parent for model in self.models}
        self.kinds[kind] = summarize(measurement, parents)

    def try_once(self, kind: KindName, name: str) -> None:
        """Run one chunk, untimed."""
        file, chunks = self.corpus.streams[0]
        subject = self.subject(kind, name)
        subject.start(file)
        subject(chunks[0])

    def measure_memory(self) -> None:
        """Find the peak memory of each variant, and what it calls and starts."""
        for i, name in enumerate(self.models):
            self.progress("memory", i / len(self.models))
            self.take_footprint(name)

    def take_footprint(self, name: str) -> None:
        """Find the peak memory of one variant, and what it calls and starts."""
        found = footprint_of(name, self.models, self.corpus.settings)
        self.memory[name], self.counts[name] = found.memory, found.counts

    def find_floors(self) -> None:
        """Find the arithmetic floor of each variant's embedding call on a chunk that follows another."""
        speed = peak()
        for name in self.kinds["model-only"].latencies:
            count = self.executed(name)
            if count is not None:
                self.floors[name] = Floor(count, speed)

    def executed(self, name: str) -> Operations | None:
        """The operations of a variant's embedding call on a chunk that follows another, where they are known."""
        _, (first, second, *_) = self.corpus.streams[0]
        subject = self.subject("model-only", name)
        subject(first)
        return operations(self.models[name], functools.partial(subject, second))


class Interleaved:
    """All variants in turn, block by block, for as long as the budget says."""

    def __init__(self, timing: Timing, options: TimingOptions) -> None:
        self.timing, self.options = timing, options

    def measure(self, kind: KindName, progress: Callable[[float], None]) -> Measurement:
        subjects = {name: self.timing.subject(kind, name) for name in self.timing.models}
        streams, options = self.timing.corpus.streams, self.options
        return interleave(subjects, streams, budget=options.budget, seed=options.seed, progress=progress)
