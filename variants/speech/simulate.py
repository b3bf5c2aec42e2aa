"""Conversations simulated from single-speaker speech: turn-taking with overlaps, mixed in a noisy room.

Everything random comes from the `numpy.random.Generator` that is passed in, so a seed fixes every sample.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.ndimage import binary_opening

from variants.arrays import Bools, Doubles, Floats

from .acoustics import noise, room_response

FRAMES_PER_SECOND = 100  # labels live on a grid of 10 ms
PAUSE = 0.3  # a silence of one speaker longer than this (seconds) ends a turn
FADE = 0.005  # seconds of fade where an utterance is cut


@dataclass(frozen=True)
class Turn:
    """`speaker` sounds from `start` to `end` (seconds)."""

    speaker: str
    start: float
    end: float


def _level(waveform: Floats, sample_rate: int) -> Doubles:
    """Level of each 10 ms frame in dB, averaged over three frames."""
    hop = sample_rate // FRAMES_PER_SECOND
    frames = waveform[: len(waveform) // hop * hop].reshape(-1, hop).astype(np.float64)
    power = np.convolve(np.mean(frames**2, axis=1), np.ones(3) / 3, mode="same")[: len(frames)]
    return np.asarray(10 * np.log10(power + 1e-12))


def speech_activity(waveform: Floats, sample_rate: int = 16000) -> Bools:
    """Where clean speech sounds: one bool per whole 10 ms frame of `waveform` (samples,).

    Threshold 35 dB below loud speech, at least 8 dB above the noise floor; hangover 30 ms before and 60 ms
    after; sounds shorter than 50 ms (clicks) do not count.
    """
    hop = sample_rate // FRAMES_PER_SECOND
    if len(waveform) < hop or np.abs(waveform).max() < 1e-5:
        return np.zeros(len(waveform) // hop, dtype=bool)
    level = _level(waveform, sample_rate)
    loud = np.percentile(level, 95)
    threshold = max(loud - 35, min(np.percentile(level, 2) + 8, loud - 20))
    above = binary_opening(level > threshold, np.ones(5))
    return np.convolve(above, np.ones(10), mode="full")[3 : 3 + len(above)] > 0.5


def _runs(active: Bools) -> list[tuple[int, int]]:
    """[first, end) of each run of True, bridging pauses of at most PAUSE."""
    edges = np.flatnonzero(np.diff(np.concatenate(([0], active.astype(np.int8), [0]))))
    runs: list[tuple[int, int]] = []
    for first, end in zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True):
        if runs and first - runs[-1][1] <= PAUSE * FRAMES_PER_SECOND:
            first = runs.pop()[0]
        runs.append((first, end))
    return runs


def _whole_words(active: Bools, cut: int, shortest: int = 15) -> int:
    """`cut` moved to the edge of the word that it falls in, where it would leave a mere scrap of it."""
    right = int(np.argmin(np.append(active[cut:], False)))
    left = int(np.argmin(np.append(active[:cut][::-1], False)))
    return cut + right if right < shortest else cut - left if left < shortest else cut


class _Voice:
    """The utterances of one speaker in random order, handed out piece by piece, for ever."""

    def __init__(self, rng: np.random.Generator, utterances: Sequence[Floats], sample_rate: int) -> None:
        self.rng, self.utterances, self.sample_rate = rng, utterances, sample_rate
        self.left, self.source = (np.zeros(0, np.float32), np.zeros(0), np.zeros(0, bool)), self._endless()

    def _endless(self) -> Iterator[tuple[Floats, Doubles, Bools]]:
        while True:
            voiced = False
            for index in self.rng.permutation(len(self.utterances)):
                waveform = np.asarray(self.utterances[index], dtype=np.float32)
                active = speech_activity(waveform, self.sample_rate)
                if active.any():
                    voiced = True
                    speech = waveform[: len(active) * (hop := self.sample_rate // FRAMES_PER_SECOND)]
                    rms = np.sqrt(np.mean(speech[np.repeat(active, hop)].astype(np.float64) ** 2))
                    level = np.where(active, _level(speech, self.sample_rate), -np.inf)  # best cut in a pause
                    yield (speech / rms).astype(np.float32), level, active
            if not voiced:
                raise ValueError("a speaker without speech: no utterance has any audible part")

    def piece(self, seconds: float) -> tuple[Floats, Bools]:
        """About `seconds` of speech (less where an utterance ends) cut at a pause: samples, active frames."""
        hop = self.sample_rate // FRAMES_PER_SECOND
        if self.left[2].sum() < 30:  # no crumbs
            self.left = next(self.source)
        waveform, level, active = self.left
        first, wanted = int(np.argmax(active)), int(seconds * FRAMES_PER_SECOND)
        end = len(active)
        if first + 1.2 * wanted < end:
            low = first + max(int(0.6 * wanted), 1)
            end = _whole_words(active, low + int(np.argmin(level[low : first + int(1.2 * wanted)])) + 1)
            end = end if active[end:].sum() >= 30 else len(active)  # no crumbs
        self.left = (waveform[end * hop :], level[end:], active[end:])
        last = first + int(np.flatnonzero(active[first:end])[-1]) + 1
        samples, fade = waveform[first * hop : last * hop].copy(), int(FADE * self.sample_rate)
        ramp = np.linspace(0, 1, fade, dtype=np.float32)
        samples[:fade] *= ramp
        samples[-fade:] *= ramp[::-1]
        return samples, active[first:last]


def dry_tracks(
    rng: np.random.Generator,
    utterances: Mapping[str, Sequence[Floats]],
    duration: float,
    sample_rate: int = 16000,
    overlap: float = 0.1,
) -> tuple[dict[str, Floats], list[Turn]]:
    """One track of dry speech (samples,) per speaker, unit RMS where active, and the turns that they hold.

    Turns last about 0.5 to 8 s; gaps are exponential (mean 0.4 s); while less than `overlap` of the speech so
    far is overlapped, the next turn mostly starts before the last one ends or is a short back-channel in it.
    Raises ValueError for a speaker without audible speech.
    """
    hop, frames, names = sample_rate // FRAMES_PER_SECOND, int(duration * FRAMES_PER_SECOND), list(utterances)
    tracks = {name: np.zeros(int(duration * sample_rate), dtype=np.float32) for name in names}
    active = {name: np.zeros(frames, dtype=bool) for name in names}
    voices = {name: _Voice(rng, utterances[name], sample_rate) for name in names}
    ended = dict.fromkeys(names, 0)
    waiting = [names[index] for index in rng.permutation(len(names))]  # everybody speaks once, then at random
    share = dict(zip(names, rng.dirichlet(np.full(len(names), 6.0)), strict=True)) if names else {}
    holder, since, until = None, 0, int(rng.uniform(0, 1) * FRAMES_PER_SECOND)  # who has the floor, frames
    while names and until < frames:
        others = [name for name in names if name != holder]
        if waiting:
            speaker = waiting.pop()
        elif others and rng.random() < 0.85:
            spoken = sum(track.sum() for track in active.values())
            lag = [max(share[name] - active[name].sum() / spoken, 0.05) for name in others]
            speaker = others[rng.choice(len(others), p=np.divide(lag, sum(lag)))]
        else:
            speaker = holder or names[0]
        speaking = np.sum([track[:until] for track in active.values()], axis=0)
        lacking = np.count_nonzero(speaking > 1) < overlap * np.count_nonzero(speaking)
        over = holder not in (None, speaker) and lacking and rng.random() < 0.8
        back_channel = over and rng.random() < 0.3 and until - since > 150
        length = rng.uniform(0.4, 0.9) if back_channel else np.clip(rng.lognormal(np.log(2.5), 0.7), 0.5, 6.6)
        samples, sounding = voices[speaker].piece(float(length))
        if back_channel:
            start = rng.integers(since + 30, max(until - len(sounding), since + 31))
        elif over:
            start = until - int(rng.uniform(0.15, 0.8) * min(until - since, len(sounding)))
        else:
            start = until + int(rng.exponential(0.4 if speaker != holder else 0.8) * FRAMES_PER_SECOND)
        start = max(int(start), ended[speaker] + 31 * (ended[speaker] > 0))  # beyond PAUSE: its own turn
        if frames - start < 30:  # the end is near: nobody begins another turn
            break
        sounding = sounding[: frames - start]
        end = start + len(sounding)
        tracks[speaker][start * hop : end * hop] = samples[: len(sounding) * hop]
        active[speaker][start:end] = sounding
        ended[speaker] = end
        if not (back_channel and end <= until):
            holder, since, until = speaker, start, max(end, start + 1)
    turns = [
        Turn(name, first / FRAMES_PER_SECOND, end / FRAMES_PER_SECOND)
        for name in names
        for first, end in _runs(active[name])
    ]
    return tracks, sorted(turns, key=lambda turn: (turn.start, turn.end, turn.speaker))


def conversation(
    rng: np.random.Generator,
    utterances: Mapping[str, Sequence[Floats]],
    duration: float,
    sample_rate: int = 16000,
    overlap: float = 0.1,
    snr: tuple[float, float] = (10.0, 30.0),
    level: float = 4.0,
) -> tuple[Floats, list[Turn]]:
    """A conversation (samples,) float32 of `duration` s between the speakers of `utterances`, and its turns.

    All share one room (RT60) at different positions, speak within +-`level` dB of each other, and noise lies
    `snr` dB (drawn between the two) below them; the peak is between -12 and -1 dBFS. The turns are those of
    `dry_tracks`. An empty mapping gives noise alone; a speaker without audible speech raises ValueError.
    """
    from scipy.signal import oaconvolve  # here, because importing it takes a second

    tracks, turns = dry_tracks(rng, utterances, duration, sample_rate, overlap)
    rt60, samples = rng.uniform(0.1, 0.6), int(duration * sample_rate)
    mixed = noise(rng, samples, sample_rate) * 10 ** (-rng.uniform(*snr) / 20)
    for track in tracks.values():
        response = room_response(rng, sample_rate, rt60) * 10 ** (rng.uniform(-level, level) / 20)
        mixed += oaconvolve(track, response)[:samples]
    peak = 10 ** (-rng.uniform(1, 12) / 20)
    return (mixed * (peak / np.abs(mixed).max())).astype(np.float32), turns
