"""What scoring costs, by the number of workers, and what all of VoxConverse would: measured, and computed from that."""

import tempfile
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path

from variants import UserError

from .run import Run
from .scores import Scores

FILES, MINUTES, LONGEST = 232, 2612, 20  # VoxConverse's test set: Chung et al., arXiv:2007.01216 (2020), with minutes
CORES = (1, 16, 256)
LOOK = 8  # perturbations that the first look takes


@dataclass(frozen=True)
class Row:
    """One measurement: of how many workers, seconds until the first of them had its models and of scoring from then on.

    alone: seconds that hearing each variant alone takes one worker, all of them together.
    """

    workers: int
    begun: float
    scoring: float
    alone: float


def measure(run: Run, jobs: Iterable[str]) -> Iterator[Row]:
    """Score the corpus once, from nothing kept, by each value of `--jobs`; UserError if there is nothing to score."""
    for one in jobs:
        with tempfile.TemporaryDirectory(prefix="diartbench-") as folder:
            options = replace(run.options.scoring, jobs=one)
            scores = Scores(options, run.models, run.corpus, Path(folder), run.scores.progress)
            if not scores.wanted:
                raise UserError(scores.unjudged or "--accuracy off leaves nothing to score")
            _ = scores.scorer  # whose digests are no part of it
            begin = time.monotonic()
            with scores.working():
                found, end = scores.accuracy, time.monotonic()
            ready = begin if scores.pool is None else scores.pool.ready[0]
            workers = 1 if scores.pool is None else len(scores.pool.ready)
            alone = sum(file.seconds for accuracy in found.values() for file in accuracy.files)
            yield Row(workers, ready - begin, end - ready, alone)


def tables(rows: Iterator[Row], names: Sequence[str], lengths: Sequence[float]) -> Iterator[str]:
    """Both tables in Markdown, with what they rest on, line by line as rows come: at least one.

    names: of the variants. lengths: of the files, in seconds.
    """
    audio, files = sum(lengths), len(lengths)
    first = last = next(rows)
    yield from (
        f"Measured: {files} files, {audio / 60:.1f} min of audio, heard once by {len(names)} variants side by side.",
        "",
        "| workers | first ready after, s | scoring, s | files/s | times real time | speed-up |",
        "|---:|---:|---:|---:|---:|---:|",
    )
    for last in chain([first], rows):
        yield (
            f"| {last.workers} | {last.begun:.0f} | {last.scoring:.1f} | {files / last.scoring:.3f} | "
            f"{audio / last.scoring:.2f} | {first.scoring * first.workers / last.scoring:.2f} |"
        )
    once, alone = last.scoring * last.workers / audio, last.alone / audio
    yield from (
        "",
        f"Computed from the last row, not measured: VoxConverse's test set ({FILES} files, {MINUTES / 60:.1f} h, the "
        f"longest {LONGEST} min), by the same {len(names)} variants at {once:.2f} s of a core per second of audio. No "
        "file is split, and starting is left out. The last column is the most that a first look at all of them takes.",
        "",
        f"| cores | every file once | and under {LOOK - 1} perturbations more |",
        "|---:|---:|---:|",
    )
    for cores in CORES:
        yield f"| {cores} | {took(once, cores)} | {took(once + (LOOK - 1) * alone, cores)} |"


def took(cost: float, cores: int) -> str:
    """What the corpus takes at so many seconds of a core per second of audio: no less than its longest file."""
    minutes = max(MINUTES * cost / cores, LONGEST * cost if cores > 1 else 0.0)
    return f"{minutes / 60:.1f} h" if minutes >= 60 else f"{minutes:.0f} min"
