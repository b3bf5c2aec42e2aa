"""`python -m bench.studies streaming`: how near embeddings come to the stock ones if each frame is computed once.

Cosines over all rows of chunks and speakers who talk in them: by the statistics that the norms take, and of variants;
then multiply-adds of a chunk that follows another, by step and by the chunk's length. Times nothing.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterable
from functools import partial
from math import inf
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

import variants
from bench.latency.floor import operations
from bench.pipeline.diarize import Segmented, embed
from bench.run.options import add_options, parse
from bench.run.run import Run
from variants.arrays import Doubles
from variants.commands import command
from variants.compressed.calibration import calibration
from variants.provenance import stamp
from variants.registry import Built, as_embedding_model
from variants.streaming.offline import Kind, exponential, frames_by
from variants.streaming.streaming_trunk import SECONDS, StreamingTrunk
from variants.streaming.taught import load_taught
from variants.streaming.trunk import RATE, FrameTrunk, Moments

from .distillation import markdown_table

Frames = Callable[[Tensor, list[int]], Tensor]  # of a waveform (samples,), and how many are known after each chunk
VARIANTS = "streaming-trunk,streaming-trunk-int8,best"
STEPS, CHUNKS = (0.1, 0.25, 0.5, 1.0, 2.0), (2.0, 5.0, 10.0)  # seconds


def window(seconds: float) -> Kind:
    """The last seconds alike."""
    return lambda lags: np.clip(lags, 0, seconds)


def both_sides(seconds: float) -> Kind:
    """What is near in time, before or after: no stream can have it, but no other comes nearer."""

    def weight(lags: Doubles) -> Doubles:
        near = np.clip(lags, -seconds, seconds)
        return np.asarray(near - np.sign(near) * near**2 / (2 * seconds))

    return weight


KINDS = {
    **{f"window of {seconds:g} s": window(seconds) for seconds in (5, 10, 20)},
    **{f"exponential, {seconds:g} s": exponential(seconds) for seconds in (2.5, SECONDS, 10, 20)},
    "those of the first chunk, for ever": window(inf),
    "two-sided triangle of 5 s (hears the future)": both_sides(5),
}


def embeddings_by(model: StreamingTrunk, file: Segmented, frames: Frames) -> Tensor:
    """Embeddings (chunks, speakers, dim) of a file's chunks by `frames` of its waveform and of frames by chunk."""
    from diart.blocks import OverlappedSpeechPenalty

    chunks, trunk = file.waveforms[:, :, 0], model.frame_trunk
    size, starts = chunks.shape[1], file.chunks.starts
    step = round(RATE * (starts[1] - starts[0])) if len(starts) > 1 else 0
    waveform = torch.cat([chunks[0], *(chunk[size - step :] for chunk in chunks[1:])])
    counts = [trunk.frames_in(size + step * i) for i in range(len(chunks))]
    found = frames(waveform, counts)
    centre = found.mean(dim=0)
    kept = torch.cat([found - centre, torch.square(found - centre)], dim=1)
    whole, penalty, made = trunk.frames_in(size), OverlappedSpeechPenalty(), []
    for i, (count, scores) in enumerate(zip(counts, file.segmentations, strict=True)):
        late = ((count - whole) * trunk.hop - step * i) / trunk.hop
        weights = penalty(scores[None])[0].t()
        made.append(model.embedding(model.pooled(kept[count - whole : count], centre, weights, late)))
    return torch.stack(made)


def active(file: Segmented, tau: float) -> Tensor:
    """Which speakers (chunks, speakers) talk."""
    return file.segmentations.amax(dim=1) >= tau


def cosines(files: Iterable[tuple[Tensor, Tensor, Tensor]]) -> Doubles:
    """Of all rows that count: of each file its embeddings, the stock's, and who talks."""
    found = [torch.cosine_similarity(mine[who], stock[who], dim=-1) for mine, stock, who in files]
    return np.asarray(torch.cat(found).double().numpy())


def row_of(name: str, found: Doubles) -> tuple[str, float, float, float]:
    """One of the table."""
    low, median = np.quantile(found, [0.05, 0.5])
    return name, float(median), float(low), float(found.min())


