"""The runs in `.benchmarks/`: read, named, and which of them may go."""

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.statistics import Ratio
from variants.errors import UserError

from .compare import stored_ratios
from .storage import foreign

RUNS = "[0-9][0-9][0-9][0-9]_*.json"  # as pytest-benchmark names them
MALFORMED = (ValueError, LookupError, TypeError, AttributeError, ArithmeticError, RecursionError)


@dataclass(frozen=True)
class StoredRun:
    """One run of this project. name: its file below the storage folder. made: when, ISO 8601. conditions: see below."""

    name: str
    path: Path
    made: str
    commit: str
    conditions: dict[str, Any]
    ratios: dict[tuple[str, str], Ratio]  # to its baseline, by (kind, variant)
    saved: Mapping[str, Any]

    @property
    def cpu(self) -> str:
        """The processor, by which machines are told apart."""
        return str(self.conditions["cpu"])


def conditions_of(facts: Mapping[str, Any]) -> dict[str, Any]:
    """What two runs must share to be compared, as JSON has it, from what a run says of itself (`diartbench`)."""
    names = ("threads", "embedding", "segmentation", "settings", "timed_on")
    found = {"cpu": facts["machine"]["cpu"], "flags": facts["machine"].get("flags")}
    known: dict[str, Any] = json.loads(json.dumps(found | {name: facts.get(name) for name in names}))
    return known


def read_runs(folder: Path) -> tuple[list[StoredRun], list[str]]:
    """All runs under a storage folder, oldest first, and a line on each file that is none. UserError for no folder."""
    if not folder.is_dir():
        raise UserError(f"{folder}: no such folder; `pytest bench --benchmark-save=NAME` stores a run in .benchmarks")
    runs, skipped = [], []
    for path in sorted([*folder.glob(RUNS), *folder.glob(f"*/{RUNS}")]):
        name = str(path.relative_to(folder))
        try:
            saved = json.loads(path.read_bytes())
            if problem := foreign(saved):
                raise ValueError(problem)
            runs.append(_run(name, path, saved))
        except MALFORMED as error:
            skipped.append(f"{name}: no run of this project ({type(error).__name__}: {error})")
        except OSError as error:
            skipped.append(f"{name}: {error.strerror}")
    return sorted(runs, key=lambda run: (run.made, run.name)), skipped


def _run(name: str, path: Path, saved: Mapping[str, Any]) -> StoredRun:
    commit = saved.get("commit_info") or {}
    short = str(commit.get("id") or "unknown")[:7] + ("+" if commit.get("dirty") else "")
    ratios = {(kind, variant): ratio for kind, variant, ratio in stored_ratios(saved)}
    return StoredRun(name, path, str(saved["datetime"]), short, conditions_of(saved["diartbench"]), ratios, saved)


def find(runs: Sequence[StoredRun], text: str) -> StoredRun:
    """The one run that `text` means: its file, path, number (5, 0005) or the name it was saved by. Else UserError."""
    number = f"{int(text):04}_" if text.isdecimal() else None
    fitting = [
        run
        for run in runs
        if text in (run.name, str(run.path), run.path.name, run.path.stem, run.path.stem[5:])
        or (number is not None and run.path.name.startswith(number))
    ]
    if len(fitting) == 1:
        return fitting[0]
    known = ", ".join(run.name for run in fitting or runs) or "none"
    raise UserError(f"{text}: {'more than one run is' if fitting else 'no stored run is'} called that ({known})")


def latest(runs: Sequence[StoredRun], cpu: str) -> StoredRun:
    """The last run of that processor; UserError without one."""
    mine = [run for run in runs if run.cpu == cpu]
    if not mine:
        raise UserError(f"no stored run of this CPU model, {cpu}: name one")
    return mine[-1]


def superfluous(runs: Sequence[StoredRun], keep: int, pinned: Collection[str], cpu: str | None) -> list[StoredRun]:
    """All but the last `keep` runs of each processor and the pinned ones; of `cpu` alone unless that is None."""
    by_cpu: dict[str, list[StoredRun]] = {}
    for run in runs:
        by_cpu.setdefault(run.cpu, []).append(run)
    return [
        run
        for model, mine in by_cpu.items()
        if cpu in (None, model)
        for run in mine[: max(0, len(mine) - keep)]
        if run.name not in pinned
    ]
