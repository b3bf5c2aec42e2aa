"""`python -m bench.studies peers --corpus DIR`: offline diarizers beside DIART: real-time factor and DER on one thread.

A peer is one function in `PEERS`. It loads what it needs once, untimed, and gives back what labels a recording; its
package is the user's to install (`pip install -e '.[peers]'` brings senko).
"""

from __future__ import annotations

import argparse
import contextlib
import sys
import time
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from typing import Any

from pyannote.core import Annotation, Segment

import variants
from bench.accuracy.der import Turn
from bench.accuracy.errors import Components, components, rate
from bench.corpus import Recording
from bench.latency import machine
from bench.pipeline.diarize import STITCHED, cut
from bench.pipeline.staged import diart_pipeline
from bench.run.options import add_options, parse
from bench.run.run import Run
from variants import UserError
from variants.commands import command
from variants.loading.sources import CAMPPLUS

Labels = Callable[[Recording], Annotation]


def senko() -> Labels:
    """senko: Silero's voice activity detection, CAM++ every 0.6 s, spectral clustering or UMAP and HDBSCAN (MIT)."""
    from senko import Diarizer

    diarizer = Diarizer(device="cpu")
    diarizer.logical_cores = 1  # the threads that it gives torch

    def labels(recording: Recording) -> Annotation:
        found = diarizer.diarize_samples(recording.waveform()[0])
        turns = [] if found is None else found["merged_segments"]  # None: no speech
        return annotation((turn["start"], turn["end"], turn["speaker"]) for turn in turns)

    return labels


def diarize() -> Labels:
    """diarize: Silero, WeSpeaker's ResNet34-LM, spectral clustering (Apache-2.0); its weights come without a token."""
    from diarize import diarize
    from wespeakerruntime import Speaker

    Speaker(lang="en")  # which downloads them; within `diarize` a failure would be a warning

    def labels(recording: Recording) -> Annotation:
        return annotation((turn.start, turn.end, turn.speaker) for turn in diarize(str(recording.path)).segments)

    return labels


PEERS: dict[str, Callable[[], Labels]] = {"senko": senko, "diarize": diarize}  # by package


def annotation(turns: Iterable[Turn]) -> Annotation:
    """Turns, any of one speaker's among them overlapping or not, as pyannote's annotation."""
    labels = Annotation()
    for track, (start, end, speaker) in enumerate(turns):
        labels[Segment(start, end), track] = speaker
    return labels


def diart(run: Run, name: str) -> Labels:
    """A variant's whole pipeline, from samples to labels, chunk by chunk."""
    embedding, segmentation = variants.as_embedding_model(run.models[name]), run.models.segmentation_of(name)
    settings, lean = run.options.pipeline, variants.get(name).segmentation is not None

    def labels(recording: Recording) -> Annotation:
        from diart.sinks import PredictionAccumulator

        file, accumulator = cut(recording, settings), PredictionAccumulator(recording.name)
        pipeline = diart_pipeline(settings, segmentation, embedding, lean)
        pipeline.set_timestamp_shift(-file.chunks.padding)
        for number, chunk in enumerate(file.chunks):
            ((found, _),) = pipeline([chunk])
            accumulator.on_next(found)
            if number % STITCHED == STITCHED - 1:
                accumulator.patch()
        return accumulator.get_prediction()

    return labels


def main(arguments: list[str] | None = None) -> int:
    """Print the table, row by row; its exit code."""
    parser = argparse.ArgumentParser(prog="python -m bench.studies peers", description=__doc__)
    add_options(parser.add_argument)
    given = parser.parse_args(arguments)
    return command("bench.studies peers", lambda: study(given))


def study(given: argparse.Namespace) -> None:
    """Table and caption. What of DIART cannot be loaded is an error where it was named, else a row that says so."""
    run = _run(given)
    if run.models.oracle:
        raise UserError("--segmentation oracle: no peer knows the reference")
    rows: dict[str, Callable[[], Labels]] = {}
    for name in ("baseline", "best"):
        rows[f"DIART, {given.embedding}, `{name}`"] = partial(diart, run, name)
    if given.embedding != CAMPPLUS:
        for name in ("baseline", "best"):
            rows[f"DIART, {CAMPPLUS}, `{name}`"] = partial(_campplus, given, name)
    rows |= PEERS
    print("| diarizer | real-time factor | DER, % | missed | false alarm | confusion |\n|---|" + "---:|" * 5)
    for title, load in rows.items():
        with contextlib.redirect_stdout(sys.stderr):  # what a peer says is no part of the table
            cells = _row(title, load, run)
        print(f"| {title} | {' | '.join(cells)} |", flush=True)
    print(f"\n{caption(run)}")


def _campplus(given: argparse.Namespace, name: str) -> Labels:
    return diart(_run(given, embedding=CAMPPLUS), name)


def _run(given: argparse.Namespace, **other: str) -> Run:
    options: dict[str, Any] = vars(given) | other
    run = Run(parse(options.__getitem__), ["best"], Path(), lambda *_: None)
    run.prepare(timed=True)
    return run


def _row(title: str, load: Callable[[], Labels], run: Run) -> list[str]:
    try:
        labels = load()
        run.cores.claim()  # also for threads that were started meanwhile
        scored, spent = [], 0.0
        for recording in run.corpus.recordings:
            began = time.process_time()
            found = labels(recording)
            spent += time.process_time() - began
            if recording.reference is not None:
                options = run.options.scoring
                scored.append(
                    components(recording.reference, found, recording.uem, options.collar, options.skip_overlap)
                )
    except ModuleNotFoundError as error:
        if error.name == title:
            return ["not installed", *[""] * 4]
        return [f"cannot be loaded: {error}", *[""] * 4]
    except Exception as error:  # somebody else's program: the other rows go on
        what = "" if isinstance(error, UserError) else f"failed: {type(error).__name__}: "
        return [what + (str(error).strip().splitlines() or ["no reason given"])[0], *[""] * 4]
    return [f"{spent / sum(r.duration for r in run.corpus.recordings):.3f}", *_shares(scored)]


def _shares(scored: list[Components]) -> list[str]:
    """DER and its three parts in percent, empty where nothing could be scored."""
    total = sum(c.total for c in scored)
    if not total:
        return [""] * 4
    parts = ([getattr(c, kind) for c in scored] for kind in ("missed", "false_alarm", "confusion"))
    return [f"{rate(scored):.1f}", *(f"{100 * sum(part) / total:.1f}" for part in parts)]


def caption(run: Run) -> str:
    """What was measured, and what of it cannot be compared."""
    settings, files = run.options.pipeline, run.corpus.recordings
    return (
        f"{len(files)} recordings, {sum(r.duration for r in files):.0f} s; {machine.describe()['cpu']}, "
        f"{run.cores.threads}; segmentation of DIART's rows: {run.options.models.segmentation}. Real-time factor: "
        "processor time per second of audio, models loaded before. Not comparable: DIART hears "
        f"{settings.duration:g} s every {settings.step:g} s, has said who spoke {settings.latency:g} s later and takes "
        "nothing back; the peers are offline: they hear all of a file, each second of it once or twice instead of "
        f"{settings.duration / settings.step:.0f} times, cluster at its end, and say nothing before."
    )
