"""Rooms, noise and microphones, synthetic (numpy and scipy only); the generator passed in fixes every sample."""

from __future__ import annotations

import numpy as np
from scipy.fft import irfft, next_fast_len, rfft, rfftfreq

from variants.arrays import Floats


def room_response(rng: np.random.Generator, sample_rate: int = 16000, rt60: float | None = None) -> Floats:
    """Synthetic room impulse response, unit energy, direct path at sample 0; `rt60` (s) is drawn if None.

    Direct path, 4 to 9 early reflections within 40 ms, Gaussian tail falling by 60 dB in `rt60`;
    direct-to-reverberant ratio of 0 to 15 dB (a new microphone distance with every call).
    """
    rt60 = rng.uniform(0.1, 0.6) if rt60 is None else rt60
    time = np.arange(int(0.75 * rt60 * sample_rate)) / sample_rate  # to -45 dB
    decay = 10 ** (-3 * time / rt60)
    reverberant = rng.standard_normal(len(time)) * decay * np.minimum(time / 0.02, 1)
    reverberant *= 0.7 / np.linalg.norm(reverberant)
    early = rng.integers(sample_rate // 1000, min(len(time), sample_rate // 25), rng.integers(4, 10))
    reflections = np.zeros_like(reverberant)
    np.add.at(reflections, early, rng.choice([-1, 1], len(early)) * decay[early])
    reverberant += 0.7 * reflections / np.linalg.norm(reflections)
    reverberant[: sample_rate // 1000] = 0
    response = reverberant * 10 ** (-rng.uniform(0, 15) / 20) / np.linalg.norm(reverberant)
    response[0] = 1.0
    return np.asarray(response / np.linalg.norm(response), np.float32)


def noise(rng: np.random.Generator, samples: int, sample_rate: int = 16000) -> Floats:
    """Background noise (samples,), unit RMS: power falls by 0 to 6 dB per octave, level drifts by about 3 dB."""
    size = next_fast_len(samples, real=True)
    spectrum = rfft(rng.standard_normal(size).astype(np.float32))
    frequency = np.maximum(rfftfreq(size, 1 / sample_rate), 50.0)
    coloured = irfft(spectrum * frequency ** -rng.uniform(0, 1), size)[:samples]
    seconds = np.arange(samples) / sample_rate
    knots = np.arange(int(samples / sample_rate) + 2)
    drift = np.interp(seconds, knots, rng.normal(0, 3, len(knots)))
    modulated = coloured * 10 ** (drift / 20)
    return np.asarray(modulated / np.sqrt(np.mean(modulated**2)), np.float32)


def spectral_tilt(rng: np.random.Generator, waveform: Floats, sample_rate: int = 16000) -> Floats:
    """`waveform` (samples,) with -3 to +3 dB more per octave, its RMS unchanged: another microphone."""
    size = next_fast_len(len(waveform), real=True)
    octaves = np.log2(np.maximum(rfftfreq(size, 1 / sample_rate), 60.0) / 1000)
    tilted = irfft(rfft(waveform, size) * 10 ** (rng.uniform(-3, 3) * octaves / 20), size)[: len(waveform)]
    scale = np.sqrt(np.mean(np.square(waveform)) / max(np.mean(tilted**2), 1e-20))
    return np.asarray(tilted * scale, np.float32)
