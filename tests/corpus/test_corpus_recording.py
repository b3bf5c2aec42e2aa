"""Samples are those of DIART's own loader, whatever the file; what was done to them is noted."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile

from bench.corpus import CorpusError, load_corpus

Write = Callable[..., Path]


@pytest.mark.parametrize(
    ("name", "rate", "channels", "notes"),
    [
        ("a.wav", 16000, 1, ()),
        ("a.flac", 16000, 1, ()),
        ("a.wav", 44100, 2, ("stereo, mixed down to mono", "resampled from 44100 Hz")),
        ("a.ogg", 16000, 1, ()),
        ("a.ogg", 8000, 2, ("stereo, mixed down to mono", "resampled from 8000 Hz")),
        ("a.flac", 16000, 4, ("4 channels, mixed down to mono",)),
    ],
)
def test_waveform_is_what_diart_decodes(
    corpus: Write, name: str, rate: int, channels: int, notes: tuple[str, ...]
) -> None:
    from diart.audio import AudioLoader

    (recording,), problems = load_corpus(corpus(name, rate=rate, channels=channels))
    waveform = recording.waveform()
    assert problems == [] and recording.notes == notes and recording.duration == 6.0
    assert waveform.shape == (1, 6 * 16000) and waveform.dtype == np.float32
    assert np.array_equal(waveform, AudioLoader(16000, mono=True).load(recording.path).numpy())
    assert recording.duration == AudioLoader.get_duration(recording.path)


def test_stereo_becomes_the_mean_of_its_channels(corpus: Write) -> None:
    folder = corpus("a", channels=2)
    both = soundfile.read(folder / "a.wav", dtype="float32")[0]
    assert np.allclose(load_corpus(folder)[0][0].waveform()[0], both.mean(axis=1), atol=1e-7)


def test_opus_in_ogg_is_read_sample_for_sample_alike(corpus: Write) -> None:
    folder = corpus("b")
    time = np.arange(6 * 16000) / 16000
    tone = np.where(time > 3, 0.4 * np.sin(2 * np.pi * 500 * time), 0)
    soundfile.write(folder / "a.ogg", tone, 16000, format="OGG", subtype="OPUS")
    recording = load_corpus(folder)[0][0]
    waveform = recording.waveform()
    assert waveform.shape[1] == pytest.approx(6 * 16000, abs=1)
    assert np.flatnonzero(np.abs(waveform[0]) > 0.1)[0] == pytest.approx(48000, abs=80)  # no codec delay is left
    assert np.array_equal(waveform, recording.waveform())


def test_audio_damaged_after_loading_is_one_clear_error(corpus: Write) -> None:
    (recording,), _ = load_corpus(corpus("a"))
    recording.path.write_bytes(b"gone")
    with pytest.raises(CorpusError, match=r"a\.wav: unreadable audio") as error:
        recording.waveform()
    assert "\n" not in str(error.value)
    soundfile.write(recording.path, np.full(16000, np.nan), 16000, subtype="FLOAT")
    with pytest.raises(CorpusError, match="NaN or infinite"):
        recording.waveform()


def test_importing_is_light() -> None:
    heavy = "'diart', 'pyannote.audio', 'torchaudio', 'pandas'"
    code = f"import bench.corpus, sys; print([name for name in ({heavy}) if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
