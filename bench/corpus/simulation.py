"""Conversations simulated from a folder of single-speaker speech, as a corpus folder."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from variants.arrays import Floats
from variants.speech.simulate import conversation, speech_activity

from .recording import AUDIO, SAMPLE_RATE, CorpusError, decode
from .walk import walk
from .writing import new_folder, write_conversation


def find_speakers(folder: Path) -> tuple[dict[str, list[Path]], list[str]]:
    """Audio files by speaker, the first folder below `folder`, else what precedes the first `-` in the name.

    That covers LibriSpeech (speaker/chapter/utterance), a folder per speaker, and LibriSpeech's files in one
    folder. White space in names becomes `_`, as RTTM has none. Also a line for each file left out. CorpusError
    if there is no such folder, no audio in it, or two speakers with one name.
    """
    if not folder.is_dir():
        raise CorpusError(f"{folder}: no such folder")
    speakers: dict[str, list[Path]] = {}
    spelt: dict[str, str] = {}
    found, problems = walk(folder, AUDIO)
    for path in found:
        below = path.relative_to(folder).parts
        name = below[0] if len(below) > 1 else path.stem.split("-")[0]
        speaker = "_".join(name.split())
        if spelt.setdefault(speaker, name) != name:
            raise CorpusError(f"{folder}: {spelt[speaker]!r} and {name!r} would both be {speaker} in RTTM; rename one")
        speakers.setdefault(speaker, []).append(path)
    if not speakers:
        raise CorpusError("; ".join([f"{folder}: no audio (wav, flac or ogg) in it", *problems]))
    return speakers, problems


def read_speech(path: Path) -> Floats:
    """One utterance (samples,), mono, 16 kHz; CorpusError if it is unreadable, not finite or silent."""
    samples, rate = decode(path)
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
    voices, problems = find_speakers(speech)
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
    yield from (*problems, *faults.values())


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
