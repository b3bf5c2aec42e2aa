"""Service times of every variant at every step, and DER at the steps that they allow."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import variants
from bench.accuracy.der import Accuracy
from bench.accuracy.verdict import Judgement, equal
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
    """A run at another step and latency; the models stay those that are loaded, or some of them."""

    def __init__(
        self, run: Run, settings: PipelineSettings, names: Sequence[str] | None = None, budget: float | None = None
    ) -> None:
        options, models = run.options, run.models if names is None else run.models.only(names)
        self.corpus = Corpus(options.corpus, settings, models, run.cores)
        self.live = LiveStreams(options.timing, models, self.corpus, lambda *_: None)
        scoring = options.scoring if budget is None else replace(options.scoring, budget=budget)
        self.scores = Scores(scoring, models, self.corpus, run.folder, lambda *_: None)


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
    """DER of each variant at its step, and the verdict over the baseline at the same; `--accuracy-budget` for all.

    What is exact all the way from the baseline, and says what the baseline says, needs no second hearing.
    """
    found: dict[str, Score] = {}
    each = sorted(set(steps.values()), reverse=True)  # the cheapest first
    for done, step in enumerate(each):
        told(done / len(each))
        end = time.monotonic() + run.options.scoring.budget / len(each)
        names = [name for name, its in steps.items() if its == step and name != "baseline"]
        settings = replace(run.options.pipeline, step=step)
        accuracy = At(run, settings, ["baseline", *names]).scores.accuracy
        same = [name for name in names if _exact(name) and _labels(accuracy[name]) == _labels(accuracy["baseline"])]
        judged = {name: replace(equal(variants.get(name).tolerance), heard=1) for name in same}
        if heard := [name for name in names if name not in same]:
            again = At(run, settings, ["baseline", *heard], max(0.0, end - time.monotonic())).scores
            _ = again.evidence
            judged |= again.judgements
        for name, its in steps.items():
            if its == step:
                found[name] = accuracy[name].der, judged.get(name)
    return found


def _exact(name: str) -> bool:
    return all(entry.exact for entry in variants.ancestry(name)[1:])


def _labels(accuracy: Accuracy) -> list[str]:
    return [file.labels for file in accuracy.files]
