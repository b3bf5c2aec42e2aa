"""Gate runs of unchanged code in fresh processes: of two copies in one of them, and of one copy in each of two.

The second is what `--against` does. Processes follow one another: each is compared with itself, then with the one
before, so that n runs of either kind take n + 1 of them. Two runs in succession share a process; which of the two is
judged is drawn at random, so that what is peculiar to it moves both in the same direction no more often than not.
"""

from collections.abc import Callable, Mapping
from itertools import count
from pathlib import Path
from random import Random

import bench
from bench.latency.interleave import BLOCK, LEAD
from bench.latency.kinds import KindName
from bench.run.options import Value
from bench.run.side import AGAIN

from .messages import Block, Open
from .processes import Process
from .record import judged
from .selfcheck import AGAINST, FRESH, Outcome
from .session import NOW, Key

Start = Callable[[str, Open], Process]
TREE = Path(bench.__file__).resolve().parents[1]


def fresh(
    start: Start, kind: KindName, name: str, values: Mapping[str, Value], budget: float, runs: int,
    known: dict[str, list[Outcome]], save: Callable[[], None],
) -> None:  # fmt: skip
    """Bring `known`, outcomes by `FRESH` and `AGAINST`, to so many runs of variant `name`, each of `budget` seconds.

    start: as `against.Worker`. save: called after each run, which then is not lost.
    """
    order = Open(str(TREE), dict(values), [name], BLOCK, LEAD)
    before: Process | None = None
    try:
        for number in count():
            if all(len(known[way]) >= runs for way in (FRESH, AGAINST)):
                return
            process = start(f"selfcheck, process {number + 1}", order)
            try:
                if len(known[FRESH]) < runs:
                    known[FRESH].append(_alone(process, kind, name, len(known[FRESH]), budget))
                    save()
                if before is not None and len(known[AGAINST]) < runs:
                    known[AGAINST].append(_between(process, before, kind, name, len(known[AGAINST]), budget))
                    save()
            except BaseException:
                process.close()
                raise
            if before is not None:
                before.close()
            before = process
    finally:
        if before is not None:
            before.close()


def _alone(process: Process, kind: KindName, name: str, number: int, budget: float) -> Outcome:
    def block(key: Key, block: int) -> Block:
        return process.block(kind, name if key.side == NOW else name + AGAIN, block)

    return judged(kind, name, block, number, budget)


def _between(mine: Process, theirs: Process, kind: KindName, name: str, number: int, budget: float) -> Outcome:
    sides = Random(number).sample((mine, theirs), 2)

    def block(key: Key, block: int) -> Block:
        return sides[key.side != NOW].block(kind, name, block)

    return judged(kind, name, block, number, budget)
