"""Interleaved measurement: every subject over the same chunks, in random order within short blocks."""

import gc
import random
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from .quiet import wait_until_quiet

# A block is this many successive chunks per subject. The first is not timed: it refills the caches and brings the
# process into the state that the subject itself leaves behind, so that a subject pays for its own spinning threads.
BLOCK, LEAD = 4, 1


class Subject(Protocol):
    """What can be measured: `start` is told of each new file, a call takes one item and returns its stages."""

    def start(self, stream: Any) -> None: ...

    def __call__(self, item: Any) -> Mapping[str, float]: ...


@dataclass
class Rounds:
    """Timed rounds of one subject: seconds, the stages in them, and the block that each belongs to."""

    seconds: list[float] = field(default_factory=list)
    stages: list[Mapping[str, float]] = field(default_factory=list)
    blocks: list[int] = field(default_factory=list)

    @property
    def by_block(self) -> dict[int, list[float]]:
        """Seconds of each block."""
        found: dict[int, list[float]] = {}
        for second, block in zip(self.seconds, self.blocks, strict=True):
            found.setdefault(block, []).append(second)
        return found


@dataclass
class Measurement:
    """Aligned rounds of all subjects; why a subject dropped out; how often the process would not get quiet.

    processes: which process each block was measured in; empty if all were in one. notes: what else went wrong.
    """

    rounds: dict[str, Rounds]
    failures: dict[str, str]
    unquiet: int = 0
    processes: dict[int, int] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)


class Interrupted(KeyboardInterrupt):
    """Ctrl-C, with what had been measured by then."""

    def __init__(self, measurement: Measurement) -> None:
        super().__init__()
        self.measurement = measurement


def interleave(
    subjects: Mapping[str, Subject],
    streams: Sequence[tuple[Any, Sequence[Any]]],
    *,
    budget: float,
    min_blocks: int = 4,
    seed: int = 0,
    progress: Callable[[float], None] = lambda done: None,
    quiet: Callable[[], bool] = wait_until_quiet,
    clock: Callable[[], float] = time.perf_counter,
) -> Measurement:
    """Measure `subjects` on `streams`, pairs of (file, its items), for about `budget` seconds.

    Each block gives every subject, in random order, the same `BLOCK` successive items, after waiting for a quiet
    process; the first `LEAD` are not timed. Streams start over when they are used up. A subject that raises
    drops out with its reason, and what the others measured stays. Raises Interrupted on Ctrl-C.
    """
    order = random.Random(seed)
    alive = dict(subjects)
    result = Measurement({name: Rounds() for name in alive}, {})
    begin = clock()
    for number, (stream, items) in enumerate(_blocks(streams)):
        elapsed = clock() - begin
        progress(min(1.0, max(elapsed / budget, 0.0)) if budget else 1.0)
        if not alive or (elapsed >= budget and number >= min_blocks):
            break
        turn = list(alive)
        order.shuffle(turn)
        for name in turn:
            try:
                if stream is not None:
                    alive[name].start(stream)
                result.unquiet += not quiet()
                _run_block(alive[name], items, result.rounds[name], number, clock)
            except KeyboardInterrupt:
                raise Interrupted(result) from None
            except Exception as error:  # whatever a runtime raises: the others go on
                result.failures[name] = f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}"
                del alive[name], result.rounds[name]
    return result


def _run_block(subject: Subject, items: Sequence[Any], rounds: Rounds, number: int, clock: Callable[[], float]) -> None:
    """Run all items in succession and keep the rounds after the lead-in, all of them or none."""
    seconds, stages = [], []
    gc.disable()
    try:
        for item in items:
            start = clock()
            spent = subject(item)
            seconds.append(clock() - start)
            stages.append(spent)
    finally:
        gc.enable()
    rounds.seconds += seconds[LEAD:]
    rounds.stages += stages[LEAD:]
    rounds.blocks += [number] * len(seconds[LEAD:])


def _blocks(streams: Sequence[tuple[Any, Sequence[Any]]]) -> Iterable[tuple[Any, Sequence[Any]]]:
    """Endless blocks of successive items; the first of each stream comes with the stream, the others with None."""
    while True:
        for stream, items in streams:
            for first in range(0, len(items) - BLOCK + 1, BLOCK):
                yield (stream if first == 0 else None), items[first : first + BLOCK]
        if not any(len(items) >= BLOCK for _, items in streams):
            return
