"""One benchmark session, put together: models, corpus, scores and timing, each made once, when first asked for."""

import functools
from collections.abc import Callable, Collection, Iterable, Mapping
from pathlib import Path
from typing import Any

import variants
from bench.history.controls import last_controls
from bench.latency.kinds import STEADY, KindName
from bench.latency.profile import Profile
from bench.latency.results import TWIN
from bench.report.extra_info import extra_info
from bench.report.findings import Findings

from . import conditions, power
from .cold import ColdStarts, least
from .cores import Cores
from .corpus import Corpus
from .durations import Took, expected, shown
from .live import LiveStreams
from .models import Models
from .options import Options
from .profiling import profiles
from .scores import Scores
from .timing import Timing

PILOT_FROM = 30.0  # seconds of budget from which on a few are worth knowing what the others will tell


class Run:
    """`selected` are the variants asked for; measured with them are those that their ratios need.

    folder: where accuracy is cached. progress: told each task and the share of it that is done, and at what pace where
    that is known.
    """

    def __init__(self, options: Options, selected: Iterable[str], folder: Path, progress: Callable[..., None]) -> None:
        self.options, self.folder = options, folder
        wanted = {"baseline", TWIN, *selected}
        wanted |= {v.parent for name in wanted if (v := variants.get(name)).parent is not None}
        settings, names = options.pipeline, [name for name in variants.names() if name in wanted]
        self.cores = Cores(options.timing.threads)
        self.models = models = Models(options.models, settings.duration, names)
        self.corpus = corpus = Corpus(options.corpus, settings, models, self.cores)
        self.scores = Scores(options.scoring, models, corpus, folder, functools.partial(progress, "accuracy"))
        self.timing = Timing(options.timing, models, corpus, progress)
        self.timing.measurers["cold-start"] = ColdStarts(models, corpus, options)
        self.live = LiveStreams(options.timing, models, corpus, progress)
        self.took = Took()
        self.profiles: dict[str, dict[str, Profile]] = {}

    def prepare(self, timed: bool) -> None:
        """Load models and corpus, so that what is wrong with them is said before anything is measured.

        timed: whether latency will be measured: only then are the threads claimed, before the first torch work.
        """
        with self.took.part("loading"):
            if timed:
                self.cores.claim()
            else:
                with self.cores.untimed():
                    pass  # and so one thread for what is built now
            _ = self.corpus.recordings
            self.models.load()

    def outlook(self, kinds: Collection[str], budget: float) -> str:
        """How long the kinds will take, each of `budget` seconds, with all that comes before them."""
        seconds = sum(part or recording.duration for recording, part in self.scores.parts)
        fresh = self.options.timing.processes if self.options.timing.processes > 1 else 0
        steady = len([kind for kind in kinds if kind != "cold-start"])
        measured = steady * budget + (len(kinds) - steady) * max(budget, least(len(self.models)))
        about = shown(expected(len(self.models), seconds, self.options.scoring.budget, measured, steady * fresh))
        verdicts = f"up to {shown(self.options.scoring.budget)} of verdicts on {shown(seconds)} of audio, "
        scoring = verdicts if seconds else ""
        rounds = f"{len(kinds)} x {shown(budget)} of rounds" + (f", each in {fresh} processes" if fresh else "")
        return f"{len(self.models)} variants: memory, {scoring}{rounds}: about {about} on a quiet machine"

    def power(self, kinds: Iterable[KindName], folder: Path) -> list[str]:
        """What differences each kind will show, from the last comparable run stored in `folder`, else from a pilot."""
        timing, lines = self.options.timing, []
        kinds = [kind for kind in kinds if kind in STEADY]
        stored = last_controls(folder, self.conditions(), TWIN, kinds)
        for kind in kinds:
            control = stored.get(kind)
            if control is None and timing.budget >= PILOT_FROM:
                with self.took.part("pilot"):
                    control = self.timing.pilot(kind)
            if control and (line := power.outlook(kind, control, [*self.models], timing.budget, timing.processes)):
                lines.append(line)
        return lines

    def rounds(self, kind: KindName, name: str) -> list[float]:
        """Seconds of each round of one variant, as `Timing.rounds`; all that is not timed is done before the first."""
        if not self.timing.measurements:
            with self.took.part("memory"):
                self.timing.measure_memory()
            with self.took.part("accuracy"):
                _ = self.scores.evidence
        with self.took.part(kind):
            return self.timing.rounds(kind, name)

    def profile(self) -> None:
        """Take the variants of `--profile` apart, in the kinds that were measured."""
        with self.took.part("profile"):
            self.profiles = profiles(self.options, self.corpus, self.timing.kinds, self.timing.progress)

    def conditions(self) -> dict[str, Any]:
        """What the figures rest on: machine, threads, models, corpus, settings."""
        return conditions.conditions(self.options, self.cores, self.models, self.corpus, self.scores)

    def findings(self, compared: Mapping[str, Any] | None = None) -> Findings:
        """All results so far, for the report; `compared` are stored runs by the time of their making."""
        return Findings(
            kinds=self.timing.kinds,
            accuracy=self.scores.known,
            judgements=self.scores.judgements,
            evidence=self.scores.found,
            sizes=self.models.sizes,
            memory=self.timing.memory,
            counts=self.timing.counts,
            trained=self.models.trained,
            in_int8=self.models.in_int8,
            floors=self.timing.floors,
            skipped=self.models.skipped,
            notes=[*conditions.notes(self.models, self.corpus), *self.scores.notes],
            conditions=self.conditions(),
            compared=compared or {},
            broken=self.models.broken | self.scores.failed,
            references=self.scores.references,
            profiles=self.profiles,
        )

    def counted(self, name: str) -> dict[str, Any]:
        """What does not jitter of a variant, by the names that `extra_info` has for it."""
        floor = self.timing.floors.get(name)
        return {
            "operations": floor.operations._asdict() if floor else None,
            "size_mib": self.models.sizes.get(name),
            "memory_mib": self.timing.memory.get(name),
            "counts": self.timing.counts.get(name),
        }

    def extra_info(self, kind: KindName, name: str) -> dict[str, Any]:
        """What pytest-benchmark stores beside the rounds."""
        latency, step = self.timing.kinds[kind].latencies[name], self.options.pipeline.step
        return extra_info(latency, self.findings(), name, step) | self.models.facts(name)
