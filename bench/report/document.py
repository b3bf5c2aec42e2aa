"""One run as a document of plain JSON values, from which the page and the summary are made (docs/report.md)."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from math import inf, isfinite
from typing import Any

import variants
from bench.accuracy.der import Accuracy
from bench.history.compare import differing_conditions, judge
from bench.latency.kinds import STEADY
from bench.latency.results import TWIN, Kind
from bench.statistics import Ratio, drift

from .claims import answer, claims
from .extra_info import mean_disagreement, worst_chunks
from .findings import Findings
from .format import scope
from .paper import TABLE_III
from .profile import facts
from .terminal import notes
from .timeline import timeline

SCHEMA = "diartbench-results/2"  # the number grows when a field changes its meaning or goes
UNKNOWN = variants.Variant("", parent=None, tolerance=inf)
Json = dict[str, Any]


def document(
    findings: Findings, made: str, history: Sequence[Json] = (), gate: Sequence[Mapping[str, Any]] | None = None
) -> Json:
    """All of a run. made: its time, ISO 8601. history: older runs, by `past`. gate: None if it did not run."""
    measured = [name for kind in findings.kinds.values() for name in kind.latencies]
    names = list(dict.fromkeys([*findings.sizes, *findings.accuracy, *measured]))
    pipeline = findings.kinds.get("pipeline")
    doc = {
        "schema": SCHEMA,
        "made": made,
        "answer": _sentence(answer(pipeline, findings.judgements, findings.trained), names),
        "conditions": dict(findings.conditions) or None,
        "kinds": {name: _kind(kind) for name, kind in findings.kinds.items()},
        "variants": [_variant(name, findings) for name in names],
        "lost": {**findings.skipped, **findings.broken}
        | {name: f"{kind}: {why}" for kind, k in findings.kinds.items() for name, why in k.failures.items()},
        "profile": facts(findings.profiles),
        "claims": [asdict(c) for c in claims(pipeline, findings.evidence, findings.sizes, findings.trained)],
        "gate": None if gate is None else [dict(row) for row in gate],
        "history": [],
        "timeline": timeline(findings.accuracy, findings.references),
        "notes": notes(findings),
    }
    return finished(doc, history)


def finished(doc: Json, history: Sequence[Json]) -> Json:
    """The document with older runs beside it, judged against it, and a word on all that it lacks."""
    doc = {**doc, "history": [_judged(run, doc) for run in sorted(history, key=lambda run: run["made"])]}
    result: Json = _plain({**doc, "missing": missing(doc)})
    return result


def past(doc: Json, label: str) -> Json:
    """An older run as `document` takes it: its ratios, and the conditions that they rest on."""
    ratios = [
        {"kind": kind, "variant": variant["name"], **latency["to_baseline"]}
        for variant in doc["variants"]
        for kind, latency in variant["latency"].items()
        if latency["to_baseline"] is not None
    ]
    return {"label": label, "made": doc["made"], "conditions": doc["conditions"], "ratios": ratios}


def gate_rows(facts: Mapping[str, Any]) -> list[Json]:
    """The gate's rows from its facts, as pytest-benchmark's JSON keeps them under `diartbench`; changes in %."""
    rows = []
    for judged in facts["judgements"]:
        ratio = judged["ratio"] or dict.fromkeys(("estimate", "low", "high"))
        change, low, high = (
            None if x is None else 100 * (x - 1) for x in (ratio[k] for k in ("estimate", "low", "high"))
        )
        row = {key: judged[key] for key in ("kind", "variant", "against", "verdict", "why")}
        rows.append({**row, "change": change, "low": low, "high": high})
    rows += [{**failure, "verdict": "failed"} for failure in facts["failures"]]
    return rows + [{**failure, "verdict": "inconclusive"} for failure in facts.get("unresolved", [])]


def missing(doc: Json) -> dict[str, str]:
    """What a reader could look for in vain, by topic, and why it is not there."""
    found: dict[str, str] = {}
    variants_ = doc["variants"]
    for kind in STEADY:
        if kind not in doc["kinds"]:
            found[kind] = f"The {kind} latency was not measured."
        elif doc["kinds"][kind]["control"] is None:
            found[kind] = f"{kind}: no control ({TWIN}) was measured, so nothing can be told from noise."
    if lost := doc["lost"]:
        found["variants"] = "Not measured: " + "; ".join(f"{name} ({why})" for name, why in lost.items()) + "."
    present = {_entry(v["name"]).paper for v in variants_}
    if absent := [row for row in TABLE_III if row not in present]:
        found["paper"] = f"Rows of the paper's Table III without a counterpart in this run: {', '.join(absent)}."
    if untrained := [v["name"] for v in variants_ if not v["trained"]]:
        found["training"] = f"Untrained, so that DER means nothing for them: {', '.join(untrained)}."
    if all(v["accuracy"] is None for v in variants_):
        found["accuracy"] = "Accuracy was not scored: no DER, no Pareto front, no word on who spoke when."
    elif all(v["accuracy"]["der"] is None for v in variants_ if v["accuracy"]):
        found["accuracy"] = "The corpus has no reference: disagreement with the baseline, but no DER."
    elif all(v["accuracy"]["by_file"] is None for v in variants_ if v["accuracy"]):
        found["accuracy"] = "The stored run keeps DER in sum only: no interval, no components, no files."
    if without := [v["name"] for v in variants_ if v["memory_mib"] is None]:
        found["memory"] = f"Peak memory was not measured for {_all_or(without, variants_)} (it takes Linux's /proc)."
    if without := [v["name"] for v in variants_ if v["size_mib"] is None]:
        found["size"] = f"No saved size for {_all_or(without, variants_)}."
    if doc["timeline"] is None and "accuracy" not in found:
        found["timeline"] = "Who spoke when was not kept."
    if doc["gate"] is None:
        found["gate"] = "The gate did not run."
    if not doc["history"]:
        found["history"] = "There is no stored run to compare with."
    if doc["conditions"] is None:
        found["conditions"] = "The run does not say on what machine, with what models and on what corpus it was made."
    return found


def _sentence(text: str, names: Sequence[str]) -> str:
    """The answer as a sentence of its own; a variant's name keeps its letters."""
    text = text.removeprefix("Answer: ")
    return text if text.startswith(tuple(names)) else text[:1].upper() + text[1:]


