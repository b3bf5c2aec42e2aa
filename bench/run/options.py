"""The command line of `pytest bench`, and the settings made from it."""

import argparse
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, get_args

import variants
from bench.pipeline.staged import PRESETS, PipelineSettings
from variants import UserError, Variant
from variants.commands import place
from variants.loading import default_segmentation
from variants.own import from_factory, from_onnx

ACCURACY_BUDGET = 120.0  # seconds
QUICK_SECONDS = 60.0  # audio that a quick accuracy run scores, and that latency rounds go through
LARGEST = 2**32 - 1  # of any number: no seed of NumPy's is larger, no run takes longer
MOST = 1000  # fresh processes
Value = str | int | float | bool | None
Extent = Literal["quick", "full", "off"]
# the preset of each pair of models, (embedding, segmentation), that thresholds were tuned for; the paper's for others
PAIRS = {
    ("bundled", "bundled"): "bundled",
    ("bundled", "oracle"): "bundled",
    ("bundled", "pyannote/segmentation"): "bundled-pyannote",
    ("bundled", "pyannote/segmentation-3.0"): "bundled-pyannote-3.0",
    ("campplus", "pyannote/segmentation"): "campplus-pyannote",
    ("pyannote/embedding", "pyannote/segmentation"): "dihard3",
}


@dataclass(frozen=True)
class ModelOptions:
    """Which models all variants are built from."""

    embedding: str
    """`bundled`, a fetched model, a pyannote checkpoint, or a Hugging Face id."""

    segmentation: str
    """The same, or `oracle`: the reference itself."""

    segmentation_variant: str | None
    """Variant of the segmentation model in the pipelines of all but the baseline and its twin; None: the stock one."""

    trust: bool
    """Whether a local checkpoint may import and unpickle what it names."""

    calibration: Path | None = None
    """Audio with RTTM by which ranges in int8 are found; None for the embedded `dev` split."""


@dataclass(frozen=True)
class CorpusOptions:
    """Which recordings a run goes through."""

    folder: Path | None
    """Audio with RTTM, or the name of a built-in corpus; None for the default ones."""

    files: tuple[str, ...] | None
    """Names of the recordings to use; None for all."""

    rttm: Path | None
    """File or folder of the references; None for those in `folder`."""

    uem: Path | None
    """File or folder of the scored regions; None for those in `folder`."""


@dataclass(frozen=True)
class ScoringOptions:
    """How accuracy is measured."""

    extent: Extent
    """How much of the corpus is scored: `QUICK_SECONDS` of it, all, or nothing."""

    budget: float
    """Seconds for all of it; beyond the first score of each variant they go to verdicts."""

    strict: bool
    """Whether a test fails whose verdict is not resolved."""

    collar: float
    """Seconds around each boundary, in all, that DER leaves out."""

    skip_overlap: bool
    """Whether DER leaves out overlapped speech."""

    jobs: str = "1"
    """Processes that score beside one another, by their number or as the address of a cluster's scheduler."""

    any_cpu: bool = False
    """Whether a worker's CPU may have other instructions than this one's."""


@dataclass(frozen=True)
class TimingOptions:
    """How latency is measured."""

    threads: int
    """Threads of every runtime."""

    budget: float
    """Seconds for each kind."""

    seed: int
    """Of the order in which variants take turns."""

    processes: int = 1
    """How many fresh processes share each kind's seconds; 1: none, all is measured in the one that loads everything."""


@dataclass(frozen=True)
class Options:
    """Everything that a run depends on besides the code and the machine."""

    models: ModelOptions
    corpus: CorpusOptions
    pipeline: PipelineSettings
    scoring: ScoringOptions
    timing: TimingOptions
    profile: tuple[str, ...] = ()
    """Two variants to take apart, or none."""

    values: Mapping[str, Value] = field(default_factory=dict)
    """The command line by name, for processes that are to measure what this one would."""


