"""This tree as one side of a comparison: all that the gate of any revision, earlier or later, asks of it.

The file, `side`, its arguments and the fields of `Side` keep their names and meanings: see docs/gate-protocol.md.
"""

import argparse
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import variants
from bench.history.counts import counts_of
from bench.latency.interleave import Subject
from bench.latency.kinds import STEADY
from bench.latency.quiet import wait_until_quiet
from bench.latency.subjects import Item
from bench.pipeline.diarize import Segmented
from variants import UserError

from .options import add_options, chosen, parse
from .run import Run

AGAIN = " again"  # behind a variant's name: a second copy of its model, which differs from the first by nothing


@dataclass(frozen=True)
class Side:
    """What can be measured, and on what.

    names: the variants that run here. broken: why others that were asked for do not. registered: all that are known.
    cpus: what the threads are pinned to; empty if to none. streams: files and their items in order.
    subject: of (kind, variant), made anew by each call. pinned: whether a variant's threads stay on `cpus`.
    quiet: waits until no thread of this process is busy; False if it gave up. counts: what does not jitter of a
    variant, by name (`bench.history.counts`).
    """

    names: list[str]
    broken: dict[str, str]
    registered: list[str]
    cpus: tuple[int, ...]
    streams: Sequence[tuple[Segmented, Sequence[Item]]]
    subject: Callable[[str, str], Subject]
    pinned: Callable[[str], bool]
    quiet: Callable[[], bool]
    counts: Callable[[str], Mapping[str, float]]

    @classmethod
    def of(cls, run: Run) -> "Side":
        """The side that a prepared run is."""

        def subject(kind: str, name: str) -> Subject:
            if kind not in STEADY:
                raise UserError(f"unknown kind {kind!r}; known are: {', '.join(STEADY)}")
            name, again, _ = name.partition(AGAIN)
            copies = (run.models.build(name),) if again else ()
            return run.timing.subject(kind, name, *copies)

        def counts(name: str) -> Mapping[str, float]:
            run.timing.take_footprint(name)
            work = run.timing.executed(name)
            return counts_of(run.counted(name) | {"operations": work and work._asdict()})

        return cls(
            names=list(run.models),
            broken={**run.models.skipped, **run.models.broken},
            registered=variants.names(),
            cpus=run.cores.threads.cpus,
            streams=run.corpus.streams,
            subject=subject,
            pinned=lambda name: variants.get(name.partition(AGAIN)[0]).pinned,
            quiet=wait_until_quiet,
            counts=counts,
        )


def side(values: Mapping[str, str | int | float | bool | None], names: Iterable[str]) -> Side:
    """Everything loaded and the threads claimed, for the variants `names` and the command line's `values` by name.

    Variants and options that this tree does not know are left out; options that it alone knows keep their defaults.
    Raises UserError for what cannot be measured.
    """
    parser = argparse.ArgumentParser()
    add_options(parser.add_argument)
    options = vars(parser.parse_args([])) | dict(values)
    if options["corpus"] is not None:
        options["corpus"] = Path(options["corpus"])
    chosen(options.__getitem__)  # by which the user's own models are known, too
    known = [name for name in names if name in variants.names()]
    run = Run(parse(options.__getitem__), known, Path(), lambda task, done: None)  # nothing is scored, hence no cache
    run.prepare(True)
    found = Side.of(run)
    run.cores.claim()  # to the threads that were started meanwhile, too
    return found
