"""Timed blocks of one code tree: in this process, or in one of its own that may belong to another revision.

As a process it is this revision's file, so that both sides are measured the same way, but `bench` and `variants`
come from the tree that it is told of. Hence nothing that is imported here may import either before `Open` comes:
docs/gate-protocol.md.
"""

import gc
import os
import sys
import time
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from . import contamination, messages
from .contamination import Usage
from .messages import (
    Answer,
    Block,
    Count,
    Counted,
    Hello,
    Malformed,
    Measure,
    Open,
    Opened,
    ProtocolError,
    Raised,
    Refused,
)

if TYPE_CHECKING:
    from bench.latency.interleave import Subject
    from bench.latency.subjects import Item
    from bench.run.side import Side


class BlockError(Exception):
    """A subject raised: why."""


class Timed:
    """All subjects of one side, block by block.

    Block k holds the same `size` successive chunks for every subject; the first `lead` are not timed. See
    `bench.latency.interleave` for why.
    """

    def __init__(self, side: "Side", size: int, lead: int) -> None:
        self.side, self.lead = side, lead
        self.blocks = [
            (stream, first, items[first : first + size])
            for stream, items in side.streams
            for first in range(0, len(items) - size + 1, size)
        ]
        self.subjects: dict[tuple[str, str], Subject] = {}
        self._last: dict[tuple[str, str], int] = {}

    def block(self, kind: str, name: str, number: int) -> Block:
        """Measure one block of a variant. Raises BlockError with the reason if the variant raises.

        A file is started anew at its first block, and at any that does not follow the variant's last one.
        """
        if not self.blocks:
            raise BlockError("the audio is shorter than one block of chunks")
        stream, first, items = self.blocks[number % len(self.blocks)]
        key = kind, name
        follows = self._last.get(key) == number - 1
        self._last[key] = number
        try:
            if key not in self.subjects:
                self.subjects[key] = self.side.subject(kind, name)
            if first == 0 or not follows:
                self.subjects[key].start(stream)
            return self._time(self.subjects[key], items, self.side.pinned(name))
        except Exception as error:  # whatever a runtime raises: the others go on
            reason = str(error).splitlines()[0] if str(error) else ""
            raise BlockError(f"{type(error).__name__}: {reason}") from error

    def _time(self, subject: "Subject", items: "Sequence[Item]", pinned: bool) -> Block:
        seconds: list[float] = []
        stages: list[dict[str, float]] = []
        usage: list[Usage] = []
        cpus = self.side.cpus
        self.side.quiet()
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


class Service:
    """Answers one request after the other."""

    def __init__(self) -> None:
        self.timed: Timed | None = None

    def answer(self, text: bytes) -> Answer:
        """What to say to a line, whatever it holds."""
        try:
            asked = messages.request(text)
            if isinstance(asked, Open):
                return self._open(asked)
            return self._measure(asked) if isinstance(asked, Measure) else self._count(asked)
        except ProtocolError as error:
            return Malformed(str(error))

    def _open(self, asked: Open) -> Answer:
        if self.timed is not None:
            raise ProtocolError("Open: a tree is open already")
        try:
            side = load(asked)
            self.timed = Timed(side, asked.size, asked.lead)
        except Exception as error:  # whatever is wrong with that tree
            why = f"{type(error).__name__}: {error}"
            return Refused(
                why if type(error).__name__ == "UserError" else f"it cannot be measured by this gate ({why})"
            )
        return Opened(side.names, side.broken, side.registered)

    def _measure(self, asked: Measure) -> Answer:
        if self.timed is None:
            raise ProtocolError("Measure: no tree is open")
        try:
            block = self.timed.block(asked.kind, asked.name, asked.number)
        except BlockError as error:
            return Raised(str(error))
        self.timed.side.quiet()  # what it leaves behind must not disturb the other process
        return block

    def _count(self, asked: Count) -> Answer:
        if self.timed is None:
            raise ProtocolError("Count: no tree is open")
        counts = getattr(self.timed.side, "counts", None)  # trees have it since version 3
        if counts is None:
            return Raised("that revision counts nothing")
        try:
            return Counted({name: float(value) for name, value in counts(asked.name).items()})
        except Exception as error:  # whatever a variant raises
            return Raised(f"{type(error).__name__}: {error}".splitlines()[0])


def load(asked: Open) -> "Side":
    """That tree's own side, by the one function that every revision has."""
    tree = Path(asked.tree).resolve()
    import bench
    import variants
    from bench.run.side import side

    for package in (bench, variants):
        if (home := Path(str(package.__file__)).resolve().parent.parent) != tree:
            raise ImportError(f"`{package.__name__}` came from {home} instead of {tree}")
    return side(asked.options, asked.names)


def main() -> None:
    """Serve requests over standard input and output until the input ends."""
    channel = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # what a library prints must not get between the answers
    sys.settrace(None)  # coverage tools that follow into every process must not be timed
    sys.setprofile(None)
    warnings.simplefilter("ignore")
    service = Service()
    print(messages.line(Hello(messages.VERSION)), file=channel, flush=True)
    for text in sys.stdin.buffer:
        print(messages.line(service.answer(text)), file=channel, flush=True)
