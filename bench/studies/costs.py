"""`python -m bench.studies costs`: what a chunk costs in the pipeline, by step and by the chunk's length.

DIART hears each second as often as steps fit into a chunk, so its cost goes with the length; a variant that takes its
work from the chunk before pays for the step. `--budget` seconds in all, all variants of a cell interleaved. Means tell
what a variant costs that computes only some chunks as a whole; the median tells of most of them.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import matplotlib
from matplotlib.figure import Figure

import variants
from bench.latency import machine
from bench.latency.results import TWIN, Latency
from bench.report.figures.style import SPEAKERS, STYLE, grid, new_figure
from bench.report.format import show_interval
from bench.run.corpus import Corpus
from bench.run.options import Options, add_options, parse
from bench.run.run import Run
from bench.run.timing import Timing
from variants.commands import command

from .distillation import markdown_table
from .streaming import CHUNKS, STEPS

VARIANTS = "best,streaming-trunk-int8"
Cell = tuple[float, float]  # the chunk's length and the step, seconds
Costs = Mapping[Cell, Mapping[str, Latency]]


def main(arguments: list[str] | None = None) -> int:
    """Print the table; the exit code."""
    parser = argparse.ArgumentParser(prog="python -m bench.studies costs", description=__doc__)
    add_options(parser.add_argument)
    parser.add_argument("--out", type=Path, metavar="FILE.svg", help="draw them, too")
    parser.set_defaults(variants=VARIANTS, accuracy="off", budget=150.0)
    given = parser.parse_args(arguments)
    return command("bench.studies costs", lambda: study(given))


def study(given: argparse.Namespace) -> None:
    """Measure every cell, print a row of each as it is done, and draw them."""
    options = parse(lambda name: getattr(given, name))
    names = ["baseline", *(entry.name for entry in variants.select(given.variants) if entry.name != "baseline")]
    found: dict[Cell, Mapping[str, Latency]] = {}
    print(f"{machine.describe()['cpu']}: mean ms of the baseline; of others, % of that by the mean, paired median:\n")
    head = ["chunk, step (s)", *names, TWIN]
    budget = options.timing.budget / sum(step < chunk for chunk in CHUNKS for step in STEPS)

    def rows() -> Iterator[tuple[str, ...]]:
        for chunk in CHUNKS:
            run = Run(of_length(options, chunk), names, Path(), lambda *_: None)
            run.prepare(timed=True)
            for step in STEPS:
                if step < chunk:
                    found[chunk, step] = measured(run, step, budget)
                    yield row(chunk, step, found[chunk, step], head[1:])

    markdown_table(head, rows())
    if given.out is not None:
        figure(found, names).savefig(given.out)


def of_length(options: Options, chunk: float) -> Options:
    """The same with chunks of another length, and a latency that fits into them."""
    settings = options.pipeline
    latency = min(settings.latency, chunk)
    settings = replace(settings, duration=chunk, latency=latency, step=min(settings.step, latency))
    return replace(options, pipeline=settings)


def measured(run: Run, step: float, budget: float) -> Mapping[str, Latency]:
    """Of all variants of a run, at another step."""
    options = run.options
    settings = replace(options.pipeline, step=step, latency=max(step, options.pipeline.latency))
    corpus = Corpus(options.corpus, settings, run.models, run.cores)
    timing = Timing(replace(options.timing, budget=budget), run.models, corpus, lambda *_: None)
    timing.rounds("pipeline", "baseline")
    return timing.kinds["pipeline"].latencies


def row(chunk: float, step: float, found: Mapping[str, Latency], names: list[str]) -> tuple[str, ...]:
    """One of the table."""
    shown = []
    for name in names:
        latency = found.get(name)
        if latency is None:
            shown.append("-")
        elif latency.to_baseline is None:
            shown.append(f"{1000 * latency.mean:.1f}")
        else:
            shown.append(f"{100 * latency.mean / found['baseline'].mean:.1f}, {show_interval(latency.to_baseline)}")
    return f"{chunk:g}, {step:g}", *shown


def figure(found: Costs, names: list[str]) -> Figure:
    """A panel for each length of chunk: means in ms over the step, a line per variant, both axes logarithmic."""
    with matplotlib.rc_context(STYLE):
        made = new_figure(narrow=False, height=3.6)
        lengths = sorted({chunk for chunk, _ in found})
        panels = made.subplots(1, len(lengths), sharey=True, squeeze=False)[0]
        for axes, length in zip(panels, lengths, strict=True):
            for colour, name in zip(SPEAKERS, names, strict=False):
                points = [
                    (step, 1000 * by[name].mean)
                    for (chunk, step), by in sorted(found.items())
                    if chunk == length and name in by
                ]
                axes.plot(*zip(*points, strict=True), "o-", ms=4, lw=1.4, color=colour, label=name)
            axes.set(xscale="log", yscale="log", xlabel="step, s", title=f"chunk of {length:g} s")
            axes.set_xticks(STEPS, [f"{step:g}" for step in STEPS])
            axes.minorticks_off()
            grid(axes, "both")
        panels[0].set_ylabel("pipeline, ms a chunk")
        made.legend(*panels[0].get_legend_handles_labels(), loc="outside right upper")
        return made
