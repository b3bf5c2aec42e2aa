"""What a corpus holds: a table of its recordings and one of its speakers, measured on audio and reference."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import soundfile

from variants.arrays import Bools, Floats

from .recording import Recording

FRAME = 0.04  # seconds of one pitch estimate


def activity(recording: Recording) -> tuple[list[str], Bools]:
    """Speakers, and who speaks in each 10 ms frame: bool (frames, speakers); needs a reference."""
    assert recording.reference is not None
    speakers = sorted(map(str, recording.reference.labels()))
    active = np.zeros((round(recording.duration * 100), len(speakers)), dtype=bool)
    for segment, _, label in recording.reference.itertracks(yield_label=True):
        active[round(segment.start * 100) : round(segment.end * 100), speakers.index(str(label))] = True
    return speakers, active


def overlap_share(recording: Recording) -> float:
    """Time with two or more speakers over time with at least one."""
    talking = activity(recording)[1].sum(axis=1)
    return float(np.count_nonzero(talking > 1) / max(np.count_nonzero(talking), 1))


def recording_table(recordings: Sequence[Recording]) -> str:
    """One line per recording, in Markdown."""
    rows = [
        "| recording | seconds | speakers | turns | speech % | overlap % |",
        "|---|---:|---|---:|---:|---:|",
    ]
    for recording in recordings:
        if recording.reference is None:
            rows.append(f"| {_cell(recording.name)} | {recording.duration:.1f} | no reference | | | |")
            continue
        speakers, active = activity(recording)
        turns, speech = len(recording.reference), 100 * active.any(axis=1).mean()
        rows.append(
            f"| {_cell(recording.name)} | {recording.duration:.1f} | {len(speakers)} ({_cell(', '.join(speakers))}) "
            f"| {turns} | {speech:.0f} | {100 * overlap_share(recording):.1f} |"
        )
    return "\n".join(rows)


def voice_table(recordings: Sequence[Recording]) -> str:
    """One line per speaker, in Markdown: median pitch and mean spectral centroid where nobody else speaks."""
    alone: dict[str, list[Floats]] = {}
    for recording in recordings:
        if recording.reference is None:
            continue
        samples, rate = soundfile.read(recording.path, dtype="float32", always_2d=True)
        hop, (speakers, active) = rate // 100, activity(recording)
        frames = samples.mean(axis=1)[: len(samples) // hop * hop].reshape(-1, hop)[: len(active)]
        only = active[: len(frames)] & (active[: len(frames)].sum(axis=1) == 1)[:, None]
        for index, speaker in enumerate(speakers):
            alone.setdefault(speaker, []).append(_resampled(frames[only[:, index]].ravel(), rate))
    rows = ["| speaker | seconds alone | pitch (Hz) | centroid (Hz) |", "|---|---:|---:|---:|"]
    for speaker, parts in sorted(alone.items()):
        voice = np.concatenate(parts)
        rows.append(f"| {_cell(speaker)} | {len(voice) / 16000:.0f} | {pitch(voice):.0f} | {centroid(voice):.0f} |")
    return "\n".join(rows)


def pitch(samples: Floats, rate: int = 16000) -> float:
    """Median fundamental frequency (Hz) of the voiced frames, by autocorrelation between 60 and 400 Hz."""
    size = int(FRAME * rate)
    frames = samples[: len(samples) // size * size].reshape(-1, size).astype(np.float64)
    frames = frames - frames.mean(axis=1, keepdims=True)
    spectrum = np.fft.rfft(frames, 2 * size)
    correlation = np.fft.irfft(np.abs(spectrum) ** 2)[:, :size]
    low, high = rate // 400, rate // 60
    best = low + correlation[:, low:high].argmax(axis=1)
    strength = correlation[np.arange(len(best)), best] / np.maximum(correlation[:, 0], 1e-12)
    voiced = (strength > 0.5) & (correlation[:, 0] > 0.1 * np.percentile(correlation[:, 0], 90))
    return float(np.median(rate / best[voiced])) if voiced.any() else float("nan")


def centroid(samples: Floats, rate: int = 16000) -> float:
    """Mean frequency (Hz) of the power spectrum."""
    power = np.abs(np.fft.rfft(samples)) ** 2
    return float(np.sum(power * np.fft.rfftfreq(len(samples), 1 / rate)) / max(power.sum(), 1e-12))


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def _resampled(samples: Floats, rate: int) -> Floats:
    if rate == 16000:
        return samples
    from scipy.signal import resample_poly  # here, because importing it takes a second

    return np.asarray(resample_poly(samples, 16000, rate), dtype=np.float32)
