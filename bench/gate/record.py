"""What the selfcheck measures: blocks of one variant beside slowed copies of itself, and live gate runs."""

import contextlib
import random
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import replace

from bench.latency.interleave import BLOCK, LEAD, Subject
from bench.latency.kinds import KindName
from bench.latency.subjects import Item
from bench.pipeline.diarize import Segmented
from bench.run.run import Run
from bench.run.side import Side

from .messages import Block
from .selfcheck import SAME, SLOWED, THRESHOLD, Outcome, live_outcome
from .session import NOW, Comparison, Key, measure
from .worker import Timed

CALIBRATION = 12  # rounds
STEPS = 100_000  # of the busy wait in each calibration round


class Slowed:
    """A subject that does its work, then some more: a fixed number of steps, which slow down as the machine does."""

    def __init__(self, subject: Subject, steps: int) -> None:
        self.subject, self.steps = subject, steps

    def start(self, stream: Segmented) -> None:
        self.subject.start(stream)

    def __call__(self, item: Item) -> Mapping[str, float]:
        stages = self.subject(item)
        busy(self.steps)
        return stages


def busy(steps: int) -> None:
    """Keep one CPU busy."""
    for _ in range(steps):
        pass


def timed_copies(run: Run, kind: KindName, name: str) -> Timed:
    """Blocks of the subjects in `SAME` and `SLOWED`, or of any other label: each has a copy of the model for itself."""

    def subject(_: str, label: str) -> Subject:
        return run.timing.subject(kind, name, run.models.build(name))

    side = Side.of(run)
    timed = Timed(replace(side, subject=subject, pinned=lambda label: side.pinned(name)), BLOCK, LEAD)
    timed.subjects = {(kind, label): subject(kind, label) for label in (*SAME, *SLOWED)}
    steps = steps_per_round(timed, kind)
    for label, slowdown in SLOWED.items():
        timed.subjects[kind, label] = Slowed(timed.subjects[kind, label], round(slowdown * steps))
    return timed


def steps_per_round(timed: Timed, kind: str) -> float:
    """Steps of `busy` that take as long as one round: medians of both, taken in turn."""
    stream, _, items = timed.blocks[0]
    subject = timed.subjects[kind, SAME[0]]
    subject.start(stream)
    rounds, waits = [], []
    for i in range(CALIBRATION):
        begin = time.perf_counter()
        subject(items[i % len(items)])
        middle = time.perf_counter()
        busy(STEPS)
        rounds.append(middle - begin)
        waits.append(time.perf_counter() - middle)
    return STEPS * statistics.median(rounds[LEAD:]) / statistics.median(waits[LEAD:])


def record(
    timed: Timed, kind: str, seconds: float, seed: int, progress: Callable[[float], None]
) -> list[dict[str, Block]]:
    """Interleaved blocks of all copies, in random order, for about `seconds`."""
    order = random.Random(seed)
    found: list[dict[str, Block]] = []
    begin = time.perf_counter()
    while (elapsed := time.perf_counter() - begin) < seconds or len(found) < 2:
        progress(elapsed / seconds if seconds else 1.0)
        labels: Sequence[str] = order.sample([*SAME, *SLOWED], len(SAME) + len(SLOWED))
        found.append({label: timed.block(kind, label, len(found)) for label in labels})
    return found


def live(timed: Timed, kind: KindName, name: str, number: int, budget: float) -> Outcome:
    """One gate run of two fresh copies of the variant, in this process."""
    labels = {Key(NOW, name): f"live {number}", Key("again", name): f"live {number} again"}
    for label in labels.values():
        timed.subjects[kind, label] = timed.side.subject(kind, label)
    try:
        return judged(kind, name, lambda key, block: timed.block(kind, labels[key], block), number, budget)
    finally:
        for label in labels.values():
            del timed.subjects[kind, label]


def judged(kind: str, name: str, block: Callable[[Key, int], Block], number: int, budget: float) -> Outcome:
    """One gate run of unchanged code, by blocks of the sides `NOW` and "again". number: of the run, which seeds it."""
    begin = time.perf_counter()
    comparison = Comparison(kind, name, "again", THRESHOLD)
    recording, (judgement,) = measure([comparison], [], block, budget=budget, judged=1, seed=number)
    return live_outcome(recording, judgement.verdict, time.perf_counter() - begin)


@contextlib.contextmanager
def competitor(cpus: Sequence[int]) -> Generator[None, None, None]:
    """A busy process on the first of `cpus`."""
    code = f"import os\nif {list(cpus)[:1]}: os.sched_setaffinity(0, {list(cpus)[:1]})\nwhile True: pass"
    process = subprocess.Popen([sys.executable, "-c", code])
    try:
        yield
    finally:
        process.kill()
        process.wait()
