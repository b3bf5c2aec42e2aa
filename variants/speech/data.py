"""Speech from files: folders of speech, conversations with RTTM, pyannote.database protocols."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import gcd
from pathlib import Path

import numpy as np
import soundfile
from scipy.signal import resample_poly

from variants.arrays import Floats
from variants.errors import UserError

from .simulate import Turn

SAMPLE_RATE = 16000
AUDIO_SUFFIXES = {".flac", ".wav", ".ogg", ".opus", ".mp3"}


class DataError(UserError):
    """The data given is missing, empty or unusable; the message says where and what to do."""


@dataclass(frozen=True)
class Clip:
    """A stretch of an audio file, `start` to `end` in seconds (to its end where None)."""

    path: Path
    start: float = 0.0
    end: float | None = None

    def read(self) -> Floats:
        """Mono samples at 16 kHz, float32 (samples,)."""
        try:
            with soundfile.SoundFile(self.path) as file:
                rate = file.samplerate
                file.seek(min(int(self.start * rate), file.frames))
                count = -1 if self.end is None else int((self.end - self.start) * rate)
                samples: Floats = file.read(count, dtype="float32", always_2d=True).mean(axis=1)
        except (soundfile.LibsndfileError, OSError) as error:
            raise DataError(f"{self.path}: cannot be read as audio ({error})") from None
        common = gcd(rate, SAMPLE_RATE)
        if rate == SAMPLE_RATE:
            return samples
        return np.asarray(resample_poly(samples, SAMPLE_RATE // common, rate // common), np.float32)


@dataclass(frozen=True)
class Conversation:
    """A recording of several speakers and who speaks when."""

    name: str
    audio: Clip
    turns: tuple[Turn, ...]


Speech = Mapping[str, Sequence[Clip]]  # speaker -> utterances


def _audio_files(folder: Path) -> list[Path]:
    if not folder.is_dir():
        raise DataError(f"{folder}: no such folder; give one that holds audio files")
    return sorted(path for path in folder.rglob("*") if path.suffix.lower() in AUDIO_SUFFIXES)


def read_speech(*folders: Path) -> dict[str, list[Clip]]:
    """Utterances of each speaker below `folders`; one of the same name in several is the same.

    The speaker is the start of a LibriSpeech file name (`103-1240-0000.flac`), wherever it lies, else the
    name of the first folder below that given, else the file name up to its first `-`.
    """
    speech: dict[str, list[Clip]] = defaultdict(list)
    for folder in folders:
        if not (paths := _audio_files(folder)):
            raise DataError(f"{folder}: no audio; expected SPEAKER/**/*.flac or files named SPEAKER-*.flac")
        for path in paths:
            parts = path.relative_to(folder).parts
            librispeech = re.fullmatch(r"(\d+)-\d+-\d+", path.stem)
            speaker = librispeech[1] if librispeech else parts[0] if len(parts) > 1 else path.stem.split("-")[0]
            speech[speaker].append(Clip(path))
    return dict(speech)


def read_rttm(path: Path) -> dict[str, list[Turn]]:
    """Turns of each recording that an RTTM file names."""
    turns: dict[str, list[Turn]] = defaultdict(list)
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        fields = line.split()
        if not fields or fields[0] != "SPEAKER":
            continue
        try:
            start, duration, speaker = float(fields[3]), float(fields[4]), fields[7]
        except (IndexError, ValueError):
            raise DataError(f"{path}:{number}: not an RTTM line: {line[:60]!r}") from None
        turns[fields[1]].append(Turn(speaker, start, start + duration))
    return dict(turns)


def read_conversations(folder: Path) -> list[Conversation]:
    """Every audio file below `folder` that has an RTTM of the same stem beside it."""
    conversations = []
    for path in _audio_files(folder):
        if path.with_suffix(".rttm").exists():
            turns = read_rttm(path.with_suffix(".rttm"))
            conversations.append(Conversation(path.stem, Clip(path), tuple(turns.get(path.stem, ()))))
    if not conversations:
        raise DataError(f"{folder}: no audio file with an .rttm of the same name beside it")
    return conversations


def read_protocol(name: str, subset: str = "train") -> list[Conversation]:
    """One subset of a `pyannote.database` protocol, e.g. `AMI.SpeakerDiarization.only_words`."""
    try:
        from pyannote.database import FileFinder, registry
    except ImportError:
        raise DataError("--protocol needs the package pyannote.database: pip install pyannote.database") from None
    try:
        protocol = registry.get_protocol(name, preprocessors={"audio": FileFinder()})
        files = list(getattr(protocol, subset)())
    except Exception as error:  # whatever a database plug-in or its configuration raises
        raise DataError(f"protocol {name}: {error}; is it in your database.yml?") from None
    return [
        Conversation(
            file["uri"],
            Clip(Path(file["audio"])),
            tuple(
                Turn(str(speaker), segment.start, segment.end)
                for segment, _, speaker in file["annotation"].itertracks(yield_label=True)
            ),
        )
        for file in files
    ]


def single_speaker_speech(conversations: Iterable[Conversation], shortest: float = 2.0) -> dict[str, list[Clip]]:
    """Turns of at least `shortest` seconds in which nobody else speaks, as utterances of their speakers."""
    speech: dict[str, list[Clip]] = defaultdict(list)
    for conversation in conversations:
        for turn in conversation.turns:
            others = (other for other in conversation.turns if other.speaker != turn.speaker)
            alone = all(other.end <= turn.start or other.start >= turn.end for other in others)
            if alone and turn.end - turn.start >= shortest:
                speech[turn.speaker].append(Clip(conversation.audio.path, turn.start, turn.end))
    return dict(speech)


def hold_out(speech: Speech, speakers: int, seed: int) -> tuple[Speech, Speech]:
    """Speech of the speakers to train on, and of `speakers` others for choosing checkpoints."""
    if len(speech) < speakers + 2:
        raise DataError(f"{len(speech)} speakers are too few: hold out {speakers} and train on at least 2")
    names = sorted(speech)
    held = {names[index] for index in np.random.default_rng(seed).permutation(len(names))[:speakers]}
    return ({n: speech[n] for n in names if n not in held}, {n: speech[n] for n in names if n in held})
