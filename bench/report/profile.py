"""Two variants side by side, operator by operator (`--profile`)."""

from collections.abc import Mapping, Sequence
from typing import Any

from bench.latency.profile import Profile

from .format import number

SHOWN = 15  # operators; the others share a line


def facts(profiles: Mapping[str, Mapping[str, Profile]]) -> dict[str, Any] | None:
    """Plain JSON values, kind by kind: the operator that differs most first; None without profiles."""
    if not profiles:
        return None
    kinds = {}
    for kind, pair in profiles.items():
        both = list(pair.values())
        rows: list[dict[str, Any]] = []
        for operator in dict.fromkeys(name for one in both for name in one.operators):
            spent, calls = zip(*(one.operators.get(operator, (0.0, 0.0)) for one in both), strict=True)
            rows.append({"operator": operator, "seconds": list(spent), "calls": list(calls)})
        rows.sort(key=lambda row: -abs(row["seconds"][1] - row["seconds"][0]))
        kinds[kind] = {"seconds": [one.seconds for one in both], "operators": rows}
    return {"variants": list(next(iter(profiles.values()))), "kinds": kinds}


def operators(found: Mapping[str, Any], kind: str) -> tuple[str, list[str], list[list[str]]]:
    """Caption, columns and rows of one kind's table, from `facts`: ms and calls a chunk."""
    first, second = found["variants"]
    rows = found["kinds"][kind]["operators"]
    lines = [[row["operator"], *_spent(row["seconds"]), *(number(x, 0) for x in row["calls"])] for row in rows[:SHOWN]]
    if others := rows[SHOWN:]:
        sums = [sum(row["seconds"][side] for row in others) for side in (0, 1)]
        lines.append([f"{len(others)} others", *_spent(sums), "", ""])
    lines.append(["a chunk", *_spent(found["kinds"][kind]["seconds"]), "", ""])
    columns = ["operator", f"{first}, ms", f"{second}, ms", "difference, ms", f"{first}, calls", f"{second}, calls"]
    return f"Operators, {kind}: {second} less {first}, with the profilers on", columns, lines


def _spent(seconds: Sequence[float]) -> list[str]:
    """Of both, and the difference, in ms."""
    return [*(number(1000 * x, 3) for x in seconds), f"{1000 * (seconds[1] - seconds[0]):+.3f}"]
