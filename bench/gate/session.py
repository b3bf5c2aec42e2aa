"""One kind measured for the gate: blocks until every comparison is decided, or the budget is used up."""

import math
import random
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple

from bench.latency.results import TWIN
from bench.statistics import ENOUGH, Paired, Ratio, process_ratio, sequential

from . import verdict as rules
from .contamination import TOO_MANY, Usage, causes
from .messages import Block
from .verdict import INCONCLUSIVE
from .worker import BlockError

NOW = ""  # the side that is judged; the other side is named by its revision
STORED, PINNED, TREND = "stored", "pinned", "trend"  # what stored ratios to the baseline are held against


class Key(NamedTuple):
    """One subject: whose code, and which variant."""

    side: str
    name: str


@dataclass(frozen=True)
class Comparison:
    """One thing to judge: a variant now against a stored ratio to the baseline, or directly against a revision."""

    kind: str
    variant: str
    against: str
    threshold: float
    stored: Ratio | None = None
    stored_control: Ratio | None = None
    spread: float = 0.0  # of the controls of stored runs, see `verdict.systematic`

    @property
    def mine(self) -> Key:
        return Key(NOW, self.variant)

    @property
    def theirs(self) -> Key:
        return Key(NOW, "baseline") if self.against in (STORED, PINNED, TREND) else Key(self.against, self.variant)

    @property
    def keys(self) -> set[Key]:
        """The subjects that this comparison needs."""
        return {self.mine, self.theirs} | ({Key(NOW, TWIN)} if self.stored is not None else set())


@dataclass(frozen=True)
class Judgement:
    """What came of a comparison: the ratio of now to then with the interval of its look, and why if need be."""

    comparison: Comparison
    ratio: Ratio | None
    verdict: str
    why: str = ""


@dataclass
class Recording:
    """All blocks by subject and number; causes of the contaminated ones; why subjects dropped out."""

    blocks: dict[Key, dict[int, Block]]
    causes: dict[int, list[str]] = field(default_factory=dict)
    failures: dict[Key, str] = field(default_factory=dict)
    count: int = 0
    pairs: dict[int, int] = field(default_factory=dict)  # of processes that the blocks were measured in; empty: of one

    @property
    def contaminated(self) -> float:
        """Share of the blocks so far."""
        return len(self.causes) / self.count if self.count else 0.0

    @property
    def usable(self) -> bool:
        """Whether few enough blocks were contaminated."""
        return self.contaminated <= TOO_MANY

    def kept(self, *keys: Key) -> list[int]:
        """The blocks that all of these subjects ran, without the contaminated ones unless they are too many."""
        common = set.intersection(*(set(self.blocks[key]) for key in keys))
        return sorted(common - set(self.causes) if self.usable else common)

    def ratio(self, mine: Key, theirs: Key, confidence: float) -> Ratio | None:
        """Paired ratio of two subjects over their common clean blocks; None without any.

        Of several pairs of processes it is the one over them, without an end where too few of them are left.
        """
        if mine not in self.blocks or theirs not in self.blocks:
            return None
        parts: dict[int, list[int]] = {}
        for number in self.kept(mine, theirs):
            parts.setdefault(self.pairs.get(number, 0), []).append(number)
        samples = [
            Paired.common(*({n: self.blocks[key][n].seconds for n in part} for key in (mine, theirs)))
            for part in parts.values()
        ]
        ratio = process_ratio(found, confidence) if (found := [sample for sample in samples if sample]) else None
        if ratio is not None and self.pairs and ratio.processes < ENOUGH:
            return replace(ratio, low=0.0, high=math.inf)
        return ratio


class Stopped(KeyboardInterrupt):
    """Ctrl-C, with what had been measured and decided by then."""

    def __init__(self, recording: Recording, judgements: list[Judgement]) -> None:
        super().__init__()
        self.recording, self.judgements = recording, judgements


