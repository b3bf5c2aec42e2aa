"""Cold starts: from the start of a process to the labels of its first chunk, stage by stage.

Cold is the process, not the machine: what it reads from disk lies in the page cache after the first, untimed start.
"""

import itertools
import json
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np

from bench.latency.interleave import Interrupted, Measurement, Rounds
from bench.latency.kinds import KindName
from bench.statistics import ENOUGH
from variants import UserError

from .corpus import Corpus
from .models import Models
from .options import Options, Value

TREE = Path(__file__).resolve().parents[2]
STAGES = ("import", "load", "first chunk")
# `perf_counter` is the system's clock, which a process and the one that starts it read alike
START = "import sys; sys.path[0] = sys.argv[1]; from bench.run.first import main; main()"


SECONDS = 6.0  # of a start, roughly, on a quiet machine


def least(models: int) -> float:
    """Seconds, roughly, that the starts of so many variants take at the least."""
    return (1 + ENOUGH) * models * SECONDS


class ColdError(Exception):
    """A process that did not get as far as its first labels: why."""


def cold_start(name: str, chunk: Path, values: Mapping[str, Value]) -> dict[str, float]:
    """Seconds of each of `STAGES` in a process of its own, whose pipeline runs variant `name` on a `chunk`.

    values: of the command line by name. The import begins with the interpreter's own start. Raises ColdError.
    """
    order = json.dumps({"name": name, "chunk": str(chunk), "values": dict(values), "begin": time.perf_counter()})
    done = subprocess.run(
        [sys.executable, "-c", START, str(TREE)], input=order, capture_output=True,
        encoding="utf-8", errors="replace", check=False,
    )  # fmt: skip
    try:
        moments = json.loads(done.stdout)
        begin, *rest = (float(moments[stage]) for stage in ("begin", *STAGES))
    except (ValueError, LookupError, TypeError):
        raise ColdError((done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1]) from None
    return {stage: then - before for stage, before, then in zip(STAGES, (begin, *rest), rest, strict=False)}


class ColdStarts:
    """A `bench.run.timing.Measurer`: one start of every variant after the other, in random order."""

    def __init__(
        self, models: Models, corpus: Corpus, options: Options,
        start: Callable[[str, Path, Mapping[str, Value]], dict[str, float]] = cold_start,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:  # fmt: skip
        self.models, self.corpus, self.options, self.start, self.clock = models, corpus, options, start, clock

    def measure(self, kind: KindName, progress: Callable[[float], None]) -> Measurement:
        """At least `ENOUGH` starts of each variant after an untimed one. Each block is a process of its own."""
        if self.models.oracle:
            raise UserError("cold-start: an oracle is no segmentation that could be loaded")
        found = Measurement({name: Rounds() for name in self.models}, {})
        _, items = self.corpus.streams[0]
        with tempfile.TemporaryDirectory(prefix="diartbench-") as folder:
            np.save(chunk := Path(folder, "chunk.npy"), np.asarray(items[len(items) // 2].chunk.data))
            try:
                self._blocks(chunk, found, progress)
            except KeyboardInterrupt:
                raise Interrupted(found) from None
        return found

    def _blocks(self, chunk: Path, found: Measurement, progress: Callable[[float], None]) -> None:
        order, budget = random.Random(self.options.timing.seed), self.options.timing.budget
        self._block(chunk, found, order, None)
        begin = self.clock()
        for number in itertools.count():
            elapsed = self.clock() - begin
            progress(min(1.0, elapsed / budget) if budget else 1.0)
            if not found.rounds or (elapsed >= budget and number >= ENOUGH):
                return
            self._block(chunk, found, order, number)

    def _block(self, chunk: Path, found: Measurement, order: random.Random, number: int | None) -> None:
        """One start of every variant; None: untimed."""
        for name in order.sample(list(found.rounds), len(found.rounds)):
            try:
                stages = self.start(name, chunk, self.options.values)
            except ColdError as error:
                found.failures[name] = str(error)
                del found.rounds[name]
                continue
            if number is not None:
                rounds = found.rounds[name]
                rounds.seconds.append(sum(stages.values()))
                rounds.stages.append(stages)
                rounds.blocks.append(number)
                found.processes[number] = number
