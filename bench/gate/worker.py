"""Timed blocks of one code tree: in this process, or in one of its own that may belong to another revision.

As a process it is this revision's file, so that both sides are measured the same way, but `bench` and `variants`
come from the tree that it is told of: `against.py` starts it, and it answers each line of JSON with another.
"""

import argparse
import gc
import json
import os
import sys
import time
import warnings
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from . import contamination
from .contamination import Usage


@dataclass(frozen=True)
class Block:
    """The timed rounds of one subject in one block: seconds, stages, usage, and whether it is pinned."""

    seconds: list[float]
    stages: list[dict[str, float]]
    usage: list[Usage]
    pinned: bool


class BlockError(Exception):
    """A subject raised: why."""


class Timed:
    """All subjects of one run (`bench.run.run.Run`), block by block.

    Block k holds the same `size` successive chunks for every subject; the first `lead` are not timed. See
    `bench.latency.interleave` for why.
    """

    def __init__(self, run: Any, size: int, lead: int, quiet: Callable[[], bool]) -> None:
        self.run, self.lead, self.quiet = run, lead, quiet
        self.blocks = [
            (stream if first == 0 else None, items[first : first + size])
            for stream, items in run.streams
            for first in range(0, len(items) - size + 1, size)
        ]
        self.subjects: dict[tuple[str, str], Any] = {}

    def block(self, kind: str, name: str, number: int) -> Block:
        """Measure one block of a variant. Raises BlockError with the reason if the variant raises."""
        stream, items = self.blocks[number % len(self.blocks)]
        try:
            if (kind, name) not in self.subjects:
                self.subjects[kind, name] = self.run.subject(kind, name)
            subject = self.subjects[kind, name]
            if stream is not None:
                subject.start(stream)
            return self._time(subject, items, _pinned(name))
        except Exception as error:  # whatever a runtime raises: the others go on
            reason = str(error).splitlines()[0] if str(error) else ""
            raise BlockError(f"{type(error).__name__}: {reason}") from error

    def _time(self, subject: Any, items: list[Any], pinned: bool) -> Block:
        seconds, stages, usage = [], [], []
        cpus = self.run.threads.cpus
        self.quiet()
        gc.disable()
        try:
            for item in items:
                before = contamination.read(cpus)
                start = time.perf_counter()
                spent = subject(item)
                seconds.append(time.perf_counter() - start)
                usage.append(contamination.between(before, contamination.read(cpus)))
                stages.append(dict(spent))
        finally:
            gc.enable()
        return Block(seconds[self.lead :], stages[self.lead :], usage[self.lead :], pinned)


def _pinned(name: str) -> bool:
    import variants

    return variants.get(name).pinned if name in variants.names() else True


def prepared(tree: Path, given: Mapping[str, Any], names: list[str]) -> tuple[Any, Timed]:
    """The run of that tree's own `bench` on the command line's values `given`, and its blocks.

    Options that the tree does not know are left out; those that it alone knows keep their defaults.
    """
    import bench
    import variants
    from bench.latency.interleave import BLOCK, LEAD
    from bench.latency.quiet import wait_until_quiet
    from bench.latency.threads import apply
    from bench.run.options import add_options, parse
    from bench.run.run import Run

    home = Path(bench.__file__).resolve().parent
    if home.parent != tree.resolve():
        raise ImportError(f"`bench` came from {home} instead of {tree}")
    parser = argparse.ArgumentParser()
    add_options(parser.add_argument)
    values = vars(parser.parse_args([]))
    values.update((name, value) for name, value in given.items() if name in values)
    if values.get("corpus") is not None:
        values["corpus"] = Path(values["corpus"])
    known = [name for name in names if name in variants.names()]
    folder = Path(given["folder"])
    run = Run(parse(values.__getitem__), known, folder, lambda task, done: None)
    run.prepare(True)
    timed = Timed(run, BLOCK, LEAD, wait_until_quiet)
    apply(run.threads)
    return run, timed


def main() -> None:
    """Serve blocks over standard input and output until the input ends."""
    channel = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what a library prints must not get between the answers

    def answer(**values: Any) -> None:
        print(json.dumps(values), file=channel, flush=True)

    warnings.simplefilter("ignore")
    order = json.loads(sys.stdin.readline())
    try:
        run, timed = prepared(Path(order["tree"]), order["options"], order["names"])
    except Exception as error:
        answer(error=f"{type(error).__name__}: {error}", mine=type(error).__name__ == "UserError")
        return
    import variants

    answer(names=list(run.models), broken={**run.skipped, **run.broken}, registered=variants.names())
    for line in sys.stdin:
        asked = json.loads(line)
        try:
            block = timed.block(asked["kind"], asked["name"], asked["number"])
            timed.quiet()  # what it leaves behind must not disturb the other process
            answer(**asdict(block))
        except BlockError as error:
            answer(failed=str(error))