def _all_or(some: list[str], everything: list[Json]) -> str:
    return "any variant" if len(some) == len(everything) else ", ".join(some)


def _entry(name: str) -> variants.Variant:
    """The registry's entry; a blank one for a variant that is not registered here (a stored run may have any)."""
    return variants.get(name) if name in variants.names() else UNKNOWN


def _kind(kind: Kind) -> Json:
    scoped = {"processes": kind.processes, "intervals": scope(kind.processes)}
    return {"floor": kind.floor, "control": _ratio(kind.twin), "unquiet": kind.unquiet, **scoped}


def _variant(name: str, findings: Findings) -> Json:
    entry, score = _entry(name), findings.accuracy.get(name)
    row = TABLE_III.get(entry.paper or "")
    return {
        "name": name,
        "title": entry.title,
        "parent": entry.parent,
        "trained": findings.trained.get(name, True),
        "tolerance": entry.tolerance,
        "paper": {"der": row.der, "latency_s": row.latency, "size_mib": row.size} if row else None,
        "size_mib": findings.sizes.get(name),
        "memory_mib": findings.memory.get(name),
        "accuracy": _accuracy(name, score, findings) if score else None,
        "arithmetic": _arithmetic(name, findings),
        "latency": {
            kind: _latency_facts(name, found) for kind, found in findings.kinds.items() if name in found.latencies
        },
    }


