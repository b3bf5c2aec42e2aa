"""The circular block bootstrap of any statistic.

It assumes that the blocks come from a stationary series, of which pieces as long as `carlstein_length` are about
independent of one another. It then guarantees intervals with about their nominal coverage once there are some dozens of
such pieces; `student_interval` makes up for few of them, but a trend is not covered (`trend.drift` looks for one).
The same blocks always give the same values.
"""

from collections.abc import Callable, Sequence
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy import stats

CONFIDENCE, RESAMPLES, SEED = 0.95, 2000, 0

Doubles: TypeAlias = NDArray[np.float64]
Statistic = Callable[[Doubles], Doubles]  # (resamples, rounds, ...) -> (resamples,)


def carlstein_length(series: Doubles) -> int:
    """Bootstrap block length for an autocorrelated series, by the AR(1) rule of Carlstein (1986).

    l = (sqrt(6) rho / (1 - rho^2))^(2/3) n^(1/3), with rho the lag-1 autocorrelation; 1 to n/4.
    """
    n = len(series)
    centred = series - series.mean()
    power = float(centred @ centred)
    if n < 8 or power == 0:
        return 1
    rho = min(max(float(centred[1:] @ centred[:-1]) / power, 0.0), 0.95)
    length = (np.sqrt(6) * rho / (1 - rho**2)) ** (2 / 3) * n ** (1 / 3)
    return int(np.clip(np.ceil(length), 1, max(1, n // 4)))


def block_bootstrap(blocks: Sequence[Doubles], statistic: Statistic, length: int = 1) -> Doubles:
    """A statistic's values on `RESAMPLES` resamples of whole blocks (Politis & Romano 1992).

    blocks: n arrays (rounds, ...) in order of time. A resample joins n of them, drawn in runs of `length` successive
    ones; the first follows the last. Independent blocks, such as files, take runs of one. statistic: of each resample
    in (resamples, rounds, ...); where it gives NaN, it is not defined, and the resample is left out.
    """
    n = len(blocks)
    starts = np.random.default_rng(SEED).integers(0, n, size=(RESAMPLES, -(-n // length)))
    picks = ((starts[..., None] + np.arange(length)) % n).reshape(RESAMPLES, -1)[:, :n]
    if len({len(block) for block in blocks}) == 1:
        values = statistic(np.stack(blocks)[picks].reshape(RESAMPLES, -1, *blocks[0].shape[1:]))
    else:
        values = np.concatenate([statistic(np.concatenate([blocks[i] for i in row])[None]) for row in picks])
    return values[~np.isnan(values)]


def student_interval(estimate: float, resampled: Doubles, runs: float, confidence: float) -> tuple[float, float]:
    """Estimate -/+ Student's t times the bootstrap's standard error, with one degree of freedom per run of blocks."""
    reach = student(confidence, max(1.0, runs - 1)) * standard_error(resampled, runs)
    return estimate - reach, estimate + reach


def standard_error(resampled: Doubles, runs: float) -> float:
    """The bootstrap's standard error, unbiased for the number of runs of blocks that were resampled."""
    degrees = max(1.0, runs - 1)
    return float(np.std(resampled, ddof=1) * np.sqrt((degrees + 1) / degrees))


def student(confidence: float, degrees: float) -> float:
    """Standard errors on either side that hold a two-sided `confidence`."""
    return float(stats.t.ppf((1 + confidence) / 2, degrees))
