"""DER by step and algorithmic latency."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from itertools import product

import matplotlib
from matplotlib.figure import Figure

import variants
from bench.accuracy.der import Accuracy, score_output
from bench.pipeline.diarize import diarize, embed, segment
from bench.pipeline.staged import PipelineSettings
from bench.report.figures.style import SPEAKERS, STYLE, grid, new_figure
from bench.run.run import Run

from .measure import At
from .steps import STEPS

LATENCIES = (0.5, 1.0, 2.0, 3.0, 5.0)  # seconds
Cell = tuple[float, float]  # step and latency, seconds


def cells(settings: PipelineSettings, shortest: float) -> list[Cell]:
    """Those that can be: at the latency that was asked for first, and the cheapest first, those of long steps."""
    steps = {step for step in (shortest, *STEPS) if step >= shortest}
    found = product(steps, {settings.latency, *LATENCIES})
    fit = [(step, late) for step, late in found if step <= late <= settings.duration]
    return sorted(fit, key=lambda cell: (cell[1] != settings.latency, -cell[0], cell[1]))


def sweep(
    run: Run, name: str, shortest: float, left: Callable[[], float], told: Callable[[float], None]
) -> dict[Cell, float]:
    """DER in % of a variant on what the run scores, until no seconds are left."""
    found: dict[Cell, float] = {}
    todo = cells(run.options.pipeline, shortest)
    for done, (step, late) in enumerate(todo):
        told(done / len(todo))
        if left() <= 0:
            break
        settings = replace(run.options.pipeline, step=step, latency=late)
        der = _der(run, At(run, settings), name, settings)
        if der is not None:
            found[step, late] = der
    return found


def _der(run: Run, at: At, name: str, settings: PipelineSettings) -> float | None:
    embedding, segmentation = variants.as_embedding_model(run.models[name]), run.models.segmentation_of(name)
    lean, scoring, files = variants.get(name).segmentation is not None, run.options.scoring, []
    with run.cores.untimed():
        for recording, seconds in at.scores.parts:
            file = segment(recording, settings, segmentation, seconds)
            output = diarize(file, embed(file, embedding), settings, segmentation, embedding, lean)
            files.append(score_output(file, output, output, scoring.collar, scoring.skip_overlap))
    return Accuracy(tuple(files)).der


def figure(name: str, found: Mapping[Cell, float], chosen: Cell) -> Figure:
    """A line per step over the latency; the point that was recommended is ringed."""
    with matplotlib.rc_context(STYLE):
        made = new_figure(narrow=False, height=4.2)
        axes = made.add_subplot()
        for colour, step in zip(SPEAKERS, sorted({step for step, _ in found}), strict=False):
            points = sorted((late, der) for (one, late), der in found.items() if one == step)
            axes.plot(*zip(*points, strict=True), "o-", ms=4, lw=1.4, color=colour, label=f"{step:g} s")
        if chosen in found:
            axes.plot(chosen[1], found[chosen], "o", ms=11, mfc="none", mec="#222222", mew=1.4)
        axes.set_xlabel("algorithmic latency, s")
        axes.set_ylabel("DER, %")
        axes.set_ylim(bottom=0)
        axes.set_title(f"{name}: DER by step and latency; the ring is what is recommended")
        made.legend(title="step", loc="outside right upper")
        grid(axes, "both")
        return made
