"""One recording: where its audio is, what it says, and its samples exactly as DIART decodes them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import soundfile

from variants.arrays import Floats
from variants.errors import UserError

if TYPE_CHECKING:
    from pyannote.core import Annotation, Timeline

SAMPLE_RATE = 16000
CHUNK = 5.0  # seconds: DIART's pipeline sees nothing shorter


class CorpusError(UserError):
    """Something wrong with a corpus, in one line: which file, what, and what to do."""


@dataclass(frozen=True, eq=False)
class Recording:
    """`reference` is None where there is no RTTM (latency only), `uem` None where all is scored; seconds."""

    name: str
    path: Path
    reference: Annotation | None
    uem: Timeline | None
    duration: float
    notes: tuple[str, ...] = ()

    def waveform(self) -> Floats:
        """Samples (1, samples), float32, 16 kHz, by DIART's own loader; CorpusError if unreadable."""
        from diart.audio import AudioLoader  # here, because importing diart takes seconds

        try:
            samples: Floats = AudioLoader(SAMPLE_RATE, mono=True).load(self.path).numpy()
        except Exception as error:  # each of torchaudio's backends has its own exceptions
            raise CorpusError(f"{self.path}: unreadable audio ({_first_line(error)})") from None
        if not np.isfinite(samples).all():
            raise CorpusError(f"{self.path}: NaN or infinite samples")
        return samples.astype(np.float32, copy=False)


def probe(path: Path, shortest: float = CHUNK) -> tuple[float, tuple[str, ...]]:
    """Duration (s) and notes of an audio file; CorpusError if unreadable, not finite or below `shortest` s.

    Integer PCM in WAV can hold neither damage nor NaN, so only its header is read; all else is decoded once.
    """
    try:
        with soundfile.SoundFile(path) as audio:
            rate, channels, frames = audio.samplerate, audio.channels, audio.frames
            if not (audio.format in ("WAV", "WAVEX") and audio.subtype.startswith("PCM")):
                for block in audio.blocks(blocksize=1 << 18, dtype="float32"):
                    if not np.isfinite(block).all():
                        raise CorpusError(f"{path}: NaN or infinite samples")
    except (OSError, RuntimeError) as error:  # soundfile.LibsndfileError is a RuntimeError
        raise CorpusError(f"{path}: unreadable audio ({_first_line(error)})") from None
    duration = frames / rate
    if duration < shortest:
        raise CorpusError(f"{path}: {duration:.2f} s of audio, shorter than one chunk of {shortest:g} s")
    notes = []
    if channels > 1:
        notes.append(f"{'stereo' if channels == 2 else f'{channels} channels'}, mixed down to mono")
    if rate != SAMPLE_RATE:
        notes.append(f"resampled from {rate} Hz")
    return duration, tuple(notes)


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
