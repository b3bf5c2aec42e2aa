"""Simulated conversations have exactly the turns that they claim; rooms and noise are what they say."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.signal import butter, sosfiltfilt

from variants.speech.acoustics import noise, room_response, spectral_tilt
from variants.speech.simulate import Turn, conversation, dry_tracks, speech_activity

RATE = 16000


def mask(turns: list[Turn], speaker: str, samples: int) -> np.ndarray:
    """True where the turns say that `speaker` sounds."""
    inside = np.zeros(samples, dtype=bool)
    for turn in turns:
        if turn.speaker == speaker:
            inside[round(turn.start * RATE) : round(turn.end * RATE)] = True
    return inside


def overlap(turns: list[Turn], duration: float) -> float:
    """Overlapped over spoken time, on a grid of 10 ms."""
    count = sum(mask(turns, name, int(duration * RATE))[::160].astype(int) for name in {t.speaker for t in turns})
    return float((count > 1).sum() / (count > 0).sum())


def test_activity_of_a_tone_between_silences_is_the_tone_and_its_hangover() -> None:
    tone = np.zeros(3 * RATE, dtype=np.float32)
    tone[RATE : 2 * RATE] = np.sin(2 * np.pi * 440 * np.arange(RATE) / RATE)
    active = np.flatnonzero(speech_activity(tone))
    assert np.all(np.diff(active) == 1)
    assert 96 <= active[0] <= 97  # 30 ms before frame 100, one more by the smoothing of the level
    assert 205 <= active[-1] <= 206  # 60 ms after frame 199, one more by the smoothing


def test_activity_ignores_clicks_and_digital_silence() -> None:
    silence = np.zeros(2 * RATE, dtype=np.float32)
    assert not speech_activity(silence).any()
    assert len(speech_activity(silence[:100])) == 0
    clicked = silence.copy()
    clicked[RATE : RATE + RATE // 2] = 0.1 * np.random.default_rng(0).standard_normal(RATE // 2)
    clicked[200:216] = 0.9
    active = speech_activity(clicked)
    assert active[100:150].all() and not active[:90].any()


@pytest.mark.parametrize("seed", range(4))
def test_each_track_sounds_exactly_in_its_turns(speakers: dict[str, list[np.ndarray]], seed: int) -> None:
    tracks, turns = dry_tracks(np.random.default_rng(seed), speakers, 60.0, RATE, 0.15)
    for name, track in tracks.items():
        inside = mask(turns, name, len(track))
        assert inside.any()
        assert not track[~inside].any()  # the words are digitally silent in between, so exactly nothing outside
        sounding = np.abs(track[: len(track) // 160 * 160].reshape(-1, 160)).max(axis=1) > 0
        for turn in turns:
            if turn.speaker == name:
                frames = sounding[round(turn.start * 100) : round(turn.end * 100)]
                silent = np.diff(np.flatnonzero(np.concatenate(([True], frames, [True])))) - 1
                assert frames.mean() > 0.5
                assert silent.max() <= 30 + 9 + 2 + 2  # pause, hangover, smoothed level, soft edges of words


@pytest.mark.parametrize("seed", range(3))
def test_mixture_holds_each_speaker_where_the_turns_say(speakers: dict[str, list[np.ndarray]], seed: int) -> None:
    """An independent path: each speaker's band filtered out of the finished mixture."""
    bands = {"ann": (300, 700), "ben": (1000, 1700), "cas": (2200, 3300), "dot": (4200, 5800)}
    samples, turns = conversation(np.random.default_rng(seed), speakers, 40.0, RATE, 0.1, snr=(45, 45))
    for name, band in bands.items():
        sound = sosfiltfilt(butter(6, band, "bandpass", fs=RATE, output="sos"), samples)
        level = np.sqrt(np.mean(sound[: len(sound) // 160 * 160].reshape(-1, 160) ** 2, axis=1))
        inside = mask(turns, name, len(samples))[::160]
        # Reverberation outlasts a turn by up to 0.6 s and the filter rings: look from then on only.
        ringing = np.convolve(inside, np.ones(70), mode="full")[: len(inside)] > 0
        ringing |= np.roll(inside, -3)
        assert level[~ringing].max() < 0.1 * np.median(level[inside])
        assert np.mean(level[inside] > 3 * level[~ringing].mean()) > 0.75  # words fill most of a turn


def test_the_generator_decides_everything(speakers: dict[str, list[np.ndarray]]) -> None:
    first, again, other = (conversation(np.random.default_rng(seed), speakers, 20.0) for seed in (1, 1, 2))
    assert np.array_equal(first[0], again[0]) and first[1] == again[1]
    assert first[1] != other[1]


@pytest.mark.parametrize("target", [0.0, 0.1, 0.2])
def test_overlap_share_is_near_its_target(speakers: dict[str, list[np.ndarray]], target: float) -> None:
    shares = [
        overlap(dry_tracks(np.random.default_rng(seed), speakers, 90.0, RATE, target)[1], 90.0) for seed in range(4)
    ]
    assert np.mean(shares) == pytest.approx(target, abs=0.04) and (target > 0 or max(shares) == 0)


@settings(max_examples=12, deadline=None)
@given(seed=st.integers(0, 2**32), count=st.integers(0, 4), share=st.floats(0, 0.3))
def test_turns_are_a_sound_conversation(
    speakers: dict[str, list[np.ndarray]], seed: int, count: int, share: float
) -> None:
    some = dict(list(speakers.items())[:count])
    samples, turns = conversation(np.random.default_rng(seed), some, 50.0, RATE, share)
    assert samples.shape == (50 * RATE,) and samples.dtype == np.float32
    assert 0.2 < np.abs(samples).max() < 0.9  # -12 to -1 dBFS
    assert {turn.speaker for turn in turns} == set(some)
    assert turns == sorted(turns, key=lambda turn: turn.start)
    for name in some:
        own = [turn for turn in turns if turn.speaker == name]
        assert own[0].start >= 0 and own[-1].end <= 50
        assert all(turn.end == 50 or 0.15 <= round(turn.end - turn.start, 2) < 9 for turn in own)
        assert all(after.start - before.end > 0.3 for before, after in pairwise(own))


def test_back_channels_occur(speakers: dict[str, list[np.ndarray]]) -> None:
    turns = dry_tracks(np.random.default_rng(0), speakers, 300.0, RATE, 0.15)[1]

    def back_channel(turn: Turn) -> bool:  # short, within another's turn, and nothing of one's own near it
        within = any(t.speaker != turn.speaker and t.start < turn.start and turn.end < t.end for t in turns)
        own = [t for t in turns if t.speaker == turn.speaker and t is not turn]
        alone = all(t.end < turn.start - 1 or t.start > turn.end + 1 for t in own)
        return within and alone and turn.end - turn.start < 1.2

    assert 1 <= sum(map(back_channel, turns)) < 0.2 * len(turns)


def test_a_speaker_without_speech_is_an_error() -> None:
    with pytest.raises(ValueError, match="without speech"):
        dry_tracks(np.random.default_rng(0), {"mute": [np.zeros(RATE, np.float32)]}, 10.0)


@pytest.mark.parametrize("rt60", [0.2, 0.5])
def test_room_decays_as_asked(rt60: float) -> None:
    for seed in range(5):
        response = room_response(np.random.default_rng(seed), RATE, rt60).astype(np.float64)
        assert np.sum(response**2) == pytest.approx(1, rel=1e-4)
        assert np.abs(response).argmax() == 0
        tail = response[int(0.05 * RATE) :]  # beyond the early reflections; Schroeder's backward integration
        energy = 10 * np.log10(np.cumsum(tail[::-1] ** 2)[::-1])
        fall = np.flatnonzero(energy < energy[0] - 20)[0] / RATE
        assert 3 * fall == pytest.approx(rt60, rel=0.2)


def test_noise_has_unit_level_and_falls_with_frequency() -> None:
    for seed in range(5):
        sound = noise(np.random.default_rng(seed), 4 * RATE + 7).astype(np.float64)
        assert len(sound) == 4 * RATE + 7 and np.mean(sound**2) == pytest.approx(1, rel=1e-4)
        power = np.abs(np.fft.rfft(sound)) ** 2
        hertz = np.fft.rfftfreq(len(sound), 1 / RATE)
        low, high = (power[(hertz > f) & (hertz < 2 * f)].mean() for f in (200, 3200))
        assert -1 < 10 * np.log10(low / high) / 4 < 7  # four octaves apart; 0 to 6 dB each


def test_tilt_changes_the_colour_but_not_the_level() -> None:
    white = np.random.default_rng(0).standard_normal(RATE).astype(np.float32)
    for seed in range(5):
        tilted = spectral_tilt(np.random.default_rng(seed), white)
        assert np.mean(tilted**2) == pytest.approx(np.mean(white**2), rel=1e-3)
        gain = np.abs(np.fft.rfft(tilted) / np.fft.rfft(white))
        steps = np.diff(20 * np.log10(gain[[500, 1000, 2000, 4000]]))  # bins of 1 Hz: three octaves
        assert np.abs(steps).max() <= 3.01 and np.ptp(steps) < 0.05


def test_noise_lies_as_far_below_speech_as_asked(speakers: dict[str, list[np.ndarray]]) -> None:
    for ratio in (10.0, 30.0):
        samples, turns = conversation(
            np.random.default_rng(3), {"ann": speakers["ann"]}, 60.0, RATE, 0.0, (ratio, ratio), 0.0
        )
        inside = mask(turns, "ann", len(samples))
        outside = ~(np.convolve(inside[::160], np.ones(70), mode="full")[: len(samples) // 160] > 0).repeat(160)
        speech, silence = (np.mean(samples[part].astype(np.float64) ** 2) for part in (inside, outside))
        assert 10 * np.log10(speech / silence) == pytest.approx(ratio, abs=3)  # the noise's level drifts
