"""Stored runs as documents: results.json, and what pytest-benchmark's files hold."""

import json
import math
import os
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, get_args

from jinja2 import TemplateError

from bench.accuracy.der import Accuracy, FileScore
from bench.accuracy.errors import Components
from bench.accuracy.verdict import Judgement, Verdict, unheard
from bench.history.compare import stored_ratios
from bench.latency.floor import Floor, Operations
from bench.latency.kinds import KINDS
from bench.latency.results import TWIN, Kind, Latency
from bench.statistics import Ratio, noise_floor, verdict
from variants import UserError

from .document import SCHEMA, Json, document, finished, gate_rows, past
from .findings import Findings
from .page import summary

MALFORMED = (ValueError, LookupError, TypeError, AttributeError, ArithmeticError)


@contextmanager
def refusing(path: Path) -> Generator[None, None, None]:
    """Whatever fails meanwhile lies in that file, which anybody may have written: UserError in one line."""
    try:
        yield
    except (*MALFORMED, RecursionError, TemplateError) as error:
        why = " ".join(f"{type(error).__name__}: {error}".split())[:200]
        raise UserError(f"{path}: no stored run ({why})") from None


def read(path: Path) -> Json:
    """A document from results.json, or as much of one as a run that pytest-benchmark stored holds; else UserError."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise UserError(f"{path}: {error.strerror}") from None
    with refusing(path):
        saved = json.loads(data)
        if str(saved.get("schema", "")).startswith("diartbench-results/"):
            if saved["schema"] != SCHEMA:
                raise UserError(f"{path}: {saved['schema']}; this version reads {SCHEMA}")
            found: Json = saved
        else:
            found = from_stored(saved)
        if not found["variants"]:
            raise UserError(f"{path}: holds no benchmark of this project")
        summary(finished(found, [past(found, "")]))  # by which it is tried, as a run and as an older one
        return found


def older(path: Path) -> Json:
    """The run in a file as `past`, labelled by the file's name, which is UTF-8 whatever the locale."""
    return past(read(path), os.fsencode(path.stem).decode("utf-8", "replace"))


def stored_runs(folder: Path, limit: int = 20) -> list[Json]:
    """The last runs that pytest-benchmark stored under a folder, as `past`; what cannot be read is no run."""
    found = []
    for path in sorted(folder.rglob("*.json")):
        try:
            found.append(older(path))
        except UserError:
            continue
    return sorted(found, key=lambda run: run["made"])[-limit:]


def from_stored(saved: Mapping[str, Any]) -> Json:
    """A document from pytest-benchmark's JSON. It keeps no accuracy by file, no claims and no turns.

    DER is taken up as that of a single file, so that it gets no interval; its components are then unknown.
    """
    kinds: dict[str, dict[str, Latency]] = {}
    infos: dict[str, Mapping[str, Any]] = {}
    ratios = {(kind, name): ratio for kind, name, ratio in stored_ratios(saved)}
    floors: dict[str, float] = {kind: noise_floor(ratios.get((kind, TWIN))) for kind in KINDS}
    for benchmark in saved.get("benchmarks", []):
        info, kind = benchmark.get("extra_info", {}), benchmark.get("group")
        if kind in KINDS and "variant" in info:
            name = info["variant"]
            infos[name] = info
            kinds.setdefault(kind, {})[name] = _latency(benchmark, ratios.get((kind, name)), floors[kind])
    scored = {name: info for name, info in infos.items() if info["der"] is not None}
    for info in [info for info in scored.values() if info.get("der_increase") is not None]:
        alone = {"der": info["der"] - info["der_increase"], "label_disagreement": 0.0, "min_cosine": 1.0}
        scored.setdefault("baseline", alone)  # of a run in which it was measured, but no benchmark of its own
    accuracy = {name: _one_file(info) for name, info in scored.items()}
    judgements = {name: judged for name, info in scored.items() if (judged := _judgement(info)) is not None}
    findings = Findings(
        kinds={kind: _kind(latencies, floors[kind]) for kind, latencies in kinds.items()},
        accuracy=accuracy,
        judgements=judgements,
        sizes={name: info["size_mib"] for name, info in infos.items()},
        memory={name: info["memory_mib"] for name, info in infos.items()},
        trained={name: info["trained"] for name, info in infos.items()},
        skipped={},
        notes=[],
        conditions={key: value for key, value in (saved.get("diartbench") or {}).items() if key != "gate"},
        compared={},
        floors={
            name: Floor(_operations(info["operations"]), _operations(info["peak_operations_per_s"]))
            for name, info in infos.items()
            if info.get("operations") and info.get("peak_operations_per_s")
        },
    )
    facts = (saved.get("diartbench") or {}).get("gate")
    doc = document(findings, saved.get("datetime", "an unknown time"), gate=gate_rows(facts) if facts else None)
    for variant in doc["variants"]:
        if variant["accuracy"]:
            variant["accuracy"] |= dict.fromkeys(("missed", "false_alarm", "confusion", "changed_chunks", "by_file"))
            info = infos.get(variant["name"], {})
            variant["accuracy"] |= {key: info.get(key) for key in ("mean_disagreement", "low_cosine", "worst_chunks")}
    return finished(doc, [])


def _kind(latencies: dict[str, Latency], floor: float) -> Kind:
    found = {process for latency in latencies.values() for process in latency.processes}
    return Kind(latencies, floor, {}, 0, len(found))


def _latency(benchmark: Mapping[str, Any], to_baseline: Ratio | None, floor: float) -> Latency:
    info, stats = benchmark["extra_info"], benchmark.get("stats", {})
    parent = info["ratio_to_parent"]
    to_parent = Ratio(rounds=stats.get("rounds", 0), **parent) if parent else None
    parent_verdict = verdict(to_parent, floor) if to_parent else "reference"
    return Latency(
        mean=info["mean_s"],
        std=info["std_s"],
        percentiles={key: info[f"{key}_s"] for key in ("p50", "p90", "p95", "p99", "max")},
        stages=info["stages_s"],
        to_baseline=to_baseline,
        to_parent=to_parent,
        verdict=info["verdict"],
        parent_verdict="control" if info["variant"] == TWIN else parent_verdict,
        rounds=stats.get("rounds", 0),
        seconds=tuple(stats.get("data", ())),
        intervals={key: info.get(f"{key}_interval_s") for key in ("p95", "p99")},
        blocks=tuple(map(int, info.get("blocks", ()))),
        processes=tuple(map(int, info.get("processes", ()))),
    )


def _operations(found: Mapping[str, float] | float) -> Operations:
    """By type; early runs stored those in float32 only, as a number."""
    return Operations(**found) if isinstance(found, Mapping) else Operations(found)


def _judgement(info: Mapping[str, Any]) -> Judgement | None:
    """As stored; early runs stored a difference alone."""
    if found := info.get("der_judgement"):
        low, high = (side * math.inf if found[key] is None else found[key] for side, key in ((-1, "low"), (1, "high")))
        if found["verdict"] not in get_args(Verdict):
            raise ValueError(f"verdict {found['verdict']!r}")
        return Judgement(
            found["verdict"], found["points"], low, high, True, bool(found["identical"]), heard=found["heard"]
        )
    increase = info.get("der_increase")
    return None if increase is None or info.get("variant") in (None, "baseline", TWIN) else unheard(increase, 1)


def _one_file(info: Mapping[str, Any]) -> Accuracy:
    der, disagreement = (Components(100.0, 0.0, 0.0, info[key]) for key in ("der", "label_disagreement"))
    return Accuracy((FileScore("all", der, disagreement, info["min_cosine"], 1.0, ()),))