def multiply_adds(model: Built, seconds: float, step: float) -> float | None:
    """Millions, of DIART's rows of a third chunk that comes a step after the second; None if not to be counted."""
    size, hop = round(RATE * seconds), round(RATE * step)
    random = torch.Generator().manual_seed(0)
    wave, weights = 0.1 * torch.randn(size + 2 * hop, generator=random), torch.rand(3, 293, generator=random)
    call: Any = as_embedding_model(model)
    for begin in (0, hop):
        call(wave[begin : begin + size].repeat(3, 1, 1), weights)
    last = wave[2 * hop :].repeat(3, 1, 1)
    counted = operations(model, lambda: call(last, weights))
    return None if counted is None else sum(counted) / 2e6


def main(arguments: list[str] | None = None) -> int:
    """Print the tables; the exit code."""
    parser = argparse.ArgumentParser(prog="python -m bench.studies streaming", description=__doc__)
    add_options(parser.add_argument)
    parser.add_argument("--taught", type=Path, metavar="FILE", help="of `python -m variants.training streaming`, too")
    parser.set_defaults(corpus=Path("embedded-dev"), variants=VARIANTS)
    given = parser.parse_args(arguments)
    return command("bench.studies streaming", lambda: study(given))


@torch.no_grad()
def study(given: argparse.Namespace) -> None:
    """The tables of nearness on a corpus, then that of work."""
    options = parse(lambda name: getattr(given, name))
    run = Run(options, [entry.name for entry in variants.select(given.variants)], Path(), lambda *_: None)
    run.prepare(timed=False)
    for name, reason in run.models.skipped.items():
        print(f"Skipped: {name} ({reason})")
    _nearness(run, given.taught)
    _work(run)


def _nearness(run: Run, taught: Path | None) -> None:
    root: Any = run.models.root
    stock = as_embedding_model(variants.build("shared-folded", root))
    files = run.corpus.segmented([(recording, None) for recording in run.corpus.recordings])
    theirs, who = [embed(file, stock) for file in files], [active(file, run.options.pipeline.tau) for file in files]

    def compared(mine: Iterable[Tensor]) -> Doubles:
        return cosines(zip(mine, theirs, who, strict=True))

    head = ["", "median cosine", "5 % quantile of cosine", "lowest cosine"]
    print(f"\n{sum(int(w.sum()) for w in who)} rows of {len(files)} recordings; norms' statistics:\n")
    model = StreamingTrunk(variants.build("shared-folded", root))
    trunk = model.frame_trunk
    known = frozen(trunk)
    ways: dict[str, Frames] = {name: partial(frames_by, trunk, kind=kind) for name, kind in KINDS.items()}
    ways["frozen, of the calibration's chunks"] = lambda wave, counts: trunk.start(wave, known)[0]
    rows = [row_of(name, compared(embeddings_by(model, file, way) for file in files)) for name, way in ways.items()]
    markdown_table(head, rows)
    print("\nVariants:\n")
    models = {name: model for name, model in run.models.items() if not name.startswith("baseline")}
    if taught is not None:
        origin = variants.provenance_of(root)
        assert origin is not None  # `load` stamps
        models[f"streaming-trunk, {taught}"] = load_taught(stamp(model, origin), taught)
    made = {name: [embed(file, as_embedding_model(model)) for file in files] for name, model in models.items()}
    markdown_table(head, [row_of(name, compared(mine)) for name, mine in made.items()])


def frozen(trunk: FrameTrunk) -> list[Moments]:
    """Moments of all of the calibration's chunks, heard as one recording."""
    _, state = trunk.start(torch.cat([torch.from_numpy(waveform[0]) for waveform in calibration().waveforms]))
    return state.moments


def _work(run: Run) -> None:
    models: dict[str, Built] = dict(run.models.items())
    print("\nMillions of multiply-adds, three rows of a chunk that follows another:\n")
    markdown_table(
        ["chunk, step (s)", *models],
        [
            (f"{chunk:g}, {step:g}", *(multiply_adds(model, chunk, step) for model in models.values()))
            for chunk in CHUNKS
            for step in STEPS
            if step < chunk
        ],
    )
