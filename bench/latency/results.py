"""From rounds to results: what one run found out about each variant. Pure functions."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from bench.statistics import (
    ENOUGH,
    Paired,
    Ratio,
    noise_floor,
    percentile_interval,
    percentiles,
    process_ratio,
    verdict,
)

from .interleave import Measurement

TWIN = "baseline-twin"


@dataclass(frozen=True)
class Latency:
    """One variant and kind: seconds, paired ratios to the baseline and the parent, and what they mean.

    stages: mean seconds of each stage (pipeline only); they sum to the mean. p50 to max in `percentiles`.
    seconds: of each round, in the order of measurement. intervals: of p95 and p99, low and high in seconds, the latter
    infinite where the rounds do not bound it; None if there are too few of them (`percentile_interval`).
    blocks, processes: of each round, numbers of its block and of its process.
    """

    mean: float
    std: float
    percentiles: dict[str, float | None]
    stages: dict[str, float]
    to_baseline: Ratio | None
    to_parent: Ratio | None
    verdict: str
    parent_verdict: str
    rounds: int
    seconds: tuple[float, ...] = ()
    intervals: Mapping[str, tuple[float, float] | None] = field(default_factory=dict)
    blocks: tuple[int, ...] = ()
    processes: tuple[int, ...] = ()


@dataclass(frozen=True)
class Kind:
    """All variants of one kind ("model-only" or "pipeline"), and the floor below which all is noise.

    processes: how many fresh ones it was measured in; 0 if in the one that loaded everything.
    """

    latencies: dict[str, Latency]
    floor: float
    failures: dict[str, str]
    unquiet: int
    processes: int = 0
    notes: tuple[str, ...] = ()

    @property
    def twin(self) -> Ratio | None:
        """The baseline's ratio to itself."""
        return self.latencies[TWIN].to_baseline if TWIN in self.latencies else None


def summarize(measurement: Measurement, parents: Mapping[str, str | None]) -> Kind:
    """Latencies of all measured variants; `parents` names the parent of each."""
    rounds, process = measurement.rounds, measurement.processes
    count = len(set(process.values()))

    def ratio(name: str, reference: str | None) -> Ratio | None:
        if reference is None or reference not in rounds or reference == name or not rounds[name].seconds:
            return None
        # the gate may stop one of them earlier
        parts: dict[int, dict[int, list[float]]] = {}
        for block, seconds in rounds[name].by_block.items():
            parts.setdefault(process.get(block, 0), {})[block] = seconds
        samples = [Paired.common(part, rounds[reference].by_block) for part in parts.values()]
        found = [sample for sample in samples if sample]
        return process_ratio(found) if found else None

    to_baseline = {name: ratio(name, "baseline") for name in rounds}
    floor = noise_floor(to_baseline.get(TWIN))
    latencies = {}
    for name, recorded in rounds.items():
        if not recorded.seconds:
            continue
        seconds = np.array(recorded.seconds)
        mine, to_parent = to_baseline[name], ratio(name, parents.get(name))
        keys = recorded.stages[0].keys()
        processes = [process.get(block, 0) for block in recorded.blocks]
        # the largest unit that is drawn at random
        units = processes if len(set(processes)) >= ENOUGH else recorded.blocks
        latencies[name] = Latency(
            mean=float(seconds.mean()),
            std=float(seconds.std(ddof=1)) if len(seconds) > 1 else 0.0,
            percentiles=percentiles(seconds),
            stages={key: float(np.mean([stage[key] for stage in recorded.stages])) for key in keys},
            to_baseline=mine,
            to_parent=to_parent,
            verdict=_judge(name, mine, floor),
            parent_verdict=_judge(name, to_parent, floor),
            rounds=len(seconds),
            seconds=tuple(recorded.seconds),
            intervals={f"p{q}": percentile_interval(seconds, units, q) for q in (95, 99)},
            blocks=tuple(recorded.blocks),
            processes=tuple(processes),
        )
    failures, notes = dict(measurement.failures), tuple(measurement.notes)
    return Kind(latencies, floor, failures, measurement.unquiet, count, notes)


def _judge(name: str, ratio: Ratio | None, floor: float) -> str:
    if name == TWIN:
        return "control"
    return "reference" if ratio is None else verdict(ratio, floor)
