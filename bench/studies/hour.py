"""`python -m bench.studies hour`: whether a variant says after an hour what it said in the first minute.

A loop of audio, its length a multiple of both the step and the segmentation's frame (and of the chunks after which a
variant computes one as a whole), so that every turn is the same to whoever forgets. What a model keeps from chunk to
chunk may not drift. Compared are chunks at the same place in the loop, in minute 1 and in the last (59 of 60, counted
from 0): embeddings, of those who talk in both, by their cosine, and segmentations.
"""

from __future__ import annotations

import argparse
from math import lcm
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

import variants
from bench.pipeline.perturb import FRAME
from bench.run.options import add_options, parse
from bench.run.progress import progress
from bench.run.run import Run
from variants import UserError
from variants.arrays import Floats
from variants.commands import command, number

from .distillation import markdown_table

RATE = 16000
LEAST = 0.999  # 5 % quantile of cosines: in int8 a rounding that falls the other way moves single rows by more
VARIANTS = "best-exact,best,streaming-trunk,streaming-trunk-int8"


class Heard(NamedTuple):
    """Of successive chunks: scores (chunks, frames, speakers), embeddings (chunks, speakers, dimension)."""

    scores: Tensor
    embeddings: Tensor


def main(arguments: list[str] | None = None) -> int:
    """Print the table; the exit code, 1 if embeddings have changed."""
    parser = argparse.ArgumentParser(prog="python -m bench.studies hour", description=__doc__)
    add_options(parser.add_argument)
    parser.add_argument("--minutes", type=number(int, 3), default=60, metavar="M", help="of audio (default: 60)")
    parser.add_argument(
        "--turns",
        type=number(int, 1),
        default=5,
        metavar="N",
        help="multiples of step and frame in the loop: some compute every Nth chunk anew (default: 5)",
    )
    parser.set_defaults(variants=VARIANTS, corpus=Path("embedded-dev"), accuracy="off")
    given = parser.parse_args(arguments)
    return command("bench.studies hour", lambda: study(given))


@torch.no_grad()
def study(given: argparse.Namespace) -> None:
    """Let every variant hear the loop; UserError if one does not stay equal to itself."""
    options = parse(lambda name: getattr(given, name))
    names = [entry.name for entry in variants.select(given.variants)]
    run = Run(options, names, Path(), lambda *_: None)
    run.prepare(timed=False)
    for name, reason in run.models.skipped.items():
        print(f"Skipped: {name} ({reason})")
    settings = options.pipeline
    step, size = round(RATE * settings.step), round(RATE * settings.duration)
    recording = run.corpus.recordings[0]
    loop = looped(recording.waveform()[0], step, size, given.turns)
    first, late = compared(given.minutes, len(loop) // step, 60 * RATE // step)
    drifted, rows = [], []
    with progress() as told:
        for done, name in enumerate(name for name in names if name in run.models):
            told("the loop", done / len(names))
            early, then = hear(run, name, loop, step, size, (first, late))
            cosines = agreement(early, then, settings.tau)
            if not len(cosines):
                raise UserError(f"{recording.name}: nobody talks in {len(loop) / RATE:g} s; try --files")
            apart = float((early.scores - then.scores).abs().max())
            low, median = torch.quantile(cosines, torch.tensor([0.05, 0.5])).tolist()
            rows.append((name, float(cosines.min()), low, median, f"{apart:.5f}"))
            drifted += [name] if low < LEAST else []
    turns = (late.start - first.start) * step // len(loop)
    print(f"{recording.name}, {len(loop) / RATE:g} s in a loop; minute 1 and {turns} turns later:\n")
    head = ["", "lowest cosine", "5 % quantile of cosine", "median cosine", "largest difference of a score"]
    markdown_table(head, rows)
    if drifted:
        raise UserError(f"{', '.join(drifted)}: the 5 % quantile is below {LEAST}: what is kept drifts")


def looped(waveform: Floats, step: int, size: int, turns: int) -> Tensor:
    """The first of some samples (samples,), at least a chunk of them: so many multiples of both step and frame."""
    turn = lcm(step, FRAME)
    count = max(-(-size // turn), turns) * turn
    if len(waveform) < count:
        raise UserError(f"--corpus, --files: a recording of {count / RATE:g} s or more is needed")
    return torch.from_numpy(np.ascontiguousarray(waveform[:count]))


def compared(minutes: int, turn: int, minute: int) -> tuple[range, range]:
    """Numbers of the chunks of minute 1, and of as many at most a turn (of `turn` chunks) before the last minute."""
    later = (minutes - 2) * minute // turn * turn
    first = range(minute, 2 * minute)
    return first, range(first.start + later, first.stop + later)


def hear(run: Run, name: str, loop: Tensor, step: int, size: int, kept: tuple[range, range]) -> tuple[Heard, Heard]:
    """All chunks up to the last that is kept, one by one as live; what the variant's models say of those kept."""
    from diart.blocks import OverlapAwareSpeakerEmbedding, SpeakerSegmentation

    cpu = torch.device("cpu")
    segment = SpeakerSegmentation(run.models.segmentation_of(name), cpu)
    embed = OverlapAwareSpeakerEmbedding(variants.as_embedding_model(run.models[name]), device=cpu)
    found: tuple[list[tuple[Tensor, Tensor]], ...] = ([], [])
    place = torch.arange(size)
    for index in range(kept[1].stop):
        chunk = loop[(place + index * step) % len(loop)][None, :, None]
        scores = segment(chunk)
        pair = scores[0], embed(chunk, scores).reshape(scores.shape[2], -1)
        for chunks, those in zip(found, kept, strict=True):
            if index in those:
                chunks.append(pair)
    early, then = (Heard(*map(torch.stack, zip(*chunks, strict=True))) for chunks in found)
    return early, then


def agreement(early: Heard, then: Heard, tau: float) -> Tensor:
    """Cosines of the embeddings of those who talk in both."""
    who = (early.scores.amax(dim=1) >= tau) & (then.scores.amax(dim=1) >= tau)
    return torch.cosine_similarity(early.embeddings[who], then.embeddings[who], dim=-1)
