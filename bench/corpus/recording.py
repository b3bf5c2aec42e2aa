"""One recording: where its audio is, what it says, and its samples exactly as DIART decodes them."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import soundfile

from variants.arrays import Floats
from variants.errors import UserError

from .chained import is_chained

if TYPE_CHECKING:
    from pyannote.core import Annotation, Timeline

AUDIO = frozenset((".wav", ".flac", ".ogg"))
SAMPLE_RATE = 16000
CHUNK = 5.0  # seconds: DIART's pipeline sees nothing shorter
UNKNOWN = (1 << 63) - 1  # frames, by libsndfile, of a FLAC file whose header leaves them open
STREAMED = 0x7FFFF000  # bytes from which on a WAV header means "until the end"
SLOWEST = 1000  # Hz: below, a damaged header rather than speech
LARGEST_KERNEL = (
    1 << 26
)  # taps of torchaudio's resampling, whose number grows with both rates: 2 GiB while they are made
REWRITE = "write it anew, such as by `ffmpeg -i OLD NEW`"


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
    with _opened(path) as audio:
        rate, channels, duration = audio.samplerate, audio.channels, audio.frames / audio.samplerate
        if not (audio.format in ("WAV", "WAVEX") and audio.subtype.startswith("PCM")):
            for _ in _blocks(audio, path):
                pass
        notes = list(_header_notes(audio, path.stat().st_size))
    if duration < shortest:
        why = "".join(f"; {note}" for note in notes)
        raise CorpusError(f"{path}: {duration:.2f} s of audio, shorter than one chunk of {shortest:g} s{why}")
    common = math.gcd(rate, SAMPLE_RATE)
    if rate < SLOWEST or rate * SAMPLE_RATE > LARGEST_KERNEL * common**2:
        raise CorpusError(f"{path}: left out, {rate} Hz cannot be resampled to {SAMPLE_RATE} Hz; convert it")
    if channels > 1:
        notes.append(f"{'stereo' if channels == 2 else f'{channels} channels'}, mixed down to mono")
    if rate != SAMPLE_RATE:
        notes.append(f"resampled from {rate} Hz")
    return duration, tuple(notes)


def decode(path: Path) -> tuple[Floats, int]:
    """Samples (samples, channels), float32, and their rate; CorpusError as for `probe`."""
    with _opened(path) as audio:
        return np.concatenate([np.zeros((0, audio.channels), np.float32), *_blocks(audio, path)]), audio.samplerate


@contextmanager
def _opened(path: Path) -> Iterator[soundfile.SoundFile]:
    try:
        with soundfile.SoundFile(path) as audio:
            if audio.format in ("OGG", "FLAC") and is_chained(path):
                raise CorpusError(f"{path}: several streams in succession, of which only the first is read; {REWRITE}")
            yield audio
    except (OSError, RuntimeError, ValueError) as error:  # soundfile.LibsndfileError is a RuntimeError
        raise CorpusError(f"{path}: unreadable audio ({_first_line(error)})") from None


def _blocks(audio: soundfile.SoundFile, path: Path) -> Iterator[Floats]:
    """All that can be decoded, (samples, channels) at a time; CorpusError if that is not all or not finite."""
    if audio.frames == UNKNOWN:
        raise CorpusError(f"{path}: its header does not say how long it is (written to a pipe?); {REWRITE}")
    done = 0
    try:
        for block in audio.blocks(blocksize=1 << 14, dtype="float32", always_2d=True):
            if not np.isfinite(block).all():
                raise CorpusError(f"{path}: NaN or infinite samples")
            done += len(block)
            yield block
    except RuntimeError as error:
        where, of = done / audio.samplerate, audio.frames / audio.samplerate
        raise CorpusError(
            f"{path}: unreadable audio after {where:.0f} of the {of:.0f} s that its header announces "
            f"({_first_line(error)}); {REWRITE}"
        ) from None


def _header_notes(audio: soundfile.SoundFile, size: int) -> Iterator[str]:
    """What libsndfile's log tells of a WAV file's length that its header gets wrong."""
    for announced, real in re.findall(r"^data : (\d+) \(should be (\d+)\)", audio.extra_info, re.M):
        if int(announced) < STREAMED and int(real):
            whole = audio.frames / audio.samplerate * int(announced) / int(real)
            yield f"cut off: its header announces {whole:.1f} s"
    for position in re.findall(r"Unknown chunk marker .* at position (\d+)\. Exiting", audio.extra_info):
        yield f"its header ends the audio {size - int(position)} bytes before the file ends; {REWRITE}"


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
