"""Service times of every variant at every step, and DER at the steps that they allow."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from bench.accuracy.evidence import Evidence
from bench.accuracy.verdict import Judgement
from bench.capacity.loop import Clock, Wall
from bench.capacity.measure import SIZES, Capacity, Server, measure, service_times, settled
from bench.latency.tracing import untraced
from bench.pipeline.staged import PipelineSettings
from bench.run.corpus import Corpus
from bench.run.live import LiveStreams
from bench.run.run import Run
from bench.run.scores import Scores

from .steps import STEPS, Service


class At:
    """A run at other settings of the pipeline; the models stay those that are loaded."""

    def __init__(self, run: Run, settings: PipelineSettings, budget: float | None = None) -> None:
        options = run.options
        self.corpus = Corpus(options.corpus, settings, run.models, run.cores)
        self.live = LiveStreams(options.timing, run.models, self.corpus, lambda *_: None)
        scoring = options.scoring if budget is None else replace(options.scoring, budget=budget)
        self.scores = Scores(scoring, run.models, self.corpus, run.folder, lambda *_: None)


def steps_for(settings: PipelineSettings) -> list[float]:
    """The steps that fit these settings' latency, and that which was asked for."""
    return sorted({settings.step, *(step for step in STEPS if step <= settings.latency)})


def services(
    run: Run, names: Sequence[str], asked: int, budget: float, told: Callable[[float], None], clock: Clock | None = None
) -> dict[str, dict[float, Service]]:
    """Of each variant by step, in about `budget` seconds; in random order, so that no slow spell meets one alone."""
    cells = [(name, step) for name in names for step in steps_for(run.options.pipeline)]
    random.Random(run.options.timing.seed).shuffle(cells)
    found: dict[str, dict[float, Service]] = {name: {} for name in names}
    run.cores.claim()
    with settled(), untraced():
        for done, (name, step) in enumerate(cells):
            told(done / len(cells))
            at = At(run, replace(run.options.pipeline, step=step))
            server = Server(at.live.streams(name, max(SIZES)), at.live.audio())
            seconds = service_times(server, SIZES, budget / len(cells), clock or Wall())
            found[name][step] = Service(seconds, step, asked, run.options.timing.seed)
    return found


def confirm(run: Run, name: str, service: Service, budget: float) -> Capacity:
    """Real streams of a variant at a step."""
    live = At(run, replace(run.options.pipeline, step=service.step)).live
    audio, options = live.audio(), run.options.timing
    run.cores.claim()
    with untraced():
        return measure(
            lambda count: live.streams(name, count), audio, service.way, budget, options.threads, options.seed
        )


Score = tuple[float | None, Judgement | None]  # DER in %, and the verdict on it


def scores(run: Run, steps: Mapping[str, float], told: Callable[[float], None]) -> dict[str, Score]:
    """DER of each variant at its step, and the verdict over the baseline at the same; `--accuracy-budget` for all."""
    found: dict[str, Score] = {}
    each = sorted(set(steps.values()), reverse=True)  # the cheapest first
    for done, step in enumerate(each):
        told(done / len(each))
        at = At(run, replace(run.options.pipeline, step=step), run.options.scoring.budget / len(each))
        evidence: Evidence | None = at.scores.evidence
        for name in (name for name, its in steps.items() if its == step and evidence is not None):
            accuracy = at.scores.known[name]
            found[name] = accuracy.der, at.scores.judge(name) if name != "baseline" else None
    return found
