"""What a run says of itself: the conditions that its figures rest on, and what is peculiar about its models."""

from typing import Any

import variants
from bench.latency import machine
from bench.latency.quota import cpu_quota
from bench.pipeline.oracle import OracleSegmentation
from variants.compressed.calibration import calibration
from variants.runtime.cpu import cpu_flags

from .cores import Cores
from .corpus import Corpus
from .models import Models
from .options import Options
from .scores import Scores


def conditions(options: Options, cores: Cores, models: Models, corpus: Corpus, scores: Scores) -> dict[str, Any]:
    """Machine, threads, models, corpus and settings, as plain JSON values."""
    return {
        "machine": machine.describe(),
        "threads": cores.threads.count,
        "cpus": list(cores.threads.cpus),
        "embedding": str(variants.provenance_of(models.root)),
        "segmentation": _segmentation_name(models),
        "calibration": _calibration(models),
        "segmentation_trained": models.segmentation_trained,
        "timed_on": [recording.name for recording, _ in corpus.timed],
        "scored_on": [recording.name for recording, _ in scores.parts],
        "settings": vars(options.pipeline),
        "scoring": {"collar": options.scoring.collar, "skip_overlap": options.scoring.skip_overlap}
        | ({"any_cpu": True} if options.scoring.any_cpu else {}),
        "jobs": options.scoring.jobs,
        "other_cpus": sorted(scores.cpus - {" ".join(cpu_flags())}),
    }


def notes(models: Models, corpus: Corpus) -> list[str]:
    """What the reader of the figures must know of single files and models."""
    lines = [*corpus.problems]
    lines += [f"{recording.name}: {note}" for recording in corpus.recordings for note in recording.notes]
    if (quota := cpu_quota()) is not None and quota < machine.logical_cores():
        lines.append(f"a container's quota allows the time of {quota:g} CPUs: what takes more is stopped and waits")
    cpus = machine.logical_cores()
    lines += [
        f"{name}: not pinned, its session chooses its own threads ({cpus} logical CPUs)"
        for name in models
        if not variants.get(name).pinned
    ]
    lines += _reuse(models)
    lines += [f"{name}: its pipeline runs {models.other(name)}" for name in models.others]
    lines += [
        f"{name}: compiled in {seconds:.1f} s, of which no round is a part"
        for name, model in models.items()
        if (seconds := getattr(model, "compile_seconds", None)) is not None
    ]
    if (seconds := models.trained_duration) not in (None, models.duration):
        lines.append(f"the segmentation was trained on chunks of {seconds:g} s, not of {models.duration:g} s (--chunk)")
    if not models.segmentation_trained:
        lines.append("the segmentation has random weights: only its cost is measured; DER: not measured")
    return lines


def _reuse(models: Models) -> list[str]:
    """What variants keep of earlier chunks, those alike in one line; all others compute each chunk anew."""
    found: dict[str, list[str]] = {}
    for name, model in models.items():
        parts = {"embedding": model, "segmentation": models.segmentation_of(name).model}
        kept = [f"{reused} ({which})" for which, part in parts.items() for reused in sorted(reuses(part))]
        found.setdefault(", ".join(kept), []).append(name)
    return [f"{', '.join(names)}: reused of earlier chunks: {kept or 'nothing'}" for kept, names in found.items()]


def reuses(model: object) -> set[str]:
    """What the parts of a model declare as `reuses`: the work of earlier chunks that they do not do again."""
    return {part.reuses for part in getattr(model, "modules", list)() if isinstance(getattr(part, "reuses", None), str)}


def _calibration(models: Models) -> str | None:
    """By what ranges in int8 were found, if not by the embedded speech."""
    if models.options.calibration is None:
        return None
    found = calibration(models.options.calibration)
    return f"{found.speech} (SHA-256 {found.digest[:12]})"


def _segmentation_name(models: Models) -> str:
    model = models.segmentation.model
    if isinstance(model, OracleSegmentation):
        return "oracle"
    return str(variants.provenance_of(getattr(model, "model", model)))
