"""What a stored run keeps of each benchmark beside pytest-benchmark's own statistics; `stored` reads it."""

from dataclasses import asdict
from math import isfinite
from typing import Any

from bench.latency.results import Latency
from bench.statistics import Ratio

from .findings import Findings


def extra_info(latency: Latency, findings: Findings, name: str, step: float) -> dict[str, Any]:
    """One variant's results as plain JSON values. step: seconds between chunks."""
    accuracy, baseline = findings.accuracy.get(name), findings.accuracy.get("baseline")
    increase = accuracy.increase_over(baseline) if accuracy and baseline else None
    judged = findings.judgements.get(name)
    heard = findings.evidence.heard.get(name, ()) if findings.evidence else ()
    floor = findings.floors.get(name)
    return {
        "variant": name,
        "mean_s": latency.mean,
        "std_s": latency.std,
        **{f"{key}_s": value for key, value in latency.percentiles.items()},
        **{f"{key}_interval_s": found and [found[0], min(found[1], 1e9)] for key, found in latency.intervals.items()},
        "real_time_factor": latency.mean / step,
        "stages_s": latency.stages,
        **({"blocks": [*latency.blocks], "processes": [*latency.processes]} if len(set(latency.processes)) > 1 else {}),
        "ratio_to_baseline": _ratio_facts(latency.to_baseline),
        "ratio_to_parent": _ratio_facts(latency.to_parent),
        "verdict": latency.verdict,
        "operations": floor.operations._asdict() if floor else None,
        "peak_operations_per_s": floor.peak._asdict() if floor else None,
        "size_mib": findings.sizes.get(name),
        "memory_mib": findings.memory.get(name),
        "counts": dict(findings.counts.get(name, {})) or None,
        "trained": findings.trained.get(name, True),
        "der": accuracy.der if accuracy else None,
        "der_increase": increase,
        "der_by_perturbation": [replica.der for replica in heard] or None,
        "der_judgement": _plain(asdict(judged)) if judged else None,
        "label_disagreement": accuracy.disagreement if accuracy else None,
        "mean_disagreement": mean_disagreement(findings, name),
        "min_cosine": accuracy.cosine if accuracy else None,
        "low_cosine": accuracy.low_cosine if accuracy else None,
        "worst_chunks": worst_chunks(findings, name),
    }


def mean_disagreement(findings: Findings, name: str) -> dict[str, float] | None:
    """With the baseline's labels over all perturbations heard: points of speech, and their interval."""
    evidence = findings.evidence
    found = evidence.disagreement(name) if evidence and name in evidence.heard else None
    return {key: getattr(found, key) for key in ("points", "low", "high")} if found else None


def worst_chunks(findings: Findings, name: str) -> list[dict[str, Any]]:
    """Of a variant in int8, those whose embeddings are farthest from its parent's; of others none."""
    accuracy = findings.accuracy.get(name) if name in findings.in_int8 else None
    return [{"file": file, **row._asdict()} for file, row in accuracy.worst] if accuracy else []


def _ratio_facts(ratio: Ratio | None) -> dict[str, float | None] | None:
    if ratio is None:
        return None
    facts: dict[str, float | None] = {"estimate": ratio.estimate, "low": ratio.low, "high": min(ratio.high, 1e9)}
    if ratio.processes == 1:
        return facts
    return facts | {"processes": ratio.processes, "between": ratio.between, "share": ratio.share}


def _plain(facts: dict[str, Any]) -> dict[str, Any]:
    return {key: None if isinstance(value, float) and not isfinite(value) else value for key, value in facts.items()}
