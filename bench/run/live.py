"""Live streams of a run's variants: how many a core carries, and what grows while they go on."""

from collections.abc import Callable

import psutil

import variants
from bench.capacity.audio import Looped
from bench.capacity.loop import Clock
from bench.capacity.measure import WAYS, Capacity, Server, measure
from bench.capacity.soak import STREAMS, Soak, soak
from bench.capacity.streams import Streams
from bench.corpus import CorpusError
from bench.latency.tracing import untraced
from variants import UserError
from variants.exact.memory import STREAMS as REMEMBERED
from variants.exact.memory import memories, remember

from .corpus import Corpus
from .durations import shown
from .models import Models
from .options import TimingOptions


class LiveStreams:
    """What is measured of each variant, kept by its name. progress: told the task and the share of it that is done."""

    def __init__(
        self,
        options: TimingOptions,
        models: Models,
        corpus: Corpus,
        progress: Callable[[str, float], None],
        clock: Clock | None = None,
    ) -> None:
        self.options, self.models, self.corpus, self.progress, self.clock = options, models, corpus, progress, clock
        self.capacities: dict[str, list[Capacity]] = {}
        self.soaks: dict[str, Soak] = {}

    def streams(self, name: str, count: int) -> Streams:
        """As many streams of a variant; UserError where the segmentation is no model."""
        if self.models.oracle:
            raise UserError("--segmentation oracle: live streams have no reference; choose a model")
        embedding, segmentation = variants.as_embedding_model(self.models[name]), self.models.segmentation_of(name)
        lean = variants.get(name).segmentation is not None
        return Streams(count, self.corpus.settings, segmentation, embedding, lean)

    def audio(self) -> Looped:
        """What they hear: the whole corpus."""
        try:
            return Looped.of(self.corpus.recordings, self.corpus.settings, self.options.seed)
        except CorpusError as error:
            raise UserError(str(error)) from None

    def outlook(self, benchmark: str, variants: int, minutes: float) -> str:
        """What a benchmark will do with so many variants, and how long that takes, if that is known."""
        if benchmark == "bench_soak":
            return f"{variants} variants, {minutes:g} minutes of audio of {STREAMS} streams each, as fast as they can"
        about = shown(variants * len(WAYS) * self.options.budget)
        return f"{variants} variants, {' and '.join(WAYS)}, {shown(self.options.budget)} each: about {about}"

    def capacity(self, name: str) -> list[Capacity]:
        """Of a variant, in both ways; `--budget` seconds for each."""
        if name not in self.capacities:
            audio, options, found = self.audio(), self.options, []
            self.corpus.cores.claim()
            for i, way in enumerate(WAYS):
                self.progress(f"capacity, {name}", i / len(WAYS))
                with untraced():
                    made = lambda count: self.streams(name, count)  # noqa: E731
                    found.append(measure(made, audio, way, options.budget, options.threads, options.seed, self.clock))
            self._forget(name)
            self.capacities[name] = found
        return self.capacities[name]

    def soak(self, name: str, minutes: float) -> Soak:
        """Of a variant, over so many minutes of audio."""
        if name not in self.soaks:
            server = Server(self.streams(name, STREAMS), self.audio())
            self.corpus.cores.claim()
            process = psutil.Process()
            self.progress(f"soak, {name}", 0.0)
            with untraced():
                self.soaks[name] = soak(server, minutes, lambda: float(process.memory_info().rss), self.clock)
            self._forget(name)
        return self.soaks[name]

    def _forget(self, name: str) -> None:
        """Give back what a variant's models remember of the streams."""
        models = self.models[name], self.models.segmentation_of(name)
        remember(REMEMBERED, *models)
        for memory in memories(models):
            memory.clear()