def measure(
    comparisons: Sequence[Comparison],
    also: Iterable[Key],
    block: Callable[[Key, int], Block],
    *,
    budget: float,
    judged: int,
    pairs: int = 1,
    restart: Callable[[], None] = lambda: None,
    seed: int = 0,
    progress: Callable[[float], None] = lambda done: None,
    clock: Callable[[], float] = time.perf_counter,
    decide: Callable[[Ratio, float, bool], str] = rules.verdict,
    recording: Recording | None = None,
) -> tuple[Recording, list[Judgement]]:
    """Measure what `comparisons` (and at first `also`) need by `block(subject, number)`, until all are decided.

    In each block every subject still needed takes its turn, in random order. Looks come after `rules.FIRST` blocks, at
    each doubling, and when `budget` seconds are over; `judged` comparisons of the whole run share the error.
    pairs: of processes by which to judge at the least. With several, `restart` begins the next one after every
    `rules.FIRST` blocks, and the first look comes when so many have had theirs, whatever the budget.
    A comparison that is decided keeps its verdict, and what it alone needed is measured no longer. decide: the verdict
    on a ratio, by a threshold, and whether it may count small changes. recording: of an earlier call, to go on with.
    Raises Stopped on Ctrl-C.
    """
    order = random.Random(seed)
    open_ = list(comparisons)
    alive = sorted(set(also).union(*(c.keys for c in comparisons)))
    recording = Recording({}) if recording is None else recording
    for key in alive:
        recording.blocks.setdefault(key, {})
    done: dict[Comparison, Judgement] = {}
    first = rules.FIRST * pairs
    begin, spent, next_look = clock(), 0.0, max(first, 2 * recording.count)
    while alive:
        if pairs > 1:
            recording.pairs[recording.count], fresh = divmod(recording.count, rules.FIRST)
            if recording.count and not fresh:
                try:
                    restart()
                except KeyboardInterrupt:
                    raise Stopped(recording, list(done.values())) from None
        turn = list(alive)
        order.shuffle(turn)
        turns: list[tuple[list[Usage], bool]] = []
        for key in turn:
            try:
                measured = block(key, recording.count)
                recording.blocks[key][recording.count] = measured
                turns.append((measured.usage, measured.pinned))
            except BlockError as error:
                recording.failures[key] = str(error)
            except KeyboardInterrupt:
                raise Stopped(recording, list(done.values())) from None
        if found := causes(turns):
            recording.causes[recording.count] = found
        recording.count += 1
        elapsed = clock() - begin
        progress(min(1.0, elapsed / budget) if budget else 1.0)
        over = elapsed >= budget and recording.count >= first
        alive = [key for key in alive if key not in recording.failures]
        if over or recording.count == next_look:
            part = rules.spent(elapsed / budget if budget and not over else 1.0) - spent
            level, spent, next_look = sequential.confidence(part, judged), spent + part, 2 * recording.count
            settled = over or elapsed >= rules.SETTLED * budget
            judgements = [judge(recording, comparison, level, settled, decide) for comparison in open_]
            done.update((j.comparison, j) for j in judgements if over or j.verdict != INCONCLUSIVE or j.why)
            open_ = [c for c in open_ if c not in done]
            needed = set().union(*(c.keys for c in open_)) if open_ else set()
            alive = [] if over else [key for key in alive if key in needed]
    for comparison in open_:  # its subjects all failed before the first look
        done[comparison] = judge(
            recording, comparison, sequential.confidence(rules.ALPHA - spent, judged), decide=decide
        )
    return recording, [done[comparison] for comparison in comparisons]


def judge(
    recording: Recording,
    comparison: Comparison,
    level: float,
    settled: bool = True,
    decide: Callable[[Ratio, float, bool], str] = rules.verdict,
) -> Judgement:
    """One comparison by intervals at confidence `level`. `why` tells what more measuring would not mend."""
    failed = [f"{key.name} failed: {recording.failures[key]}" for key in comparison.keys if key in recording.failures]
    if failed:
        return Judgement(comparison, None, INCONCLUSIVE, "; ".join(failed))
    ratio = recording.ratio(comparison.mine, comparison.theirs, level)
    stored = comparison.stored
    if ratio is not None and stored is not None:
        control = recording.ratio(Key(NOW, TWIN), comparison.theirs, level)
        systematic = rules.systematic(control, comparison.stored_control, comparison.spread)
        ratio = rules.change(ratio, stored, level, systematic)
    if ratio is None or not recording.usable:
        return Judgement(comparison, ratio, INCONCLUSIVE)
    found = decide(ratio, comparison.threshold, settled)
    if found == INCONCLUSIVE and stored is not None and rules.stored_reach(stored, level) > comparison.threshold:
        return Judgement(comparison, ratio, found, "the stored ratio is too imprecise: store one of a longer --budget")
    return Judgement(comparison, ratio, found)
