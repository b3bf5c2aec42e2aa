"""`python -m bench.studies wavlm`: pruned WavLM segmentations against dense ones, on the same kernels, in turns.

WavLM alone, the whole segmentation, and DIART's pipeline with it (step 0.5 s), each in blocks of successive chunks of
real audio. Weights are random: they change no cost, and no accuracy is measured.
"""

import argparse
import copy
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

import variants
from bench.latency import machine, threads
from bench.latency.interleave import Measurement, Subject, interleave
from bench.latency.subjects import Item, Pipeline
from bench.pipeline.staged import PipelineSettings
from bench.report.format import bracketed
from bench.run.options import add_options, parse
from bench.run.run import Run
from bench.statistics import Paired, paired_ratio
from variants import UnavailableError, UserError
from variants.commands import command
from variants.loading import load
from variants.wavlm import PRESETS, HeadSizes
from variants.wavlm.counting import head_multiply_adds, multiply_adds, parameters
from variants.wavlm.powerset import sets
from variants.wavlm.segmenter import Segmenter

LEVELS = ("WavLM alone", "segmentation", "pipeline")
AGAIN = " again"  # the pruned model once more: the control
FORMS = {"wavlm-base-plus-s80": ("wavlm-onnx", "wavlm-int8")}  # variants of pruned models to measure, too
MISSING = "not measured"
NAMES = {"cpu": "CPU", "cuda": "GPU"}  # of devices
CLASSES = len(sets())


@dataclass(frozen=True)
class Pair:
    """A dense preset, what pruning makes of it, and the speed-up that the paper measured on its GPU, WavLM alone."""

    dense: str
    pruned: str
    published: float


PAIRS = {
    "base-plus": Pair("wavlm-base-plus", "wavlm-base-plus-s80", 4.0),
    "large": Pair("wavlm-large", "wavlm-large-s80", 2.6),
}


class Call:
    """A module on the samples of a chunk, (1, samples), done when the device is."""

    def __init__(self, module: Callable[[torch.Tensor], Any], device: str) -> None:
        self.module, self.device = module, device

    def start(self, stream: Any) -> None:
        """Nothing is kept from file to file."""

    @torch.inference_mode()
    def __call__(self, item: Item) -> Mapping[str, float]:
        self.module(item.waveform[..., 0].to(self.device))
        if self.device != "cpu":
            torch.cuda.synchronize()
        return {}


def models(pair: Pair, device: str, skipped: list[str]) -> dict[str, Any]:
    """The segmentations to compare, by name; those that cannot run here are named in `skipped`."""
    found: dict[str, Any] = {name: load("segmentation", name) for name in (pair.dense, pair.pruned)}
    for form in FORMS.get(pair.pruned, ()) if device == "cpu" else ():
        try:
            found[f"{pair.pruned}, {form.removeprefix('wavlm-')}"] = variants.build(form, found[pair.pruned])
        except UnavailableError as error:
            skipped.append(str(error))
    return {name: model.to(device) for name, model in found.items()}


def subjects(
    level: str, found: Mapping[str, Any], embedding: Any, settings: PipelineSettings, device: str
) -> dict[str, Subject]:
    """What is timed at a level, by name; graphs are whole segmentations only."""

    def subject(model: Any) -> Subject:
        if level == "WavLM alone":
            return Call(model.encoder, device)
        if level == "segmentation":
            return Call(lambda samples: model(samples[:, None]), device)
        return Pipeline(
            variants.as_embedding_model(copy.deepcopy(embedding)),
            variants.as_segmentation_model(model),
            settings,
            device=device,
        )

    made = {n: subject(m) for n, m in found.items() if level != LEVELS[0] or isinstance(m, Segmenter)}
    made |= {name + AGAIN: subject(found[name]) for name in found if name.endswith("-s80")}
    return made


def measure(made: Mapping[str, Subject], run: Run) -> Measurement:
    """All subjects in turns, after a first call that is not timed."""
    stream, (first, *_) = run.corpus.streams[0]
    for subject in made.values():
        subject.start(stream)
        subject(first)
    threads.apply(run.cores.threads)  # to the threads that building started, too
    return interleave(made, run.corpus.streams, budget=run.options.timing.budget, seed=run.options.timing.seed)


def rows(level: str, pair: Pair, measurement: Measurement, step: float) -> dict[str, dict[str, str]]:
    """A level's columns by the model's name."""
    result = {}
    dense = measurement.rounds.get(pair.dense)
    for name, rounds in measurement.rounds.items():
        seconds = np.array(rounds.seconds)
        cells = {"median ms": f"{1000 * float(np.median(seconds)):.0f}", "speed-up": "1"}
        reference = measurement.rounds.get(name.removesuffix(AGAIN)) if name.endswith(AGAIN) else dense
        if reference is not None and reference is not rounds:
            ratio = paired_ratio(Paired(reference.seconds, rounds.seconds, rounds.blocks))
            cells["speed-up"] = bracketed((ratio.estimate, ratio.low, ratio.high), ".2f")
            cells["speed-up"] += " (over itself)" if name.endswith(AGAIN) else ""
        if level == "pipeline":
            within = np.percentile(seconds, 95) <= step, np.median(seconds) <= step
            cells["real time"] = "yes" if within[0] else "on average" if within[1] else "no"
        result[name] = cells
    result |= {name: {"median ms": f"failed: {reason}"} for name, reason in measurement.failures.items()}
    return result


