"""Trends: whether a latency grows while it is measured."""

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats

from .bootstrap import CONFIDENCE
from .ratio import Ratio


def drift(times: ArrayLike, reference: ArrayLike | None = None) -> Ratio:
    """Latency at the end of a run relative to its beginning, by the Theil-Sen slope of the log times (Sen 1968).

    times: (rounds,) seconds in order. reference: (rounds,) of what ran beside it; given, the drift is that of their
    ratio, from which the machine's own slow spells cancel. Sen's interval assumes independent rounds: of autocorrelated
    ones it is too narrow. Fewer than 8 rounds give an infinitely wide interval.
    """
    series = np.log(np.asarray(times, float))
    if reference is not None:
        series = series - np.log(np.asarray(reference, float))
    n = len(series)
    if n < 2:
        return Ratio(1.0, 0.0, float("inf"), n)
    slope, _, low, high = stats.theilslopes(series, np.arange(n), CONFIDENCE)
    estimate, low, high = (float(np.exp(s * (n - 1))) for s in (slope, low, high))
    return Ratio(estimate, low, high, n) if n >= 8 else Ratio(estimate, 0.0, float("inf"), n)
