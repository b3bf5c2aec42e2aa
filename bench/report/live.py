"""Tables of live streams: how many a core carries, and what grows while they go on."""

from collections.abc import Mapping, Sequence
from math import isfinite
from typing import Any

import numpy as np
from rich.text import Text

from bench.capacity.measure import Capacity
from bench.capacity.soak import Soak, verdict
from bench.statistics import Slope
from variants.arrays import Doubles

from .findings import Findings
from .fitted import Fitted, as_text
from .format import bracketed, show_percentile
from .terminal import caption

BARS = "▁▂▃▄▅▆▇█"
SHOWN = 12  # bars of a backlog over time
MIB = 2**20


def render_live(
    capacities: Mapping[str, Sequence[Capacity]], soaks: Mapping[str, Soak], findings: Findings, width: int
) -> str:
    """Both tables, as far as there are any, and what they rest on."""
    parts: list[Any] = []
    if capacities:
        parts += [capacity_table(capacities), *map(Text, answers(capacities))]
    if soaks:
        parts.append(soak_table(soaks))
    return as_text([*parts, Text(caption(findings))], width)


def capacity_table(capacities: Mapping[str, Sequence[Capacity]]) -> Fitted:
    """A row per variant and way, of the run that confirmed it."""
    columns = [
        "variant", "way", "streams per core", "p50 ms", "p95 ms [95 %]", "p99 ms [95 %]", "in time %", "CPU %",
        "CPU % per stream", "MiB per stream", "last one costs the others ms [95 %]", "backlog per min [95 %]",
        "backlog over time", "chunks a pass", "ms a chunk", "% of step/service",
    ]  # fmt: skip
    spare = ["chunks a pass", "CPU %", "backlog over time", "p95 ms [95 %]", "ms a chunk", "in time %", "p50 ms"]
    step = next(iter(capacities.values()))[0].trial.step
    table = Fitted(f"Live streams, a chunk every {step:g} s each", columns, spare, left=2)
    for name, both in capacities.items():
        for found in both:
            trial, at = found.trial, found.trial.percentiles
            cost = min(seconds / size for size, seconds in found.service.items() if size <= found.most)
            table.add_row(
                name,
                found.way,
                f"{found.per_core:g}" if trial.holds else "0",
                show_percentile(at["p50"], None),
                show_percentile(at["p95"], trial.interval(95)),
                show_percentile(at["p99"], trial.interval(99)),
                f"{100 * trial.within:.1f}",
                f"{100 * trial.cpu:.0f}",
                f"{100 * trial.cpu / trial.streams:.1f}",
                f"{found.memory / MIB:.1f}",
                _slope(found.neighbours, 1000),
                _slope(trial.growth),
                bars(trial.backlog),
                f"{found.most}",
                f"{1000 * cost:.1f}",
                f"{100 * found.reach:.0f}",
            )
    table.caption = (
        "streams per core: the most of which 99 % of the chunks are answered within one step of being complete, and no "
        "backlog grows. Latency counts from that moment. 0: one stream misses it; its figures are below."
    )
    return table


def answers(capacities: Mapping[str, Sequence[Capacity]]) -> list[str]:
    """What is to be known of how each was found."""
    lines = []
    for name, both in capacities.items():
        for found in both:
            tried = ", ".join(f"{n} {'held' if held else 'did not'}" for n, held in sorted(found.tried.items()))
            lines.append(f"{name}, {found.way}: {found.guess} by measured service times; in real time {tried}")
    return lines


def soak_table(soaks: Mapping[str, Soak]) -> Fitted:
    """What grows, per hour of audio of each stream."""
    columns = ["variant", "minutes", "memory MiB", "memory", "state MiB", "state", "ms a chunk", "latency"]
    table = Fitted("Soak, growth per hour of audio", columns, ["minutes"], fold=["memory", "state", "latency"])
    for name, found in soaks.items():
        slopes = found.slopes
        table.add_row(
            name,
            f"{60 * found.hours[-1]:g}",
            f"{found.rss[-1] / MIB:.0f}",
            verdict(slopes["memory"], lambda size: f"{size / MIB:.2f} MiB"),
            f"{found.state[-1] / MIB:.1f}",
            verdict(slopes["state"], lambda size: f"{size / MIB:.3f} MiB"),
            f"{1000 * np.median(found.latency):.1f}",
            verdict(slopes["latency"], lambda seconds: f"{1000 * seconds:.2f} ms"),
        )
    return table


def bars(series: Doubles) -> str:
    """A series as `SHOWN` bars, the highest its largest."""
    if not len(series):
        return ""
    parts = [float(part.mean()) for part in np.array_split(series, min(SHOWN, len(series)))]
    top = max(parts) or 1.0
    return "".join(BARS[round((len(BARS) - 1) * part / top)] for part in parts)


def live_document(
    capacities: Mapping[str, Sequence[Capacity]], soaks: Mapping[str, Soak], conditions: Mapping[str, Any]
) -> dict[str, Any]:
    """All that was found, as plain JSON values; seconds and bytes."""
    return {
        "conditions": conditions,
        "capacity": {name: [_capacity(found) for found in both] for name, both in capacities.items()},
        "soak": {
            name: {
                **{key: getattr(found, key).tolist() for key in ("hours", "rss", "state", "latency")},
                "per_hour": {key: _ends(slope) for key, slope in found.slopes.items()},
            }
            for name, found in soaks.items()
        },
    }


def _capacity(found: Capacity) -> dict[str, Any]:
    trial = found.trial
    return {
        "way": found.way,
        "streams": trial.streams,
        "holds": trial.holds,
        "per_core": found.per_core,
        "step": trial.step,
        "percentiles": trial.percentiles,
        "intervals": {f"p{q}": _finite(trial.interval(q)) for q in (95, 99)},
        "within": trial.within,
        "backlog": trial.backlog.tolist(),
        "backlog_per_minute": _ends(trial.growth),
        "cpu": trial.cpu,
        "memory": found.memory,
        "neighbours": _ends(found.neighbours),
        "most": found.most,
        "service": {str(size): seconds for size, seconds in found.service.items()},
        "reach": found.reach,
        "guess": found.guess,
        "tried": {str(streams): held for streams, held in found.tried.items()},
    }


def _finite(values: Sequence[float] | None) -> list[float | None] | None:
    return None if values is None else [value if isfinite(value) else None for value in values]


def _ends(found: Slope) -> list[float | None] | None:
    return _finite((found.estimate, found.low, found.high))


def _slope(found: Slope, scale: float = 1.0) -> str:
    if not isfinite(found.estimate):
        return "-"
    if not isfinite(found.high):
        return f"{scale * found.estimate:+.1f}"
    return bracketed((scale * x for x in (found.estimate, found.low, found.high)), "+.1f")