def add_options(add: Callable[..., Any]) -> None:
    """Declare the options by `add`, an argparse parser's `add_argument` or a pytest group's `addoption`."""
    add("--variants", metavar="A,B", help="variants to measure, or 'all' (default: the paper's rows and the fastest)")
    add("--embedding-factory", metavar="MODULE:FUNCTION,...", help="your own models: what functions return")
    add("--onnx", metavar="FILE,...", help="your own models: ONNX graphs of waveforms and weights")
    add(
        "--embedding",
        default="bundled",
        metavar="MODEL",
        help="bundled (default), a fetched model, a pyannote checkpoint, or a Hugging Face id",
    )
    add(
        "--segmentation",
        default=default_segmentation(),  # as a value, so that both sides of a gate get the same one
        metavar="MODEL",
        help="the same, or 'oracle': the reference itself (default: pyannote/segmentation where it has been "
        "fetched by `python -m variants fetch`, else bundled)",
    )
    add(
        "--segmentation-variant",
        metavar="NAME",
        help="variant of the segmentation model to run beside all but the baseline and its twin",
    )
    add("--trust-checkpoint", action="store_true", help="let a local checkpoint import and unpickle what it names")
    add(
        "--calibration",
        type=place,
        metavar="DIR",
        help="folder of audio with RTTM to find ranges in int8 by (default: the embedded dev split)",
    )
    add("--threads", type=int, default=1, metavar="N", help="threads of every runtime, pinned (default: 1)")
    add(
        "--preset",
        choices=sorted(PRESETS),
        help="tau, rho and delta: DIART's own for a corpus (the paper: dihard3), or tuned for a pair of models "
        "(default: those of the pair, where they are known, else dihard3)",
    )
    add("--tau", type=float, help="tau_active, the speaker activity threshold")
    add("--rho", type=float, help="rho_update, the share of activity that updates a speaker")
    add("--delta", type=float, help="delta_new, the distance that makes a new speaker")
    add("--chunk", type=float, default=5.0, metavar="S", help="chunk duration in seconds (default: 5)")
    add("--step", type=float, default=0.25, metavar="S", help="seconds between chunks (default: 0.25)")
    add("--latency", type=float, default=3.0, metavar="S", help="algorithmic latency in seconds (default: 3)")
    add(
        "--corpus",
        type=place,
        metavar="DIR",
        help="folder of audio with RTTM, or sample, embedded-dev, embedded-test (default: sample and embedded-test)",
    )
    add("--files", metavar="A,B", help="names of the corpus' files to use")
    for labels in ("--rttm", "--uem"):
        add(
            labels,
            type=place,
            metavar="FILE|DIR",
            help=f"with --corpus DIR: {labels[2:].upper()} to use (default: those in DIR)",
        )
    add("--collar", type=float, default=0.0, metavar="S", help="collar in seconds, in all (default: 0)")
    add("--skip-overlap", action="store_true", help="do not score overlapped speech")
    add(
        "--accuracy",
        choices=get_args(Extent),
        help=f"score {QUICK_SECONDS:g} s of audio, all of it, or none (default: quick)",
    )
    add(
        "--accuracy-budget",
        type=float,
        default=ACCURACY_BUDGET,
        metavar="S",
        help="seconds for scoring; what they leave undecided is not resolved, and goes on where the next run begins "
        f"(default: {ACCURACY_BUDGET:g})",
    )
    add(
        "--jobs",
        default="1",
        metavar="N|dask://HOST:PORT",
        help="score in N processes, or on that Dask cluster (docs/scale.md); timing stays in one (default: 1)",
    )
    add("--any-cpu", action="store_true", help="let workers score whose CPU has other instructions; marks the run")
    add("--accuracy-strict", action="store_true", help="fail what is not resolved, too")
    add("--budget", type=float, default=60.0, metavar="S", help="seconds to measure each kind for (default: 60)")
    add("--profile", metavar="A,B", help="take two variants apart, operator by operator, once all is measured")
    add("--seed", type=int, default=0, metavar="N", help="seed of the order in which variants take turns")
    add(
        "--processes",
        type=int,
        default=1,
        metavar="N",
        help="fresh processes that share each kind's seconds; from 5 on, intervals hold what differs between them",
    )


def chosen(get: Callable[[str], Any], default: str | None = None) -> list[Variant]:
    """The variants to measure: those of `--variants`, else the user's own models, else `default`; UserError."""
    own = [from_factory(spec) for spec in _names(get("embedding_factory"))]
    own += [from_onnx(file) for file in _names(get("onnx"))]
    named = get("variants")
    return [*([] if own and named is None else variants.select(default if named is None else named)), *own]


def _names(text: str | None) -> list[str]:
    """Of a value with commas between."""
    return [name.strip() for name in (text or "").split(",") if name.strip()]


def parse(get: Callable[[str], Any]) -> Options:
    """Options from a look-up by name; UserError for values that make no sense, alone or together."""
    for name in ("collar", "budget", "accuracy_budget", "tau", "rho", "delta", "chunk", "step", "latency", "seed"):
        if not 0 <= (0 if get(name) is None else get(name)) <= LARGEST:
            raise UserError(f"--{name.replace('_', '-')} {get(name):g}: must be a number from 0 to {LARGEST:.0f}")
    if not 1 <= get("processes") <= MOST:
        raise UserError(f"--processes {get('processes')}: must be a number from 1 to {MOST}")
    jobs = get("jobs")
    if not (jobs.isdecimal() and int(jobs) > 0) and not re.fullmatch(r"dask://.+:\d+", jobs):
        raise UserError(f"--jobs {jobs}: a number of processes from 1 on, or dask://HOST:PORT")
    other = get("segmentation_variant")
    if other is not None:
        other = variants.get(other, "segmentation").name
        if get("segmentation") == "oracle":
            raise UserError("--segmentation-variant: an oracle is no model and has no variants")
    preset = PRESETS[get("preset") or PAIRS.get((get("embedding"), get("segmentation")), "dihard3")]
    thresholds = [
        value if get(name) is None else get(name) for name, value in zip(("tau", "rho", "delta"), preset, strict=True)
    ]
    rttm, uem, calibration = (
        Path(get(name)) if get(name) is not None else None for name in ("rttm", "uem", "calibration")
    )
    profiled = tuple(dict.fromkeys(variants.get(name, "embedding").name for name in _names(get("profile"))))
    if len(profiled) not in (0, 2):
        raise UserError(f"--profile {get('profile')}: name two variants, with a comma between")
    for name in profiled:
        variants.require(name)
    return Options(
        ModelOptions(get("embedding"), get("segmentation"), other, get("trust_checkpoint"), calibration),
        CorpusOptions(get("corpus"), tuple(_names(get("files"))) if get("files") else None, rttm, uem),
        PipelineSettings(get("chunk"), get("step"), get("latency"), *thresholds),
        ScoringOptions(
            get("accuracy") or "quick",
            *map(get, ("accuracy_budget", "accuracy_strict", "collar", "skip_overlap", "jobs", "any_cpu")),
        ),
        TimingOptions(get("threads"), get("budget"), get("seed"), get("processes")),
        profiled,
        _values(get) | {"accuracy": get("accuracy") or "quick"},
    )


def _values(get: Callable[[str], Any]) -> dict[str, Value]:
    parser = argparse.ArgumentParser()
    add_options(parser.add_argument)
    values = {name: get(name) for name in vars(parser.parse_args([]))}
    return {name: str(value) if isinstance(value, Path) else value for name, value in values.items()}
