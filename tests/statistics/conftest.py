"""Made-up rounds with a known truth."""

from collections.abc import Callable

import numpy as np
import pytest

Made = Callable[..., tuple[np.ndarray, np.ndarray]]


@pytest.fixture(autouse=True)
def fewer_resamples(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bench.statistics.bootstrap.RESAMPLES", 200)


@pytest.fixture(scope="session")
def made() -> Made:
    """Log-normal noise (3 * blocks,), AR(1) from round to round, and the number of each round's block."""

    def rounds(seed: int, blocks: int, rho: float = 0.0, sigma: float = 0.05) -> tuple[np.ndarray, np.ndarray]:
        rng = np.random.default_rng(seed)
        noise = rng.standard_normal(3 * blocks) * np.sqrt(1 - rho**2)
        noise[0] /= np.sqrt(1 - rho**2)
        for i in range(1, len(noise)):
            noise[i] += rho * noise[i - 1]
        return np.exp(sigma * noise), np.repeat(np.arange(blocks), 3)

    return rounds
