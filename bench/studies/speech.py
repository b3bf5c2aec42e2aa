"""Speech of many kinds, chunk by chunk, with the rows that DIART would embed and what is peculiar about each."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.signal import butter, sosfiltfilt

from bench.corpus import Recording
from bench.corpus.choice import choose
from bench.pipeline.perturb import STEP
from variants import UserError
from variants.arrays import Floats
from variants.compressed.int8_static import Feeds
from variants.runtime.onnx import SAMPLES

if TYPE_CHECKING:
    from diart.models import SegmentationModel

RATE, TELEPHONE, LEVELS = 16_000, (300, 3400), (-45, -30, -10)  # Hz; Hz; dB below a full-scale square wave
SPEAKS, SHORT, QUIETEST, OVERLAPPED = 0.5, 0.5, 0.25, 0.1  # score; seconds; share of the chunks; share of a chunk
Bools = NDArray[np.bool_]


@dataclass(frozen=True)
class Speech:
    """Chunks that follow one another: waveforms (chunks, 1, samples), scores (chunks, frames, speakers).

    weights: DIART's, of the scores. first: (chunks,), whether a file begins with it.
    """

    waveforms: Floats
    scores: Floats
    weights: Floats
    first: Bools

    @property
    def rows(self) -> Feeds:
        """As an embedding's graph takes them, a row for each speaker."""
        return [
            {"waveform": np.broadcast_to(waveform, (weights.shape[1], *waveform.shape)), "weights": weights.T.copy()}
            for waveform, weights in zip(self.waveforms, self.weights, strict=True)
        ]

    @property
    def chunks(self) -> Feeds:
        """As a segmentation's graph takes them."""
        return [{"inputs": waveform[None]} for waveform in self.waveforms]

    @property
    def speaking(self) -> Bools:
        """(chunks, speakers), whether that speaker says anything."""
        found: Bools = (self.scores > SPEAKS).any(1)
        return found

    @property
    def parts(self) -> Mapping[str, Bools]:
        """What is peculiar about chunks or their speakers, (chunks, speakers)."""
        power = np.square(self.waveforms).mean((1, 2))
        together = ((self.scores > SPEAKS).sum(2) > 1).mean(1)
        seconds = self.weights.mean(1) * self.waveforms.shape[2] / RATE
        every = np.ones_like(self.speaking)
        return {
            "all": every,
            "the quietest quarter": every & (power <= np.quantile(power, QUIETEST))[:, None],
            "overlapped": every & (together >= OVERLAPPED)[:, None],
            "start of a file": every & self.first[:, None],
            f"weights of less than {SHORT:g} s": seconds < SHORT,
        }


def spoken(segmentation: SegmentationModel, folders: Sequence[Path] = ()) -> dict[str, Speech]:
    """The embedded splits, `test` by telephone and at several levels, and the corpora in `folders`, by name."""
    dev, test = (choose(Path(f"embedded-{split}"), None, 0)[0] for split in ("dev", "test"))
    found = {"dev": heard(dev, segmentation), "test": heard(test, segmentation)}
    found["telephone"] = heard(test, segmentation, telephone)
    for level in LEVELS:
        found[f"{level} dB"] = heard(test, segmentation, partial(at_level, decibels=level))
    for folder in folders:
        recordings, problems = choose(folder, None, SAMPLES / RATE)
        if not recordings:
            raise UserError("; ".join(problems))
        found[folder.name] = heard(recordings, segmentation)
    return found


def heard(
    recordings: Sequence[Recording],
    segmentation: SegmentationModel,
    change: Callable[[Floats], Floats] = lambda waveform: waveform,
) -> Speech:
    """All whole chunks of recordings, changed as wholes before they are cut."""
    from diart.functional import overlapped_speech_penalty

    waveforms, first = [], []
    for recording in recordings:
        waveform = change(recording.waveform())
        cut = [waveform[:, start : start + SAMPLES] for start in range(0, waveform.shape[1] - SAMPLES + 1, SAMPLES)]
        waveforms += cut
        first += [i == 0 for i in range(len(cut))]
    chunks = np.stack(waveforms)
    with torch.no_grad():
        scores = torch.cat([segmentation(part) for part in torch.from_numpy(chunks).split(8)])
    weights = overlapped_speech_penalty(scores, gamma=3, beta=10)
    return Speech(chunks, scores.numpy(), weights.numpy(), np.array(first))


def telephone(waveform: Floats) -> Floats:
    """A recording (1, samples) of which the telephone's band is left."""
    band = butter(4, TELEPHONE, "bandpass", fs=RATE, output="sos")
    return np.asarray(sosfiltfilt(band, waveform), np.float32)


def at_level(waveform: Floats, decibels: float) -> Floats:
    """A recording (1, samples) at another root mean square, in 16 bits; what these do not hold is clipped."""
    scaled = waveform * 10 ** (decibels / 20) / np.sqrt(np.square(waveform).mean())
    return np.asarray(np.clip(np.rint(scaled / STEP), -(2**15), 2**15 - 1) * STEP, np.float32)
