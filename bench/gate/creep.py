"""Creep: what many small steps add up to, from the runs stored since the pinned one; and how often that errs.

`python -m bench.gate creep` draws series of releases with the noise of stored runs, and judges each release by the
gate's own rules.
"""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from random import Random
from typing import Any

from bench.history.pins import Pins
from bench.history.runs import StoredRun, conditions_of, read_runs
from bench.latency.results import TWIN
from bench.statistics import Ratio, sequential, share
from bench.statistics.growth import growth
from variants.errors import UserError

from . import verdict as rules
from .session import Comparison, Judgement, Recording
from .verdict import PASS, REGRESSED

WINDOW = 20  # runs, this one included: what came long before says little about a trend now
RELEASES = 10


def references(folder: Path, conditions: Mapping[str, Any]) -> tuple[StoredRun | None, list[StoredRun]]:
    """The pinned run for these conditions of a run, and those stored under them since, it included, oldest first.

    Without a pin: None, and all of them. UserError where the pinned run is gone.
    """
    wanted, pins = conditions_of(conditions), Pins(folder)
    name = pins.of(wanted)
    past = [run for run in (read_runs(folder)[0] if folder.is_dir() else []) if run.conditions == wanted]
    if name is None:
        return None, past
    for i, run in enumerate(past):
        if run.name == name:
            return run, past[i:]
    raise UserError(f"--gate: the pinned run {folder / name} is gone: pin another, or `python -m bench history unpin`")


def trend(before: Sequence[Ratio], now: Ratio, error: float) -> Ratio:
    """Growth over the window that ends now, with an interval of which either end errs by `error`."""
    return growth([*before, now][-WINDOW:], 1 - 2 * error)


def judge_trend(recording: Recording, comparison: Comparison, before: Sequence[Ratio], error: float) -> Judgement:
    """The trend of a variant's stored ratios and of the one just recorded: regressed as any other ratio is, or a pass.

    A trend that is not certain is none: the comparison with the pinned run bounds what it may hide.
    """
    now = recording.ratio(comparison.mine, comparison.theirs, 0.95)
    if now is None or not recording.usable:
        return Judgement(comparison, None, PASS, "no trend without a usable run")
    growing = trend(before, now, error)
    regressed = rules.verdict(growing, comparison.threshold) == REGRESSED
    return Judgement(comparison, growing, REGRESSED if regressed else PASS, f"over {min(len(before) + 1, WINDOW)} runs")


# What follows draws releases instead of measuring them.

Noise = tuple[float, float]  # of a ratio that is 1: its logarithm, and half of its interval (95 %) on that scale


def noise_of(runs: Sequence[StoredRun]) -> list[list[Noise]]:
    """What the controls of each run, one of each kind, differed from the baseline by: themselves again."""
    controls = [[ratio for (_, name), ratio in run.ratios.items() if name == TWIN] for run in runs]
    known = [[c for c in of_run if c.low > 0 and c.high < 1e9] for of_run in controls]
    return [[(math.log(c.estimate), math.log(c.high / c.low) / 2) for c in of_run] for of_run in known if of_run]


def releases(
    step: float, noise: Sequence[Sequence[Noise]], draw: Random, judged: int = 3, threshold: float = 0.05
) -> dict[str, int]:
    """Which rule first called which of `RELEASES` releases regressed, numbered from 1, as the gate judges them.

    They follow a pinned run, each slower than the one before by `step`. noise: of recorded runs, from one of which a
    release and its control draw, apart and with either sign. judged: comparisons that share the gate's error; of each
    variant and kind there are three, with the last stored run ("last"), the pinned one ("pinned"), and the "trend".
    """
    first: dict[str, int] = {}
    past, controls = ([ratio] for ratio in _drawn(0.0, noise, draw))
    level = sequential.confidence(rules.ALPHA, judged)
    for number in range(1, RELEASES + 1):
        now, control = _drawn(number * math.log1p(step), noise, draw)
        reach = math.exp(rules.stored_reach(now, level))
        wide = Ratio(now.estimate, now.estimate / reach, now.estimate * reach, now.rounds)
        found = {"trend": trend(past, now, rules.ALPHA / judged)}
        for rule, then in (("last", -1), ("pinned", 0)):
            systematic = rules.systematic(control, controls[then], rules.spread(controls))
            found[rule] = rules.change(wide, past[then], level, systematic)
        for rule, ratio in found.items():
            if rules.verdict(ratio, threshold) == REGRESSED:
                first.setdefault(rule, number)
        past.append(now)
        controls.append(control)
    return first


def _drawn(log_ratio: float, noise: Sequence[Sequence[Noise]], draw: Random) -> tuple[Ratio, Ratio]:
    """A release's ratio and its control's, with the noise of one recorded run."""
    recorded = draw.choice(noise)

    def ratio(log_ratio: float) -> Ratio:
        off, half = draw.choice(recorded)
        centre = log_ratio + draw.choice((-1, 1)) * off
        return Ratio(math.exp(centre), math.exp(centre - half), math.exp(centre + half), 60)

    return ratio(log_ratio), ratio(0.0)


def creep_table(
    steps: Sequence[float], noise: Sequence[Sequence[Noise]], count: int, judged: int, seed: int = 0
) -> str:
    """Of `count` series with each step, how many each rule called regressed within the releases (Markdown)."""
    head = ["step, %", "series", "last stored run, %", "pinned run, %", "trend, %", "any, %", "after (median)"]
    lines = [head, ["---:"] * len(head)]
    for step in steps:
        draw = Random(seed)
        made = [releases(step, noise, draw, judged=judged) for _ in range(count)]
        firsts = sorted(min(first.values()) for first in made if first)
        rates = [share(sum(rule in first for first in made), count) for rule in ("last", "pinned", "trend")]
        after = f"{firsts[len(firsts) // 2]} releases" if firsts else "-"
        lines.append([f"{100 * step:g}", str(count), *rates, share(len(firsts), count), after])
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)
