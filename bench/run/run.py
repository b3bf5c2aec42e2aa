"""One benchmark session: models, corpus and results, each made once, when first asked for."""

import contextlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import torch

import variants
from bench.accuracy import scoring
from bench.accuracy.der import Accuracy
from bench.corpus import CorpusError, Recording
from bench.corpus.choice import choose
from bench.latency import threads
from bench.latency.floor import Floor, operations, peak
from bench.latency.interleave import Measurement, interleave
from bench.latency.memory import peak_memory
from bench.latency.results import TWIN, Kind, summarize
from bench.latency.size import parameters, saved_size
from bench.latency.subjects import Item, ModelOnly, Pipeline, items
from bench.pipeline.diarize import Segmented, segment
from bench.pipeline.oracle import OracleSegmentation
from bench.report.extra_info import extra_info
from bench.report.findings import Findings
from variants import UnavailableError, UserError
from variants.loading import load

from . import told
from .options import QUICK_SECONDS, Options

ROWS, FRAMES = 3, 293  # local speakers and frames per chunk of pyannote/segmentation, to run a model without it


class Run:
    """`selected` are the variants asked for; measured with them are those that their ratios need."""

    def __init__(
        self, options: Options, selected: Iterable[str], folder: Path, progress: Callable[[str, float], None]
    ) -> None:
        self.options, self.folder, self.progress = options, folder, progress
        wanted = {"baseline", TWIN, *selected}
        wanted |= {v.parent for name in wanted if (v := variants.get(name)).parent is not None}
        self.wanted = [name for name in variants.names() if name in wanted]
        self.skipped: dict[str, str] = {}  # cannot run here, and why
        self.broken: dict[str, str] = {}  # should run here but raised
        self.problems: list[str] = []  # of single files of the corpus
        self.measurements: dict[str, Measurement] = {}
        self.kinds: dict[str, Kind] = {}
        self._segmented: dict[tuple[Path, float | None, str | None], Segmented] = {}
        self._cpus = threads.allowed_cpus()
        self.threads = threads.choose(options.timing.threads)
        self.timed = False
        self.gate: Any = None  # measures in place of `interleave`

    def prepare(self, timed: bool) -> None:
        """Load models and corpus, so that what is wrong with them is said before anything is measured.

        timed: whether latency will be measured: only then are the threads claimed, before the first torch work.
        """
        self.timed = timed
        if timed:
            threads.apply(self.threads)
        _ = self.recordings, self.root, self.segmentation, self.models, self.others

    @cached_property
    def recordings(self) -> list[Recording]:
        """The corpus; UserError if nothing is left of it."""
        options = self.options
        found, self.problems = choose(options.corpus.folder, options.corpus.files, options.pipeline.duration)
        if self.options.models.segmentation == "oracle":
            lacking = [r for r in found if r.reference is None]
            self.problems += [f"{r.path}: no reference, which oracle segmentation needs" for r in lacking]
            found = [r for r in found if r.reference is not None]
        if not found:
            raise UserError("; ".join(self.problems) or "the corpus holds no audio")
        return found

    @cached_property
    def root(self) -> Any:
        """The embedding model that all variants are built from."""
        return load("embedding", self.options.models.embedding, self.options.models.trust)

    @cached_property
    def segmentation(self) -> Any:
        """The stock segmentation: a `diart.models.SegmentationModel`, already loaded."""
        if self.options.models.segmentation != "oracle":
            return variants.as_segmentation_model(self._segmentation_root)
        duration = self.options.pipeline.duration
        return variants.as_segmentation_model(OracleSegmentation(duration, _frames(load("segmentation"), duration)))

    @cached_property
    def _segmentation_root(self) -> Any:
        return load("segmentation", self.options.models.segmentation, self.options.models.trust)

    @cached_property
    def others(self) -> dict[str, Any]:
        """The segmentation model of each variant whose pipeline does not run the stock one."""
        built: dict[str, Any] = {}
        found: dict[str, Any] = {}
        for name in self.models:
            other = self.other(name)
            try:
                if other is not None and other not in built:
                    built[other] = variants.as_segmentation_model(variants.build(other, self._segmentation_root))
            except UnavailableError as error:
                self.skipped[name] = str(error)
            else:
                found |= {} if other is None else {name: built[other]}
        for name in self.skipped:
            self.models.pop(name, None)
        return found

    def other(self, name: str) -> str | None:
        """The segmentation variant that a variant's pipeline runs; None for the stock one."""
        if name in ("baseline", TWIN) or self.options.models.segmentation == "oracle":
            return None
        return variants.get(name).segmentation or self.options.models.segmentation_variant

    @cached_property
    def models(self) -> dict[str, Any]:
        """Every variant that can be built here; the others are in `skipped` or `broken`."""
        built = {}
        for name in self.wanted:
            try:
                built[name] = variants.build(name, self.root)
            except UnavailableError as error:
                self.skipped[name] = str(error)
            except Exception as error:  # somebody's own variant: the others go on
                self.broken[name] = f"cannot be built: {type(error).__name__}: {error}"
        if "baseline" not in built:
            raise UserError(f"the baseline {self.broken.get('baseline') or self.skipped['baseline']}")
        return built

    @cached_property
    def memory(self) -> dict[str, float | None]:
        """Peak memory of each variant in MiB."""
        samples = round(self.options.pipeline.duration * 16000)
        waveform, weights = torch.zeros(ROWS, 1, samples), torch.ones(ROWS, FRAMES)

        def make(name: str) -> Callable[[], Any]:
            embedding = variants.as_embedding_model(variants.build(name, self.root)).eval()
            return lambda: embedding(waveform, weights)

        result = {}
        for i, name in enumerate(self.models):
            self.progress("memory", i / len(self.models))
            with torch.no_grad():
                result[name] = peak_memory(lambda name=name: make(name))  # type: ignore[misc]
        return result

    @property
    def scored_parts(self) -> list[tuple[Recording, float | None]]:
        """The recordings that DER is computed on, with the seconds to use of each."""
        if not self.scores:
            return []
        return scoring.take(self.recordings, QUICK_SECONDS if self.options.scoring.extent == "quick" else None)

    @property
    def scores(self) -> bool:
        """Whether accuracy is measured: not with `--accuracy off`, nor with a segmentation of random weights."""
        return self.options.scoring.extent != "off" and self.segmentation_trained

    @property
    def segmentation_trained(self) -> bool:
        """Whether the segmentation's weights were ever trained, or are not needed."""
        model = self.segmentation.model
        stamp = variants.provenance_of(getattr(model, "model", model))
        return stamp is None or stamp.trained

    @cached_property
    def accuracy(self) -> dict[str, Accuracy]:
        """Accuracy of every variant; empty where it is not measured."""
        if not self.scores:
            return {}
        options = self.options
        parts = self.scored_parts
        task = scoring.Task(
            parts=parts,
            segmented=lambda name: self.segmented(parts, name),
            settings=options.pipeline,
            segmentation=self.segmentation,
            collar=options.scoring.collar,
            skip_overlap=options.scoring.skip_overlap,
            others=self.others,
        )
        with self._all_cores():
            return scoring.accuracy(self.models, task, self.folder, lambda done: self.progress("accuracy", done))

    def _all_cores(self) -> contextlib.AbstractContextManager[None]:
        """For work that is not timed."""
        return threads.all_cores(self.threads if self.timed else None, self._cpus)

    def segmented(self, parts: Sequence[tuple[Recording, float | None]], name: str = "baseline") -> list[Segmented]:
        """Recordings (the seconds given of each), cut and segmented once for each segmentation; damaged: `problems`."""
        found = []
        for recording, seconds in parts:
            key = (recording.path, seconds, self.other(name))
            try:
                if key not in self._segmented:
                    settings = self.options.pipeline
                    model = self.others.get(name, self.segmentation)
                    self._segmented[key] = segment(recording, settings, model, seconds)
                found.append(self._segmented[key])
            except CorpusError as error:
                self.problems += [str(error)] if str(error) not in self.problems else []
        if not found:
            raise UserError("; ".join(self.problems))
        return found

    def subject(self, kind: str, name: str) -> ModelOnly | Pipeline:
        """What is timed for one variant and kind."""
        embedding = variants.as_embedding_model(self.models[name])
        if kind == "model-only":
            return ModelOnly(embedding)
        lean = variants.get(name).segmentation is not None
        return Pipeline(embedding, self.others.get(name, self.segmentation), self.options.pipeline, lean)

    @cached_property
    def streams(self) -> list[tuple[Any, list[Item]]]:
        """The files that the latency rounds go through, segmented."""
        with self._all_cores():
            files = self.segmented(scoring.take(self.recordings, QUICK_SECONDS))
        return [(file, items(file)) for file in files]

    def rounds(self, kind: str, name: str) -> list[float]:
        """Seconds of each round of one variant; the first call measures all variants of that kind, interleaved.

        Raises UserError with the reason if this variant failed; the others are kept.
        """
        if kind not in self.measurements:
            _ = self.memory, self.accuracy, self.streams
            self.measurements[kind] = self._measure(kind)
            parents = {model: variants.get(model).parent for model in self.models}
            self.kinds[kind] = summarize(self.measurements[kind], parents)
            if kind == "model-only":
                _ = self.floors
        measurement = self.measurements[kind]
        if name in measurement.failures:
            raise UserError(f"{name} failed: {measurement.failures[name]}")
        if not measurement.rounds[name].seconds:
            raise UserError(f"{name}: no rounds; the audio is shorter than one block of chunks")
        return measurement.rounds[name].seconds

    def _measure(self, kind: str) -> Measurement:
        subjects = {} if self.gate else {model: self.subject(kind, model) for model in self.models}
        threads.apply(self.threads)  # to the threads that were started meanwhile, too
        if self.gate:
            return self.gate.measure(kind, lambda done: self.progress(kind, done))  # type: ignore[no-any-return]
        return interleave(
            subjects,
            self.streams,
            budget=self.options.timing.budget,
            seed=self.options.timing.seed,
            progress=lambda done: self.progress(kind, done),
        )

    @cached_property
    def floors(self) -> dict[str, Floor]:
        """The arithmetic floor of each variant's embedding call on a chunk that follows another, where it is known."""
        speed, (_, (first, second, *_)) = peak(), self.streams[0]
        found = {}
        for name in self.kinds["model-only"].latencies:
            subject = self.subject("model-only", name)
            subject(first)
            count = operations(self.models[name], lambda subject=subject: subject(second))  # type: ignore[misc]
            if count is not None:
                found[name] = Floor(count, speed)
        return found

    def try_once(self, kind: str, name: str) -> None:
        """Run one chunk, untimed."""
        file, chunks = self.streams[0]
        subject = self.subject(kind, name)
        subject.start(file)
        subject(chunks[0])

    @cached_property
    def sizes(self) -> dict[str, float | None]:
        """Saved size of each variant in MiB."""
        return {name: saved_size(model) for name, model in self.models.items()}

    def conditions(self) -> dict[str, Any]:
        """What the figures rest on: machine, threads, models, corpus, settings."""
        return told.conditions(self)

    def findings(self, compared: Mapping[str, Any] | None = None) -> Findings:
        """All results so far, for the report; `compared` are stored runs by the time of their making."""
        return told.findings(self, compared)

    @property
    def trained(self) -> dict[str, bool]:
        """Whether each variant's weights were ever trained."""
        stamps = {name: variants.provenance_of(model) for name, model in self.models.items()}
        return {name: stamp is not None and stamp.trained for name, stamp in stamps.items()}

    def extra_info(self, kind: str, name: str) -> dict[str, Any]:
        """What pytest-benchmark stores beside the rounds."""
        info = extra_info(self.kinds[kind].latencies[name], self.findings(), name, self.options.pipeline.step)
        stamp = variants.provenance_of(self.models[name])
        weights = {"source": stamp.source, "sha256": stamp.sha256} if stamp else None
        return info | {"parameters": parameters(self.models[name]), "weights": weights}


def _frames(segmentation: Any, duration: float) -> int:
    """Frames that a segmentation model gives for a chunk of `duration` seconds."""
    return int(segmentation.num_frames(round(duration * 16000)))
