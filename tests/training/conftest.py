"""Synthetic voices: harmonics of a pitch under formants, syllables and pauses, different for each speaker."""

from pathlib import Path

import numpy as np
import pytest
import soundfile


def voice(rng: np.random.Generator, pitch: float, formant: float, seconds: float) -> np.ndarray:
    time = np.arange(int(seconds * 16000)) / 16000
    glide = np.cumsum(pitch * (1 + 0.1 * np.sin(2 * np.pi * rng.uniform(0.5, 2) * time))) / 16000
    harmonics = np.arange(1, int(6000 / pitch))
    gains = np.exp(-(((harmonics * pitch - formant) / 600) ** 2)) + 0.05
    tone = (gains[:, None] * np.sin(2 * np.pi * harmonics[:, None] * glide)).sum(axis=0)
    syllables = np.clip(np.sin(2 * np.pi * 3 * time + rng.uniform(0, 6)) + 0.3, 0, 1)
    return 0.1 * tone * syllables / np.abs(tone).max() + 1e-4 * rng.standard_normal(len(time))


@pytest.fixture(scope="session")
def speech_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Eight speakers with two utterances of 6 s each, one folder per speaker."""
    folder = tmp_path_factory.mktemp("speech")
    rng = np.random.default_rng(0)
    for speaker in range(8):
        (folder / f"speaker{speaker}").mkdir()
        for utterance in range(2):
            samples = voice(rng, 90 * 1.17**speaker, 500 + 250 * speaker, 6.0)
            soundfile.write(folder / f"speaker{speaker}" / f"{utterance}.wav", samples, 16000)
    return folder
