"""Stored runs as tables and files: for the terminal, as CSV, and as Bencher's JSON."""

import csv
import io
from collections.abc import Collection, Mapping, Sequence
from math import isfinite
from typing import Any, TypeGuard

from bench.history.runs import StoredRun
from bench.latency.results import TWIN
from bench.latency.size import MIB

from .fitted import Fitted
from .format import show_interval

INFINITE = 1e9  # what stored ratios have for an infinite end
FIGURES = ("mean_s", "p50_s", "p95_s", "size_mib", "memory_mib", "der")


def history_tables(
    runs: Sequence[StoredRun], pinned: Collection[str], kind: str, names: Sequence[str], here: str
) -> list[Fitted]:
    """A table for each processor, `here` first: each run's conditions, control, and ratios of the variants named."""
    tables = []
    for cpu in sorted(dict.fromkeys(run.cpu for run in runs), key=lambda cpu: cpu != here):
        figures = ["control %", *(f"{name} %" for name in names)]
        columns = ["run", "made", "commit", "threads", "models", *figures, "pinned"]
        title = f"{kind}, ratios to the baseline: {cpu}{' (this machine)' if cpu == here else ''}"
        table = Fitted(title, columns, ["commit", "threads"], fold=["models"])
        for run in (run for run in runs if run.cpu == cpu):
            models = f"{run.conditions['embedding']}, {run.conditions['segmentation']}"
            ratios = [show_interval(run.ratios.get((kind, name))) for name in (TWIN, *names)]
            threads, pin = str(run.conditions["threads"]), "pinned" if run.name in pinned else ""
            table.add_row(run.name, run.made[:16].replace("T", " "), run.commit, threads, models, *ratios, pin)
        tables.append(table)
    return tables


def as_csv(runs: Sequence[StoredRun]) -> str:
    """One line for each run, kind and variant; empty where a figure is not known."""
    head = ["run", "made", "commit", "cpu", "threads", "embedding", "segmentation", "kind", "variant",
            "ratio", "ratio_low", "ratio_high", *FIGURES, "operations_float32", "operations_int8"]  # fmt: skip
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(head)
    for run in runs:
        about = [run.conditions[name] for name in ("cpu", "threads", "embedding", "segmentation")]
        for kind, name, info in _benchmarks(run):
            ratio = run.ratios.get((kind, name))
            ends = [ratio.estimate, ratio.low, ratio.high] if ratio else [None] * 3
            figures = [info.get(figure) for figure in FIGURES]
            writer.writerow([run.name, run.made, run.commit, *about, kind, name, *ends, *figures, *_operations(info)])
    return text.getvalue()


def as_bencher(run: StoredRun) -> dict[str, dict[str, dict[str, float]]]:
    """Bencher Metric Format: benchmark -> measure -> value, with the ends of its interval where there are any.

    latency is in nanoseconds and file-size in bytes, as Bencher has them; peak-memory in bytes, ratio-to-baseline as a
    share, der in percent (https://bencher.dev/docs/reference/bencher-metric-format).
    """
    found: dict[str, dict[str, dict[str, float]]] = {}
    for kind, name, info in _benchmarks(run):
        values = {
            "latency": (info.get("mean_s"), 1e9),
            "file-size": (info.get("size_mib"), MIB),
            "peak-memory": (info.get("memory_mib"), MIB),
            "der": (info.get("der"), 1.0),
        }
        measures = {key: {"value": float(value) * unit} for key, (value, unit) in values.items() if _finite(value)}
        if (ratio := run.ratios.get((kind, name))) is not None:
            ends = {"value": ratio.estimate, "lower_value": ratio.low, "upper_value": ratio.high}
            measures["ratio-to-baseline"] = {key: end for key, end in ends.items() if end < INFINITE}
        if measures:
            found[f"{kind}/{name}"] = measures
    return found


def _benchmarks(run: StoredRun) -> list[tuple[str, str, Mapping[str, Any]]]:
    infos = [(str(b.get("group")), b.get("extra_info") or {}) for b in run.saved["benchmarks"]]
    return [(kind, str(info["variant"]), info) for kind, info in infos if "variant" in info]


def _operations(info: Mapping[str, Any]) -> list[Any]:
    found = info.get("operations")
    if isinstance(found, Mapping):
        return [found.get("float32"), found.get("int8")]
    return [found, None]  # early runs stored those in float32 only


def _finite(value: Any) -> TypeGuard[float]:
    return isinstance(value, int | float) and not isinstance(value, bool) and isfinite(value)