def work(level: str, name: str, samples: int) -> float:
    """Multiply-adds of a preset at a level; those of the pipeline are its segmentation's."""
    head = 0 if level == LEVELS[0] else head_multiply_adds(PRESETS[name], HeadSizes(), CLASSES, samples)
    return float(multiply_adds(PRESETS[name], samples) + head)


def table(pair: Pair, level: str, found: Mapping[str, Mapping[str, Mapping[str, str]]], samples: int) -> list[str]:
    """Markdown lines; found: rows by the device's name, "cpu" and perhaps "cuda"."""
    head = ["model", "parameters", "CPU, ms", "CPU, speed-up [95 %]", "GPU, ms", "GPU, speed-up [95 %]", "MAC ratio"]
    head += ["published (GPU)"] if level == LEVELS[0] else []
    head += ["holds the step, CPU", "holds the step, GPU"] if level == "pipeline" else []
    lines = ["| " + " | ".join([*head, "DER, %"]) + " |", "|---|" + "---:|" * len(head)]
    for name in dict.fromkeys(name for rows in found.values() for name in rows):
        preset = name.removesuffix(AGAIN).partition(",")[0]
        dense, pruned = preset == pair.dense, not name.endswith(AGAIN)
        cells = [f"`{preset}`{name.removeprefix(preset)}", f"{parameters(PRESETS[preset]) / 1e6:.1f} M"]
        for device in ("cpu", "cuda"):
            row = found.get(device, {}).get(name, {})
            cells += [row.get("median ms", MISSING), row.get("speed-up", MISSING)]
        ratio = work(level, pair.dense, samples) / work(level, preset, samples)
        cells.append("1" if dense else f"{ratio:.2f}" if pruned else "")
        cells += [f"{pair.published:.1f}" if pruned and not dense else ""] if level == LEVELS[0] else []
        if level == "pipeline":
            cells += [found.get(device, {}).get(name, {}).get("real time", MISSING) for device in ("cpu", "cuda")]
        lines.append("| " + " | ".join([*cells, MISSING]) + " |")
    return lines


def compare(pair: Pair, run: Run, devices: Sequence[str]) -> list[str]:
    """Measure one pair at all levels; the lines to print."""
    settings = run.options.pipeline
    lines: list[str] = []
    skipped: list[str] = []
    samples = round(settings.duration * 16_000)
    found: dict[str, dict[str, Any]] = {level: {} for level in LEVELS}
    rounds: dict[str, list[str]] = {level: [] for level in LEVELS}
    for device in devices:
        built = models(pair, device, skipped)
        for level in LEVELS:
            made = subjects(level, built, run.models["baseline"], settings, device)
            measurement = measure(made, run)
            found[level][device] = rows(level, pair, measurement, settings.step)
            fewest = min((len(r.seconds) for r in measurement.rounds.values()), default=0)
            rounds[level].append(f"{fewest} rounds of each on the {NAMES[device]}")
    for level in LEVELS:
        lines += ["", f"{level}, {', '.join(rounds[level])}:", "", *table(pair, level, found[level], samples)]
    return lines + [f"Skipped: {reason}" for reason in skipped]


def main(arguments: list[str] | None = None) -> int:
    """Measure and print Markdown tables; the exit code."""
    parser = argparse.ArgumentParser(prog="python -m bench.studies wavlm", description=__doc__)
    parser.add_argument("--pairs", nargs="+", choices=PAIRS, default=list(PAIRS), help="default: both")
    parser.add_argument(
        "--device", choices=["cpu", "cuda"], default="cpu", help="cuda: the GPU as well, if there is one"
    )
    add_options(parser.add_argument)
    parser.set_defaults(segmentation="bundled", accuracy="off", budget=120.0, step=0.5)
    given = parser.parse_args(arguments)
    return command("bench.studies wavlm", lambda: study(given))


def study(given: argparse.Namespace) -> None:
    """Print what each pair of models costs."""
    if given.segmentation != "bundled":
        raise UserError("--segmentation: this command measures its own; the bundled one only cuts the audio")
    run = Run(
        parse(lambda name: getattr(given, name)), ["baseline"], Path(".pytest_cache/d/diartbench"), lambda *_: None
    )
    run.prepare(timed=True)
    _ = run.corpus.streams
    devices = ["cpu"] + (["cuda"] if given.device == "cuda" and torch.cuda.is_available() else [])
    gpu = torch.cuda.get_device_name() if "cuda" in devices else "no GPU, its columns are not measured"
    settings = run.options.pipeline
    print(f"{machine.describe()['cpu']}, {run.cores.threads}; {gpu}.")
    print(f"Chunk {settings.duration:g} s, step {settings.step:g} s.")
    print("Random weights: they change no cost; DER is not measured. MAC ratio: dense to pruned.")
    for name in given.pairs:
        print("\n".join(compare(PAIRS[name], run, devices)), flush=True)
