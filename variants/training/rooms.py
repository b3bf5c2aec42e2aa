"""Rooms, noise and microphones for a batch of waveforms on any device; `variants.speech.acoustics`, row by row."""

from __future__ import annotations

import numpy as np
import torch
from scipy.fft import next_fast_len
from torch import Tensor

from variants.speech.acoustics import room_response
from variants.speech.data import SAMPLE_RATE


def room_responses(count: int, seed: int) -> Tensor:
    """(count, samples) of rooms drawn from `seed`, each of unit energy, padded with zeros."""
    rooms = [torch.from_numpy(room_response(np.random.default_rng([seed, number]))) for number in range(count)]
    return torch.nn.utils.rnn.pad_sequence(rooms, batch_first=True)


def _between(rows: Tensor, low: float, high: float) -> Tensor:
    """(rows, 1) drawn evenly, by torch's own generator of the device."""
    return low + (high - low) * torch.rand(len(rows), 1, device=rows.device)


def _power(waveforms: Tensor) -> Tensor:
    return waveforms.square().mean(dim=1, keepdim=True) + 1e-12


def augment(waveforms: Tensor, rooms: Tensor) -> Tensor:
    """Waveforms (rows, samples) in a room (60 %), in coloured noise and through a microphone, some a telephone (10 %).

    Signal to noise 5 to 25 dB, in 30 % of the rows 25 to 40; its power falls by 0 to 6 dB per octave; the microphone's
    tilt is -3 to +3 dB per octave. Each row keeps its power.
    """
    samples, size = waveforms.shape[1], next_fast_len(waveforms.shape[1] + rooms.shape[1] - 1, real=True)
    hertz = torch.fft.rfftfreq(size, 1 / SAMPLE_RATE, device=waveforms.device)
    room = rooms[torch.randint(len(rooms), (len(waveforms),), device=rooms.device)]
    wet = torch.fft.irfft(torch.fft.rfft(waveforms, size) * torch.fft.rfft(room, size), size)[:, :samples]
    heard = torch.where(_between(waveforms, 0, 1) < 0.6, wet, waveforms)
    white = torch.fft.rfft(torch.randn(len(waveforms), size, device=waveforms.device))
    noise = torch.fft.irfft(white * hertz.clamp(min=50) ** -_between(waveforms, 0, 1), size)[:, :samples]
    quiet = _between(waveforms, 0, 1) < 0.3
    snr = torch.where(quiet, _between(waveforms, 25, 40), _between(waveforms, 5, 25))
    noisy = heard + noise * (_power(heard) / _power(noise)).sqrt() * 10 ** (-snr / 20)
    tilt = 10 ** (_between(waveforms, -3, 3) * (hertz.clamp(min=60) / 1000).log2() / 20)
    cutoff = torch.where(_between(waveforms, 0, 1) < 0.1, _between(waveforms, 3300, 4200), SAMPLE_RATE)
    band = torch.sigmoid((cutoff - hertz) / 60)
    filtered = torch.fft.irfft(torch.fft.rfft(noisy, size) * tilt * band, size)[:, :samples]
    kept: Tensor = filtered * (_power(waveforms) / _power(filtered)).sqrt()
    return kept
