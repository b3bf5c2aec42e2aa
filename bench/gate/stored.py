"""What the gate compares a run with: thresholds, and the stored run of the same CPU model."""

import sys
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from math import inf
from pathlib import Path
from typing import Any

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib  # pytest's own dependency there

import variants
from bench.history.compare import differing_conditions, stored_ratios
from bench.history.counts import counts_of
from bench.statistics import Ratio
from variants.errors import UserError

DEFAULT = 5.0  # percent
HOW = "store one with `pytest bench --benchmark-save=NAME` on this machine"


def thresholds(pyproject: Path) -> dict[str, float]:
    """Threshold of each registered variant as a share, from `[tool.bench.gate]`: percent by name, and `default`.

    Raises UserError for what is no TOML, no variant or no number above 0.
    """
    try:
        table = tomllib.loads(pyproject.read_bytes().decode()) if pyproject.is_file() else {}
        given: dict[str, Any] = dict(table.get("tool", {}).get("bench", {}).get("gate", {}))
    except (ValueError, TypeError, AttributeError) as error:  # no UTF-8, no TOML, no table
        raise UserError(f"{pyproject}: [tool.bench.gate]: {error}") from None
    for name, percent in given.items():
        if name != "default":
            try:
                variants.get(name)
            except UserError as error:
                raise UserError(f"{pyproject}: [tool.bench.gate]: {error}") from None
        if isinstance(percent, bool) or not isinstance(percent, int | float) or not 0 < percent / 100 < inf:
            raise UserError(f"{pyproject}: [tool.bench.gate] {name}: {percent!r} is no percentage above 0")
    return {name: given.get(name, given.get("default", DEFAULT)) / 100 for name in variants.names()}


@dataclass(frozen=True)
class Stored:
    """A stored run: name, ratios to its baseline by (kind, variant), DER by perturbation, conditions, counts."""

    name: str
    ratios: dict[tuple[str, str], Ratio]
    benchmarks: list[tuple[str, str]]
    der: dict[str, list[float]]
    saved: Mapping[str, Any]
    counts: Mapping[str, Mapping[str, float]] = field(default_factory=dict)  # of each variant, see `counts`

    def differing(self, now: Mapping[str, Any]) -> list[str]:
        """Conditions that make it incomparable: threads, CPU flags, models, settings and audio."""
        then = self.saved["diartbench"]
        pairs = [
            ("CPU flags", then["machine"].get("flags"), now["machine"]["flags"]),
            ("timed on", then.get("timed_on"), now["timed_on"]),
        ]
        return differing_conditions(self.saved, now) + [
            f"{what}: {_shown(before)} then, {_shown(after)} now" for what, before, after in pairs if before != after
        ]

    def same_scoring(self, now: Mapping[str, Any]) -> bool:
        """Whether its DER was computed as this run's is."""
        then = self.saved["diartbench"]
        return not self.differing(now) and all(then.get(what) == now[what] for what in ("scored_on", "scoring"))

    def vanished(self, measured: Collection[tuple[str, str]], kinds: Collection[str], narrowed: bool) -> dict[
        tuple[str, str], str
    ]:  # fmt: skip
        """Stored benchmarks that this run does not have although it should, each with the reason.

        measured: (kind, variant) of this run. kinds: those that exist. narrowed: whether the user asked for a part of
        the benchmarks; then those that still exist are missed on purpose.
        """
        gone = {}
        for kind, name in self.benchmarks:
            if (kind, name) in measured or kind == "cold-start":  # which is measured only where it is named
                continue
            if name not in variants.names() or kind not in kinds:
                gone[kind, name] = "stored, but it exists no longer: renamed or removed"
            elif not narrowed:
                gone[kind, name] = "stored, but not measured now"
        return gone


def _shown(value: Any) -> str:
    return " ".join(map(str, value)) if isinstance(value, list) else str(value)


def latest(runs: Iterable[tuple[Any, Mapping[str, Any]]], cpu: str) -> Stored:
    """The last of `runs` (name, pytest-benchmark's JSON) made by this project on that CPU model.

    Raises UserError that says how to store one if there is none.
    """
    others = []
    found = None
    for name, saved in runs:
        try:
            model = saved["diartbench"]["machine"]["cpu"]
            if model == cpu:
                run = _read(str(name), saved)
                if all(kind == "cold-start" for kind, _ in run.benchmarks):
                    others.append(f"{name} has cold starts alone")
                else:
                    found = run
            else:
                others.append(f"{name} is of {model}")
        except (LookupError, TypeError, ValueError, AttributeError, OverflowError):
            others.append(f"{name} is not of this project")
    if found is None:
        why = f" ({'; '.join(others)})" if others else ""
        raise UserError(f"--gate: no stored run of this CPU model, {cpu}{why}: {HOW}, or name a revision by --against")
    return found


def read(name: str, saved: Mapping[str, Any]) -> Stored:
    """A stored run by its name and JSON; UserError for one that nothing can be held against."""
    try:
        return _read(name, saved)
    except (LookupError, TypeError, ValueError, AttributeError, OverflowError) as error:
        raise UserError(f"--gate: {name}: not a run of this project ({type(error).__name__}: {error})") from None


def _read(name: str, saved: Mapping[str, Any]) -> Stored:
    ratios = {(kind, variant): ratio for kind, variant, ratio in stored_ratios(saved)}
    infos = [(str(benchmark["group"]), benchmark["extra_info"]) for benchmark in saved["benchmarks"]]
    der = {
        str(info["variant"]): [float(der) for der in info.get("der_by_perturbation") or [info["der"]]]
        for _, info in infos
        if info.get("der") is not None
    }
    counts: dict[str, dict[str, float]] = {}
    for _, info in infos:
        counts.setdefault(str(info["variant"]), {}).update(counts_of(info))
    return Stored(name, ratios, [(kind, str(info["variant"])) for kind, info in infos], der, saved, counts)
