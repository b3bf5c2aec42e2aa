"""Chunks of speech by which ranges of activations are found, and where they came from."""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from variants.arrays import Floats
from variants.errors import UserError
from variants.runtime.onnx import FRAMES, SAMPLES

DEV = Path(__file__).parents[2] / "bench" / "corpus" / "embedded" / "dev"  # data of the same distribution, not code
RATE, FLOOR, SPEAKERS = 16_000, 1e-8, 3  # of samples; DIART's least weight, and its rows of a chunk
MOST = 240  # chunks: 20 minutes, spread over what there is


@dataclass(frozen=True)
class Calibration:
    """Chunks that follow one another: waveforms (chunks, 1, samples) and weights (chunks, `SPEAKERS`, frames).

    digest: SHA-256 of the audio and its references. speech: what it is called.
    """

    waveforms: Floats
    weights: Floats
    digest: str
    speech: str

    def spread(self, count: int) -> Calibration:
        """`count` of the chunks, or all where there are fewer, spread over them."""
        chosen = slice(None, None, max(len(self.weights) // count, 1))
        return replace(self, waveforms=self.waveforms[chosen][:count], weights=self.weights[chosen][:count])

    def notes(self) -> dict[str, str]:
        """What a quantised file says of it."""
        seconds = self.waveforms.shape[-1] / RATE
        return {
            "calibration_speech": self.speech,
            "calibration_sha256": self.digest,
            "calibration_chunks": f"{len(self.weights)} of {seconds:g} s",
        }


_chosen: ContextVar[Path | None] = ContextVar("calibration", default=None)


@contextmanager
def calibrated_on(folder: Path | None) -> Iterator[None]:
    """Within it, what is built finds its ranges by the conversations in `folder`; None: by the embedded ones."""
    token = _chosen.set(folder)
    try:
        yield
    finally:
        _chosen.reset(token)


def calibration(folder: Path | None = None) -> Calibration:
    """Chunks with speech of the conversations in `folder` (audio with RTTM); None: in that of `calibrated_on`.

    At most `MOST`. Weights: who speaks, by the RTTM; where fewer than `SPEAKERS` do, they take turns in the rows.
    Raises UserError for a folder without conversations, or without speech in any.
    """
    return _read(folder or _chosen.get() or DEV)


@functools.cache
def _read(folder: Path) -> Calibration:
    from variants.speech.data import DataError, read_conversations

    waveforms, weights, digest = [], [], hashlib.sha256()
    try:
        conversations = read_conversations(folder)
    except DataError as error:
        raise UserError(f"calibration: {error}") from None
    for conversation in conversations:
        path = conversation.audio.path
        digest.update(path.read_bytes() + path.with_suffix(".rttm").read_bytes())
        waveform = conversation.audio.read()
        for first in range(0, len(waveform) - SAMPLES + 1, SAMPLES):
            frames = (first + np.arange(FRAMES) * SAMPLES / FRAMES) / RATE
            active: dict[str, Floats] = {}
            for turn in conversation.turns:
                spoken = active.setdefault(turn.speaker, np.full(FRAMES, FLOOR, np.float32))
                spoken[(frames >= turn.start) & (frames < turn.end)] = 1
            rows = [row for row in active.values() if row.max() == 1]
            if rows:
                waveforms.append(waveform[None, first : first + SAMPLES])
                weights.append(np.resize(np.stack(rows), (SPEAKERS, FRAMES)))
    if not waveforms:
        raise UserError(f"calibration: no speech in {folder} for {SAMPLES / RATE:g} s: give some with RTTM")
    name = "embedded dev" if folder == DEV else folder.resolve().name
    return Calibration(np.stack(waveforms), np.stack(weights), digest.hexdigest(), name).spread(MOST)
