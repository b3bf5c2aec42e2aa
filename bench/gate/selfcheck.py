"""The gate's operating curve: replayed gate runs on recorded blocks, and what came of them. Pure functions."""

import statistics
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from math import isfinite
from random import Random
from typing import Any

import numpy as np
from scipy.stats import binomtest

from bench.statistics import ENOUGH, Ratio, sequential, share
from bench.statistics.bootstrap import CONFIDENCE, student
from bench.statistics.power import NORMAL

from .contamination import Usage, causes
from .messages import Block
from .session import Comparison, Key, Recording, measure
from .verdict import ALPHA, INCONCLUSIVE, PASS, REGRESSED
from .verdict import verdict as judge

SAME = ("A", "A again")  # two copies of one model
SLOWED = {"A + 3 %": 0.03, "A + 5 %": 0.05, "A + 10 %": 0.10}
FRESH, AGAINST = "two copies in a fresh process each", "two processes each (--against)"
THRESHOLD = 0.05
MEDIAN_FAIL = 0.05  # pytest-benchmark's --benchmark-compare-fail=median:5%

Blocks = Sequence[Mapping[str, Block]]  # one block of every subject after the other


@dataclass(frozen=True)
class Outcome:
    """One gate run: its verdict, the seconds it took, and whether pytest-benchmark's rule fails on as many rounds.

    ratio: of live runs, with the ends of its 95 % interval.
    """

    verdict: str
    seconds: float
    median_fails: bool | None
    ratio: Sequence[float] | None = None


@dataclass(frozen=True)
class Row:
    """One line of the operating curve. injected: as measured over the whole recording, a share; None for live runs."""

    load: str
    runs: str
    injected: float
    measured: float | None
    outcomes: list[Outcome]


def replay(blocks: Blocks, mine: str, theirs: str, start: int, then: int, budget: float, size: int) -> Outcome:
    """One gate run of subject `mine` against `theirs` on recorded blocks from `start` on, circularly.

    Every recorded block is used once at most. `size`: items per block, of which the untimed ones cost time as well.
    pytest-benchmark's rule gets as many rounds of `mine` from `start` on and of `theirs` from `then` on: its stored run
    was never made at the same time.
    """
    count = len(blocks)
    names = {Key("", "A"): mine, Key("then", "A"): theirs}
    spent = 0.0

    def cost(block: Block) -> float:
        return sum(block.seconds) * size / len(block.seconds)

    def take(key: Key, number: int) -> Block:
        nonlocal spent
        found = blocks[(start + number) % count][names[key]]
        spent += cost(found)
        return found

    recorded = sum(cost(block[name]) for block in blocks for name in (mine, theirs))
    comparison = Comparison("replay", "A", "then", THRESHOLD)
    limit = min(budget, recorded * (1 - 1e-9))
    recording, (judgement,) = measure([comparison], [], take, budget=limit, judged=1, clock=lambda: spent)
    medians = [
        statistics.median(s for n in range(recording.count) for s in blocks[(first + n) % count][name].seconds)
        for name, first in ((mine, start), (theirs, then))
    ]
    return Outcome(judgement.verdict, spent, medians[0] > (1 + MEDIAN_FAIL) * medians[1])


def replays(
    blocks: Blocks,
    load: str,
    runs: int,
    budget: float,
    size: int,
    seed: int = 0,
    progress: Callable[[], None] = lambda: None,
) -> list[Row]:
    """`runs` replays of unchanged code (either copy against the other) and of each injected slowdown."""
    draw = Random(seed)
    rows = []
    for label, injected in {SAME[1]: 0.0, **SLOWED}.items():
        outcomes = []
        for _ in range(runs):
            pair = draw.sample(SAME, 2) if injected == 0 else [label, draw.choice(SAME)]
            starts = draw.randrange(len(blocks)), draw.randrange(len(blocks))
            outcomes.append(replay(blocks, pair[0], pair[1], *starts, budget, size))
            progress()
        rows.append(Row(load, "replayed", injected, overall(blocks, label), outcomes))
    return rows


def overall(blocks: Blocks, name: str) -> float:
    """Median paired ratio of a subject to A over all blocks, less 1."""
    pairs = (pair for block in blocks for pair in zip(block[name].seconds, block[SAME[0]].seconds, strict=True))
    return statistics.median(mine / theirs for mine, theirs in pairs) - 1


def contaminated(blocks: Blocks) -> float:
    """Share of the blocks that are contaminated, all their subjects taken together."""
    return sum(bool(causes([(b.usage, b.pinned) for b in block.values()])) for block in blocks) / len(blocks)


