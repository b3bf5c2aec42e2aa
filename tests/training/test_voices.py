"""Virtual voices keep what they should, the bank holds what the teacher said of them, rooms and noise are as told."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from variants.speech.data import read_speech
from variants.training import rooms, voices

RATE = 16000


class Loudest(nn.Module):
    """A teacher whose embedding is the energy in eight bands of 1 kHz; `heard` counts the rows."""

    def __init__(self) -> None:
        super().__init__()
        self.anything, self.heard = nn.Parameter(torch.zeros(1)), 0

    def forward(self, waveforms: Tensor) -> Tensor:
        self.heard += len(waveforms)
        power = torch.fft.rfft(waveforms[:, 0]).abs().square()[:, : voices.SAMPLES // 2]
        return power.unflatten(1, (8, -1)).sum(dim=2)


def harmonics(pitch: float, formant: float, seconds: float = 1.0) -> Tensor:
    time = np.arange(int(seconds * RATE)) / RATE
    numbers = np.arange(1, int(7000 / pitch))
    gains = np.exp(-(((numbers * pitch - formant) / 500) ** 2)) + 1e-3
    return torch.from_numpy((gains[:, None] * np.sin(2 * np.pi * pitch * numbers[:, None] * time)).sum(0)).float()


@pytest.mark.parametrize("factor", [0.86, 1.16])
def test_the_envelope_moves_and_the_pitch_stays(factor: float) -> None:
    waveform = voices.levelled(harmonics(200, 2000)[None])
    moved = voices.stretch_envelope(waveform, torch.tensor([factor]))[0]
    power = torch.fft.rfft(moved[2000:14000]).abs().square()
    hertz = torch.fft.rfftfreq(12000, 1 / RATE)
    assert float((power * hertz).sum() / power.sum()) == pytest.approx(2000 * factor, abs=80)
    near = ((hertz + 100) % 200 - 100).abs() < 5
    assert float(power[near].sum() / power.sum()) > 0.95


def test_an_envelope_stretched_by_nothing_is_the_same() -> None:
    waveform = voices.levelled(harmonics(150, 1200)[None])
    torch.testing.assert_close(voices.stretch_envelope(waveform, torch.ones(1)), waveform, atol=1e-5, rtol=0)


def test_crops_are_stretches_of_their_speaker_at_their_speed(speech_folder: Path) -> None:
    source = voices.VoiceCrops(read_speech(speech_folder), 6, seed=1)
    assert (len(source), source.classes) == (16, 8 * 11)
    for item in (0, 15):
        crops, classes = source[item]
        assert crops.shape == (6, voices.SAMPLES) and set(classes // 11) == {item // 2}
        assert (crops == source[item][0]).all() and len({tuple(crop[:5]) for crop in crops}) == 6
        whole = source.items[item][1].read()
        slower = voices.change_speed(whole, voices.SPEEDS[classes[0] % 11])
        spectra = [np.abs(np.fft.rfft(x, 2 * len(slower)))[: len(slower)] for x in (crops[0], slower)]
        assert np.corrcoef(*(np.convolve(s, np.ones(200), "same") for s in spectra))[0, 1] > 0.9


def test_the_bank_is_made_once_and_holds_what_the_teacher_said(speech_folder: Path, tmp_path: Path) -> None:
    teacher, source = Loudest(), voices.VoiceCrops(read_speech(speech_folder), 3, seed=2)

    def made(mixing: float = 0.4) -> voices.Bank:
        return voices.bank(tmp_path, {"teacher": "a"}, source, teacher, mixing, workers=0)

    bank = made()
    assert len(bank) == teacher.heard == 48 and list(bank.labels) == list(range(48))
    for item in (0, 47):
        crop = torch.from_numpy(bank.crop(np.random.default_rng(0), item, voices.SAMPLES))
        assert float(crop.square().mean().sqrt()) == pytest.approx(voices.LEVEL, rel=1e-2)
        expected = nn.functional.normalize(Loudest()(crop[None, :, 0][:, None]))[0]
        torch.testing.assert_close(torch.from_numpy(bank.targets[item]), expected, atol=1e-3, rtol=0)
    part = bank.crop(np.random.default_rng(3), 5, 1000)
    first = np.random.default_rng(3).integers(voices.SAMPLES - 999)
    assert part.dtype == np.float32 and (part[:, 0] == bank.waveforms[5, first : first + 1000]).all()
    single = bank.classes != voices.MIXED
    assert 0.4 < single.mean() < 0.8 and (bank.classes[single] // 11 == (np.arange(48) // 6)[single]).all()
    again = made()
    assert teacher.heard == 48 and (again.targets == bank.targets).all() and (again.waveforms == bank.waveforms).all()
    assert (made(mixing=0.0).classes >= 0).all() and teacher.heard == 96
    assert len(list(tmp_path.iterdir())) == 4  # nothing half made is left


def test_mixtures_hold_both_voices() -> None:
    low, high = (voices.levelled(harmonics(200, formant, 5)[None]) for formant in (1500, 5500))
    mixed, which = voices.make_voices(low.repeat(200, 1), high, 0.25, torch.Generator().manual_seed(0))
    energies = Loudest()(mixed[:, None])
    ratio = 10 * torch.log10(energies[:, 4:].sum(dim=1) / energies[:, :4].sum(dim=1))
    assert (ratio.abs() < 3.2)[which].all() and (ratio < -10)[~which].all() and 30 < which.sum() < 70


def test_half_of_the_voices_have_another_envelope() -> None:
    waveforms = voices.levelled(harmonics(200, 2000)[None]).repeat(300, 1)
    made, mixed = voices.make_voices(waveforms, waveforms, 0.0, torch.Generator().manual_seed(0))
    power = torch.fft.rfft(made).abs().square()
    centres = (power * torch.arange(power.shape[1])).sum(dim=1) / power.sum(dim=1)
    moved = (made - waveforms).abs().amax(dim=1) > 1e-3
    assert 120 < moved.sum() < 180 and not mixed.any()
    assert centres[~moved].std() < 1 and 1700 < centres.min() < 1850 and 2150 < centres.max() < 2400


def heard(change: Callable[[float, float], tuple[float, float]], monkeypatch: pytest.MonkeyPatch) -> Tensor:
    """A unit impulse train, 2 s, augmented with all draws at what `change` makes of (lowest, highest)."""
    monkeypatch.setattr(rooms, "_between", lambda rows, low, high: torch.full((len(rows), 1), change(low, high)[0]))
    torch.manual_seed(0)
    signal = torch.zeros(4, 2 * RATE)
    signal[:, ::800] = 1.0
    return rooms.augment(signal, torch.nn.functional.pad(torch.ones(1, 1), (0, 99)))


def test_rooms_are_of_unit_energy_and_differ() -> None:
    drawn = rooms.room_responses(5, seed=1)
    assert drawn.square().sum(dim=1).tolist() == pytest.approx([1.0] * 5, rel=1e-4)
    assert (drawn[:, 0] > 0.1).all() and len({float(room[400]) for room in drawn}) == 5
    assert torch.equal(drawn, rooms.room_responses(5, seed=1)) and not torch.equal(drawn, rooms.room_responses(5, 2))


def test_noise_is_as_loud_as_told_and_the_power_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    draws = {(5, 25): 10.0, (-3, 3): 0.0}
    found = heard(lambda low, high: (draws.get((low, high), high), 0), monkeypatch)
    clean = torch.zeros(2 * RATE)
    clean[::800] = 1.0
    assert float(found[0].square().mean()) == pytest.approx(1 / 800, rel=1e-4)
    gain = (found[0] @ clean) / clean.square().sum()
    noise = found[0] - gain * clean
    assert 10 * torch.log10((gain * clean).square().mean() / noise.square().mean()) == pytest.approx(10, abs=0.3)


@pytest.mark.parametrize(("tilt", "expected"), [(3.0, 3.0), (-3.0, -3.0)])
def test_tilt_is_in_decibels_per_octave(tilt: float, expected: float, monkeypatch: pytest.MonkeyPatch) -> None:
    draws = {(5, 25): 90.0, (-3, 3): tilt}
    found = heard(lambda low, high: (draws.get((low, high), high), 0), monkeypatch)
    power = torch.fft.rfft(found[0]).abs().square()
    hertz = torch.fft.rfftfreq(2 * RATE, 1 / RATE)
    one, two = (power[(hertz > low) & (hertz < low + 200)].sum() for low in (1000, 2100))
    assert 10 * torch.log10(two / one) == pytest.approx(expected, abs=0.4)


def test_a_telephone_has_no_high_tones(monkeypatch: pytest.MonkeyPatch) -> None:
    draws = {(5, 25): 90.0, (-3, 3): 0.0}
    found = heard(lambda low, high: (draws.get((low, high), low), 0), monkeypatch)
    power = torch.fft.rfft(found[0]).abs().square()
    assert power[2 * 4300 :].sum() < 5e-3 * power.sum()  # of 46 %
