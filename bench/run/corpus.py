"""The recordings of a run, cut into chunks and segmented."""

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path

from bench.accuracy.parts import Part, take
from bench.corpus import CorpusError, Recording
from bench.corpus.choice import choose
from bench.latency.subjects import Item, items
from bench.pipeline.diarize import Cut, Segmented, cut, segment
from bench.pipeline.staged import PipelineSettings
from variants import UserError

from .cores import Cores
from .models import Models
from .options import QUICK_SECONDS, CorpusOptions


class Corpus:
    """What is timed is read and segmented once for each segmentation model; `problems` are those of single files."""

    def __init__(self, options: CorpusOptions, settings: PipelineSettings, models: Models, cores: Cores) -> None:
        self.options, self.settings, self.models, self.cores = options, settings, models, cores
        self.problems: list[str] = []
        self._segmented: dict[tuple[Path, float | None, str | None, int], Segmented] = {}

    @cached_property
    def recordings(self) -> list[Recording]:
        """Those that can be used; UserError if nothing is left."""
        given = self.options
        found, self.problems = choose(given.folder, given.files, self.settings.duration, given.rttm, given.uem)
        if self.models.oracle:
            lacking = [r for r in found if r.reference is None]
            self.problems += [f"{r.path}: no reference, which oracle segmentation needs" for r in lacking]
            found = [r for r in found if r.reference is not None]
        if not found:
            raise UserError("; ".join(self.problems) or "the corpus holds no audio")
        return found

    @property
    def timed(self) -> list[Part]:
        """What the latency rounds go through."""
        return take(self.recordings, QUICK_SECONDS)

    def segmented(self, parts: Sequence[Part], name: str = "baseline", perturbation: int = 0) -> list[Segmented]:
        """Parts of recordings, cut and segmented as a variant's pipeline does; what is damaged joins `problems`."""
        found = []
        for recording, seconds in parts:
            key = (recording.path, seconds, self.models.other(name), perturbation)
            try:
                if key not in self._segmented:
                    model = self.models.segmentation_of(name)
                    self._segmented[key] = segment(recording, self.settings, model, seconds, perturbation)
                found.append(self._segmented[key])
            except CorpusError as error:
                self._note(error)
        if not found:
            raise UserError("; ".join(self.problems))
        return found

    def cut(self, part: Part, perturbation: int) -> Cut | None:
        """A part of a recording, cut and not kept here; None if it is damaged, which joins `problems`."""
        try:
            return cut(part[0], self.settings, part[1], perturbation)
        except CorpusError as error:
            self._note(error)
            return None

    def _note(self, error: CorpusError) -> None:
        self.problems += [str(error)] if str(error) not in self.problems else []

    @cached_property
    def streams(self) -> list[tuple[Segmented, list[Item]]]:
        """The files that the latency rounds go through, segmented, and their chunks."""
        with self.cores.untimed():
            files = self.segmented(self.timed)
        return [(file, items(file)) for file in files]
