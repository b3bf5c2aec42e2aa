"""Speech-like sound that is exactly silent between its words, so that expectations can be exact."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile
from scipy.signal import butter, sosfilt
from scipy.signal.windows import tukey

RATE = 16000


def words(seed: int, seconds: float, low: float = 200, high: float = 3000) -> np.ndarray:
    """Noise of `low` to `high` Hz in words of 0.2 to 0.6 s, digital silence of 0.05 to 0.6 s between."""
    rng = np.random.default_rng(seed)
    band = butter(6, (low, high), "bandpass", fs=RATE, output="sos")
    sound = sosfilt(band, rng.standard_normal(int(seconds * RATE))).astype(np.float32)
    spoken = np.zeros(len(sound), dtype=np.float32)
    position = int(0.1 * RATE)
    while position < len(sound):
        end = position + int(rng.uniform(0.2, 0.6) * RATE)
        word = sound[position:end]
        spoken[position:end] = word * tukey(len(word), 0.1)
        position = end + int(rng.uniform(0.05, 0.6) * RATE)
    return spoken * (0.1 / np.abs(spoken).std())


@pytest.fixture(scope="session")
def speakers() -> dict[str, list[np.ndarray]]:
    """Four speakers in four separate bands, each with three utterances of 15 s."""
    bands = {"ann": (300, 700), "ben": (1000, 1700), "cas": (2200, 3300), "dot": (4200, 5800)}
    return {
        name: [words(10 * index + part, 15.0, *band) for part in range(3)]
        for index, (name, band) in enumerate(bands.items())
    }


@pytest.fixture
def corpus(tmp_path: Path) -> Callable[..., Path]:
    """Writes 6 s of sound and its RTTM (None: without) into the folder of the test; returns that."""

    def write(
        name: str = "a", rttm: str | None = "", seconds: float = 6.0, rate: int = RATE, channels: int = 1
    ) -> Path:
        stem, suffix = name.split(".") if "." in name else (name, "wav")
        sound = np.random.default_rng(0).uniform(-0.5, 0.5, (int(seconds * rate), channels))
        soundfile.write(tmp_path / f"{stem}.{suffix}", sound, rate)
        if rttm is not None:
            line = f"SPEAKER {stem} 1 0.500 2.250 <NA> <NA> eve <NA> <NA>\n"
            (tmp_path / f"{stem}.rttm").write_text(rttm or line)
        return tmp_path

    return write
