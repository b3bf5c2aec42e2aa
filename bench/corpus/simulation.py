"""Conversations simulated from a folder of single-speaker speech, as a corpus folder."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import soundfile

from variants.arrays import Floats
from variants.speech.simulate import conversation, speech_activity

from .folder import AUDIO
from .recording import SAMPLE_RATE, CorpusError
from .writing import new_folder, write_conversation


def find_speakers(folder: Path) -> dict[str, list[Path]]:
    """Audio files by speaker: the first folder below `folder`, else what precedes the first `-` in the name.

    That covers LibriSpeech (speaker/chapter/utterance), a folder per speaker, and LibriSpeech's files in one
    folder. CorpusError if there is no such folder or no audio in it.
    """
    if not folder.is_dir():
        raise CorpusError(f"{folder}: no such folder")
    speakers: dict[str, list[Path]] = {}
    for path in sorted(folder.rglob("*")):
        if path.suffix.lower() in AUDIO and path.is_file() and not path.name.startswith("."):
            below = path.relative_to(folder).parts
            speakers.setdefault(below[0] if len(below) > 1 else path.stem.split("-")[0], []).append(path)
    if not speakers:
        raise CorpusError(f"{folder}: no audio (wav, flac or ogg) in it")
    return speakers


def read_speech(path: Path) -> Floats:
    """One utterance (samples,), mono, 16 kHz; CorpusError if it is unreadable, not finite or silent."""
    try:
        samples, rate = soundfile.read(path, dtype="float32", always_2d=True)
    except (OSError, RuntimeError) as error:
        raise CorpusError(f"{path}: unreadable audio ({str(error).splitlines()[0]})") from None
    if not np.isfinite(samples).all():
        raise CorpusError(f"{path}: NaN or infinite samples")
    speech: Floats = samples.mean(axis=1)
    if rate != SAMPLE_RATE:
        from scipy.signal import resample_poly  # here, because importing it takes a second

        speech = np.asarray(resample_poly(speech, SAMPLE_RATE, rate), dtype=np.float32)
    if not speech_activity(speech, SAMPLE_RATE).any():
        raise CorpusError(f"{path}: no audible speech")
    return speech


def simulate(
    speech: Path,
    out: Path,
    conversations: int = 10,
    duration: float = 60.0,
    speakers: Sequence[int] = (2, 3, 4),
    overlap: float = 0.1,
    seed: int = 0,
    suffix: str = ".flac",
) -> Iterator[str]:
    """Writes `conversations` of `duration` s to `out`, a new or empty folder that appears once all is done.

    Each has a number of speakers drawn from `speakers`; conversation i depends on `seed` and i only. Yields a
    line for each conversation, and for each unusable file. Raises CorpusError for bad input.
    """
    voices = find_speakers(speech)
    if max(speakers) > len(voices):
        raise CorpusError(f"{speech}: has {len(voices)} speakers, {max(speakers)} were asked for")
    faults: dict[Path, str] = {}
    with new_folder(out) as folder:
        for index in range(conversations):
            rng = np.random.default_rng([seed, index])
            chosen = rng.choice(sorted(voices), int(rng.choice(speakers)), replace=False)
            utterances = {}
            for name in chosen:
                utterances[str(name)] = _enough(rng, voices[name], duration, faults)
                if not utterances[str(name)]:
                    raise CorpusError(f"{speech}: speaker {name} has no usable file; {next(iter(faults.values()))}")
            samples, turns = conversation(rng, utterances, duration, SAMPLE_RATE, overlap)
            name = f"simulated-{seed}-{index:03d}"
            write_conversation(folder, name, samples, turns, suffix)
            yield f"{name}: {', '.join(sorted(utterances))}"
    yield from faults.values()


def _enough(rng: np.random.Generator, paths: Sequence[Path], duration: float, faults: dict[Path, str]) -> list[Floats]:
    """Utterances in random order, until there is speech for the whole of a conversation."""
    utterances: list[Floats] = []
    for index in rng.permutation(len(paths)):
        try:
            utterances.append(read_speech(paths[index]))
        except CorpusError as error:
            faults.setdefault(paths[index], f"{error}; left out")
        if sum(map(len, utterances)) >= duration * SAMPLE_RATE:
            break
    return utterances
