"""`python -m bench.studies places`: where in a chunk a segmentation variant differs from the stock segmentation.

Share of scores on the other side of tau, by how long before the chunk's end their frame lies, under the order of
speakers that fits each chunk best; beside it how the stock segmentation itself differs from one chunk to the next, on
the frames that both have. Times nothing.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise, permutations
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

import variants
from bench.pipeline.diarize import Segmented, batches, segmenter
from bench.run.options import add_options, parse
from bench.run.run import Run
from variants.commands import command

from .distillation import markdown_table

STREAMING = ("streaming-segmentation", "streaming-segmentation-int8", "streaming-segmentation-taught")
VARIANTS = ",".join(("segmentation-cached-int8", *STREAMING))
BOUNDS = (0.0, 0.25, 1.0, 2.0, 3.0, 4.0, 5.0)  # seconds before a chunk's end


def crossed(mine: Tensor, stock: Tensor, tau: float) -> Tensor:
    """Which scores (frames, speakers) lie on the other side of tau, in the order of speakers that leaves least."""
    active, found = stock > tau, mine > tau
    orders = [found[:, order] != active for order in map(list, permutations(range(mine.shape[1])))]
    return min(orders, key=lambda apart: int(apart.sum()))


def by_place(apart: Iterable[Tensor], seconds: float, bounds: Sequence[float] = BOUNDS) -> list[float | None]:
    """Shares in percent by place and, first, over all; apart: of each chunk (frames, speakers), its last frames."""
    found = torch.stack(list(apart)).float().mean(dim=(0, 2)).flip(0)  # by frame, the newest first
    ages = (np.arange(len(found)) + 0.5) * seconds
    places = [found[torch.from_numpy((ages >= low) & (ages < high))] for low, high in pairwise(bounds)]
    return [100 * float(part.mean()) if len(part) else None for part in (found, *places)]


def main(arguments: list[str] | None = None) -> int:
    """Print the table; the exit code."""
    parser = argparse.ArgumentParser(prog="python -m bench.studies places", description=__doc__)
    add_options(parser.add_argument)
    parser.add_argument("--of", default=VARIANTS, metavar="A,B", help=f"segmentation variants (default: {VARIANTS})")
    parser.set_defaults(corpus=Path("embedded-dev"), variants="baseline")
    given = parser.parse_args(arguments)
    return command("bench.studies places", lambda: study(given))


@torch.no_grad()
def study(given: argparse.Namespace) -> None:
    """The table on a corpus."""
    options = parse(lambda name: getattr(given, name))
    entries = [variants.get(name.strip(), "segmentation") for name in given.of.split(",")]
    run = Run(options, ["baseline"], Path(), lambda *_: None)
    run.prepare(timed=False)
    tau, step, duration = options.pipeline.tau, options.pipeline.step, options.pipeline.duration
    files: list[Segmented] = run.corpus.segmented([(recording, None) for recording in run.corpus.recordings])
    frames = files[0].segmentations.shape[1]
    seconds = duration / frames
    moved = round(step / seconds)

    def successive() -> Iterator[Tensor]:
        for file in files:
            for before, after in pairwise(file.segmentations):
                yield crossed(after[: frames - moved], before[moved:], tau)

    rows = [("stock, one chunk to the next", *by_place(successive(), seconds, [b - step for b in BOUNDS]))]
    for entry in entries:
        try:
            model = run.models.build_segmentation(entry.name)
        except variants.UnavailableError as error:
            print(f"Skipped: {entry.name} ({error})")
            continue
        apart = []
        for file in files:
            segmented = segmenter(file, model)
            found = torch.cat([segmented(part) for part in batches(file)])
            apart += [crossed(mine, stock, tau) for mine, stock in zip(found, file.segmentations, strict=True)]
        rows.append((entry.name, *by_place(apart, seconds)))
    chunks = sum(len(file.segmentations) for file in files)
    print(f"\n{chunks} chunks; % of scores across tau, by seconds before a chunk's end:\n")
    places = [f"{low:g} to {high:g}" for low, high in pairwise(BOUNDS)]
    markdown_table(["", "all", *places], rows)