def _accuracy(name: str, score: Accuracy, findings: Findings) -> Json:
    judged, evidence = findings.judgements.get(name), findings.evidence
    beyond = evidence.unlike(name) if evidence and judged else None
    return {
        "der": score.der,
        **{kind: score.share(kind) for kind in ("missed", "false_alarm", "confusion")},
        "increase": {key: getattr(judged, key) for key in ("points", "low", "high")} if judged else None,
        "increase_elsewhere": judged.others if judged else None,
        "verdict": ("same labels" if judged.identical else judged.verdict) if judged else None,
        "heard": judged.heard if judged else len(evidence.heard.get(name, ())) if evidence else None,
        "disagreement": score.disagreement,
        "beyond_control": {key: getattr(beyond, key) for key in ("points", "low", "high")} if beyond else None,
        "mean_disagreement": mean_disagreement(findings, name),
        "min_cosine": score.cosine,
        "low_cosine": score.low_cosine,
        "worst_chunks": worst_chunks(findings, name),
        "changed_chunks": len(score.changed),
        "by_file": {f.name: 100 * f.der.error / f.der.total if f.der and f.der.total else None for f in score.files},
    }


def _arithmetic(name: str, findings: Findings) -> Json | None:
    floor, kind = findings.floors.get(name), findings.kinds.get("model-only")
    if floor is None:
        return None
    median = kind.latencies[name].percentiles["p50"] if kind and name in kind.latencies else None
    times = None if median is None else median / floor.seconds
    return {**floor.operations._asdict(), "floor_s": floor.seconds, "times_floor": times}


def _latency_facts(name: str, kind: Kind) -> Json:
    latency, base = kind.latencies[name], kind.latencies.get("baseline")
    paired = base is not None and name != "baseline" and len(base.seconds) == len(latency.seconds) > 0
    against = drift(latency.seconds, base.seconds) if paired and base else None
    return {
        "mean_s": latency.mean,
        "std_s": latency.std,
        "percentiles_s": latency.percentiles,
        "percentile_intervals_s": latency.intervals,
        "stages_s": latency.stages,
        "to_baseline": _ratio(latency.to_baseline),
        "to_parent": _ratio(latency.to_parent),
        "verdict": latency.verdict,
        "parent_verdict": latency.parent_verdict,
        "drift": _ratio(drift(latency.seconds)) if latency.seconds else None,
        "drift_to_baseline": _ratio(against),
        "rounds_s": [round(s, 6) for s in latency.seconds],
        "rounds_block": list(latency.blocks),
        "rounds_process": list(latency.processes),
    }


def _ratio(ratio: Ratio | None) -> Json | None:
    return asdict(ratio) if ratio else None


def _judged(run: Json, doc: Json) -> Json:
    """An older run's ratios with a verdict on how this run's stand to them; None where conditions differ."""
    conditions, ratios = doc["conditions"], []
    if conditions:
        differing = differing_conditions({"diartbench": run["conditions"]}, conditions)
    else:
        differing = ["this run does not say on what it was measured"]
    mine = {(r["kind"], r["variant"]): r for r in past(doc, "")["ratios"]}
    for ratio in run["ratios"]:
        after = mine.get((ratio["kind"], ratio["variant"]))
        seen = None if differing or after is None else judge(to_ratio(ratio), to_ratio(after))
        ratios.append({**ratio, "now": seen})
    return {"label": run["label"], "made": run["made"], "differing": differing, "ratios": ratios}


def to_ratio(facts: Mapping[str, Any]) -> Ratio:
    """A Ratio from its JSON form, in which None stands for no upper bound."""
    high = facts["high"]
    over = facts.get("processes", 1), facts.get("between"), facts.get("share")
    return Ratio(facts["estimate"], facts["low"], inf if high is None else high, facts.get("rounds", 0), *over)


def to_interval(facts: Sequence[float | None] | None) -> tuple[float, float] | None:
    """Low and high from their JSON form, in which None stands for no upper bound."""
    return None if facts is None or facts[0] is None else (facts[0], inf if facts[1] is None else facts[1])


def _plain(value: Any) -> Any:
    """JSON values: what is infinite becomes None, tuples become lists, paths and others text."""
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, Iterable) and not isinstance(value, str):
        return [_plain(item) for item in value]
    if isinstance(value, float):
        return value if isfinite(value) and abs(value) < 1e9 else None
    return value if value is None or isinstance(value, str | int) else str(value)
