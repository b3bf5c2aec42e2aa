"""The last stored run that is comparable with one to come: how its control spread, and how long its rounds took."""

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.statistics import Ratio

from .compare import differing_conditions, stored_ratios
from .storage import foreign

MALFORMED = (OSError, ValueError, LookupError, TypeError, AttributeError, OverflowError, RecursionError)


@dataclass(frozen=True)
class Control:
    """Where it was found; the control's ratio to the baseline; mean seconds of each variant's rounds."""

    name: str
    ratio: Ratio
    seconds: Mapping[str, float]


def last_controls(folder: Path, now: Mapping[str, Any], twin: str, kinds: Collection[str]) -> dict[str, Control]:
    """By kind, the control in the last run stored under `folder` that has one, under the conditions `now`.

    Files that are no such run are passed over. twin: the control's name. kinds: those looked for.
    """
    found: dict[str, Control] = {}
    for path in sorted(folder.rglob("*.json"), key=lambda path: path.name, reverse=True):
        if set(kinds) <= found.keys():
            break
        try:
            saved = json.loads(path.read_bytes())
            if foreign(saved) is None and not differing_conditions(saved, now):
                found = {**_controls(path.stem, saved, twin), **found}
        except MALFORMED:
            continue
    return found


def _controls(name: str, saved: Mapping[str, Any], twin: str) -> dict[str, Control]:
    seconds: dict[str, dict[str, float]] = {}
    for benchmark in saved["benchmarks"]:
        info = benchmark["extra_info"]
        seconds.setdefault(str(benchmark["group"]), {})[str(info["variant"])] = float(info["mean_s"])
    ratios = {kind: ratio for kind, variant, ratio in stored_ratios(saved) if variant == twin}
    return {kind: Control(name, ratio, seconds[kind]) for kind, ratio in ratios.items()}