def live_outcome(recording: Recording, verdict: str, seconds: float) -> Outcome:
    """What came of a gate run that was really made: its two sides' rounds, compared as pytest-benchmark does."""
    mine, theirs = (
        statistics.median(s for b in recording.blocks[key].values() for s in b.seconds)
        for key in sorted(recording.blocks, key=lambda key: key.side)
    )
    now, then = sorted(recording.blocks, key=lambda key: key.side)
    ratio = recording.ratio(now, then, CONFIDENCE)
    found = None if ratio is None or not isfinite(ratio.high) else (ratio.estimate, ratio.low, ratio.high)
    return Outcome(verdict, seconds, mine > (1 + MEDIAN_FAIL) * theirs, found)


def apart(outcomes: Sequence[Outcome]) -> float | None:
    """Standard deviation of the log ratio from run to run, beyond what lies within runs; None of fewer than 2."""
    ratios = np.log([outcome.ratio for outcome in outcomes if outcome.ratio is not None])
    if len(ratios) < 2:
        return None
    within = np.mean(((ratios[:, 2] - ratios[:, 1]) / 2 / NORMAL) ** 2)
    return float(np.sqrt(max(0.0, np.var(ratios[:, 0], ddof=1) - within)))


def alarming(outcomes: Sequence[Outcome]) -> bool:
    """Whether unchanged code is certainly called regressed more often than `verdict.ALPHA` (exact interval, 95 %)."""
    alarms = sum(outcome.verdict == REGRESSED for outcome in outcomes)
    return bool(outcomes) and binomtest(alarms, len(outcomes)).proportion_ci(method="exact").low > ALPHA


def of_pairs(outcomes: Sequence[Outcome], runs: int, seed: int = 0) -> list[Outcome]:
    """`runs` verdicts by the ratios of `ENOUGH` pairs of processes each, drawn from `outcomes`, as a last look judges.

    By Student's t, as `statistics.process_ratio` does, with all the error of a run spent at once.
    """
    draw = Random(seed)
    made = [outcome for outcome in outcomes if outcome.ratio is not None]
    if len(made) < ENOUGH:
        return []
    found = []
    for _ in range(runs):
        drawn = draw.sample(made, ENOUGH)
        logs = np.log([outcome.ratio[0] for outcome in drawn if outcome.ratio is not None])
        reach = student(sequential.confidence(ALPHA, 1), ENOUGH - 1) * np.std(logs, ddof=1) / np.sqrt(ENOUGH)
        estimate, low, high = (float(np.exp(logs.mean() + side * reach)) for side in (0, -1, 1))
        ratio = Ratio(estimate, low, high, ENOUGH)
        found.append(Outcome(judge(ratio, THRESHOLD), sum(outcome.seconds for outcome in drawn), None))
    return found


def table(rows: Sequence[Row]) -> str:
    """The operating curve in markdown: shares in % with exact 95 % binomial intervals (Clopper & Pearson 1934)."""
    head = ["load", "runs", "injected, %", "measured, %", "regressed, %", "pass, %", "inconclusive, %",
            "median s to verdict", "`median:5%` fails, %"]  # fmt: skip
    lines = [head, ["---", "---", *["---:"] * (len(head) - 2)]]
    for row in rows:
        count, verdicts = len(row.outcomes), Counter(outcome.verdict for outcome in row.outcomes)
        fails = [outcome.median_fails for outcome in row.outcomes if outcome.median_fails is not None]
        lines.append([
            row.load,
            f"{count} {row.runs}",
            f"{100 * row.injected:g}",
            "-" if row.measured is None else f"{100 * row.measured:+.1f}",
            *(share(verdicts[found], count) for found in (REGRESSED, PASS, INCONCLUSIVE)),
            f"{statistics.median(outcome.seconds for outcome in row.outcomes):.0f}",
            share(sum(fails), len(fails)),
        ])  # fmt: skip
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def as_json(blocks: Blocks) -> list[dict[str, Any]]:
    """Recorded blocks as plain values."""
    return [{name: asdict(block) for name, block in row.items()} for row in blocks]


def from_json(saved: Sequence[Mapping[str, Any]]) -> list[dict[str, Block]]:
    """Recorded blocks from plain values; KeyError or TypeError for anything else."""
    return [
        {
            name: Block(b["seconds"], b["stages"], [Usage(**used) for used in b["usage"]], b["pinned"])
            for name, b in row.items()
        }
        for row in saved
    ]
