"""From rounds to results: what one run found out about each variant. Pure functions."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from bench.statistics import Ratio, noise_floor, paired_ratio, percentiles, verdict

from .interleave import Measurement, Rounds

TWIN = "baseline-twin"


@dataclass(frozen=True)
class Latency:
    """One variant and kind: seconds, paired ratios to the baseline and the parent, and what they mean.

    stages: mean seconds of each stage (pipeline only); they sum to the mean. p50 to max in `percentiles`.
    seconds: of each round, in the order of measurement.
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


@dataclass(frozen=True)
class Kind:
    """All variants of one kind ("model-only" or "pipeline"), and the floor below which all is noise."""

    latencies: dict[str, Latency]
    floor: float
    failures: dict[str, str]
    unquiet: int

    @property
    def twin(self) -> Ratio | None:
        """The baseline's ratio to itself."""
        return self.latencies[TWIN].to_baseline if TWIN in self.latencies else None


def summarize(measurement: Measurement, parents: Mapping[str, str | None]) -> Kind:
    """Latencies of all measured variants; `parents` names the parent of each."""
    rounds = measurement.rounds

    def ratio(name: str, reference: str | None) -> Ratio | None:
        if reference is None or reference not in rounds or reference == name or not rounds[name].seconds:
            return None
        times, others, blocks = common_blocks(rounds[name], rounds[reference])
        return paired_ratio(times, others, blocks) if blocks else None

    to_baseline = {name: ratio(name, "baseline") for name in rounds}
    floor = noise_floor(to_baseline.get(TWIN))
    latencies = {}
    for name, recorded in rounds.items():
        if not recorded.seconds:
            continue
        seconds = np.array(recorded.seconds)
        mine, to_parent = to_baseline[name], ratio(name, parents.get(name))
        keys = recorded.stages[0].keys()
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
        )
    return Kind(latencies, floor, dict(measurement.failures), measurement.unquiet)


def common_blocks(mine: Rounds, theirs: Rounds) -> tuple[list[float], list[float], list[int]]:
    """Seconds of both in the blocks that both have, aligned, and the block of each: the gate may stop one earlier."""
    both = set(mine.blocks) & set(theirs.blocks)
    pairs = ([(s, b) for s, b in zip(r.seconds, r.blocks, strict=True) if b in both] for r in (mine, theirs))
    times, others = pairs
    return [s for s, _ in times], [s for s, _ in others], [b for _, b in times]


def _judge(name: str, ratio: Ratio | None, floor: float) -> str:
    if name == TWIN:
        return "control"
    return "reference" if ratio is None else verdict(ratio, floor)
