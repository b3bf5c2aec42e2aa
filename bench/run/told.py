"""What a benchmark session says of itself: its conditions, and all its findings for the report."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from pyannote.core import Segment

import variants
from bench.accuracy import scoring
from bench.accuracy.der import Turn, turns
from bench.latency import machine
from bench.pipeline.oracle import OracleSegmentation
from bench.report.findings import Findings
from variants.exact.cached import CachedFront

from .options import QUICK_SECONDS

if TYPE_CHECKING:
    from .run import Run


def conditions(run: "Run") -> dict[str, Any]:
    """What the figures rest on: machine, threads, models, corpus, settings."""
    return {
        "machine": machine.describe(),
        "threads": run.threads.count,
        "cpus": list(run.threads.cpus),
        "embedding": str(variants.provenance_of(run.root)),
        "segmentation": _segmentation_name(run),
        "segmentation_trained": run.segmentation_trained,
        "timed_on": [recording.name for recording, _ in scoring.take(run.recordings, QUICK_SECONDS)],
        "scored_on": [recording.name for recording, _ in run.scored_parts],
        "settings": vars(run.options.pipeline),
        "scoring": {"collar": run.options.scoring.collar, "skip_overlap": run.options.scoring.skip_overlap},
    }


def findings(run: "Run", compared: Mapping[str, Any] | None = None) -> Findings:
    """All results so far, for the report; `compared` are stored runs by the time of their making."""
    notes = list(run.problems)
    notes += [f"{recording.name}: {note}" for recording in run.recordings for note in recording.notes]
    cpus = machine.logical_cores()
    notes += [
        f"{name}: not pinned, its session chooses its own threads ({cpus} logical CPUs)"
        for name in run.models
        if not variants.get(name).pinned
    ]
    notes += [
        f"{name}: reuses work of earlier chunks"
        for name in run.models
        if any(isinstance(part, CachedFront) for part in getattr(run.models[name], "modules", list)())
    ]
    notes += [f"{name}: its pipeline runs {run.other(name)}" for name in run.others]
    notes += [
        f"{name}: compiled in {seconds:.1f} s, of which no round is a part"
        for name, model in run.models.items()
        if (seconds := getattr(model, "compile_seconds", None)) is not None
    ]
    if not run.segmentation_trained:
        notes.append("the segmentation has random weights: only its cost is measured; DER: not measured")
    return Findings(
        kinds=run.kinds,
        accuracy=run.__dict__.get("accuracy", {}),  # only if it was asked for, and so exists
        sizes=run.sizes,
        memory=run.__dict__.get("memory", {}),
        trained=run.trained,
        floors=run.__dict__.get("floors", {}),
        skipped=run.skipped,
        notes=notes,
        conditions=conditions(run),
        compared=compared or {},
        broken=run.broken,
        references=references(run),
    )


def references(run: "Run") -> dict[str, tuple[Turn, ...]]:
    """Who really spoke when, in the part of each file that was scored."""
    return {
        recording.name: turns(recording.reference.crop(Segment(0, seconds or recording.duration)))
        for recording, seconds in run.scored_parts
        if recording.reference is not None
    }


def _segmentation_name(run: "Run") -> str:
    model = run.segmentation.model
    if isinstance(model, OracleSegmentation):
        return "oracle"
    return str(variants.provenance_of(getattr(model, "model", model)))
