"""`--processes N`: the same interleaved measurement in fresh processes, one after another, each for its share.

Every process draws its memory layout anew, by which the same code runs a little faster or slower for as long as it
lives: `bench.statistics.processes` says what N of them tell. They are the gate's workers, all of this tree.
"""

import functools
import itertools
import random
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Protocol

import bench
import variants
from bench.latency.interleave import BLOCK, LEAD, Interrupted, Measurement, Rounds
from bench.latency.kinds import KindName
from bench.run.options import TimingOptions, Value
from variants.errors import UserError

from .messages import Block, Open
from .worker import BlockError

TREE = Path(bench.__file__).resolve().parents[1]
MIN_BLOCKS = 4  # of each process: fewer give no interval


class Process(Protocol):
    """What `against.Worker` is: variants that run in a process of their own, until `close`."""

    names: list[str]
    broken: dict[str, str]

    def block(self, kind: str, name: str, number: int) -> Block: ...

    def close(self) -> None: ...


class Processes:
    """A `bench.run.timing.Measurer`: each process measures its part of the budget, in an order of turns of its own.

    values: of the command line by name. start: a process by its name in errors and what it is to open, as
    `against.Worker`. UserError for variants that such a process would not know.
    """

    def __init__(
        self, names: list[str], values: Mapping[str, Value], options: TimingOptions,
        start: Callable[[str, Open], Process], clock: Callable[[], float] = time.perf_counter,
    ) -> None:  # fmt: skip
        self.order = Open(str(TREE), dict(values), names, BLOCK, LEAD)
        self.count, self.budget, self.seed = options.processes, options.budget, options.seed
        self.start, self.clock = start, clock
        if foreign := [name for name in names if not _of_this_tree(name)]:
            raise UserError(f"--processes: {', '.join(foreign)}: a fresh process knows only what `variants` registers")

    def measure(self, kind: KindName, progress: Callable[[float], None]) -> Measurement:
        """Rounds of every variant by process; one that dies takes the variant with it that it measured, no other."""
        found = Measurement({name: Rounds() for name in self.order.names}, {})
        numbers = itertools.count()  # of blocks: each process goes on in the audio where the last one ended
        whole = 0
        try:
            for process in itertools.count():
                if whole == self.count or not found.rounds:
                    break
                whole += self._one(kind, process, found, numbers, functools.partial(self._tell, progress, whole))
        except UserError as error:  # it could not even be started: no other could
            if not found.processes:
                found.failures.update(dict.fromkeys(found.rounds, str(error)))
                found.rounds.clear()
            found.notes.append(f"only {whole} of {self.count} processes: {error}")
        except KeyboardInterrupt:
            raise Interrupted(found) from None
        return found

    def _tell(self, progress: Callable[[float], None], whole: int, share: float) -> None:
        progress((whole + share) / self.count)

    def _one(
        self, kind: KindName, process: int, found: Measurement, numbers: Iterator[int],
        progress: Callable[[float], None],
    ) -> bool:  # fmt: skip
        """Measure the share of one process; False if it died before the end. Raises UserError if it does not start."""
        share, turns = self.budget / self.count, random.Random(f"{self.seed} {process}")
        worker = self.start(f"--processes, number {process + 1}", self.order)
        try:
            for name in [name for name in found.rounds if name not in worker.names]:
                self._drop(found, name, worker.broken.get(name, "unknown in a fresh process"))
            begin = self.clock()
            for done in itertools.count():
                elapsed = self.clock() - begin
                progress(min(1.0, elapsed / share) if share else 1.0)
                if not found.rounds or (elapsed >= share and done >= MIN_BLOCKS):
                    return True
                number = next(numbers)
                found.processes[number] = process
                if not self._block(kind, worker, number, turns.sample(list(found.rounds), len(found.rounds)), found):
                    return False
        finally:
            worker.close()
        return True

    def _block(self, kind: str, worker: Process, number: int, turn: Sequence[str], found: Measurement) -> bool:
        """One block of every variant, in that order; False if the process died."""
        for name in turn:
            try:
                block = worker.block(kind, name, number)
            except BlockError as error:
                self._drop(found, name, str(error))
            except UserError as error:
                self._drop(found, name, str(error))
                return False
            else:
                rounds = found.rounds[name]
                rounds.seconds += block.seconds
                rounds.stages += block.stages
                rounds.blocks += [number] * len(block.seconds)
        return True

    @staticmethod
    def _drop(found: Measurement, name: str, why: str) -> None:
        found.failures[name] = why
        del found.rounds[name]


def _of_this_tree(name: str) -> bool:
    """Whether a fresh process registers it: from `variants`, or by the options that `variants.own` serves."""
    entry = variants.get(name)
    module = getattr(entry.build, "__module__", None) or ""
    return module.partition(".")[0] == variants.__name__ or entry.title.startswith(("--embedding-factory ", "--onnx "))
