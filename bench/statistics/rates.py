"""Differences of error rates over the same files."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .bootstrap import CONFIDENCE, block_bootstrap


@dataclass(frozen=True)
class Difference:
    """A difference in percentage points with its interval; infinitely wide where one file cannot tell."""

    points: float
    low: float
    high: float

    def resolved(self, tolerance: float) -> bool:
        """Whether the interval is no wider than the tolerance that it is to decide on."""
        return self.high - self.low <= tolerance


def rate_difference(
    errors: Sequence[float],
    reference_errors: Sequence[float],
    totals: Sequence[float],
    confidence: float = CONFIDENCE,
) -> Difference:
    """Difference of two error rates over the same files, in points, by a paired bootstrap over files.

    errors, reference_errors, totals: (files,) seconds of error of either system and of scored speech. Files are assumed
    independent, and of the same kind as those to conclude on; the interval, of the resampled differences' quantiles
    (Efron 1979), lies within those of single files, and is too narrow for a handful of them.
    """
    files = np.stack([np.subtract(errors, reference_errors), np.asarray(totals, float)], axis=1)
    delta, total = files.T
    if not delta.any():
        return Difference(0.0, 0.0, 0.0)
    points = float(_points(files[None])[0]) if total.any() else float("inf")
    if np.count_nonzero(total) < 2:
        return Difference(points, float("-inf"), float("inf"))
    resampled = block_bootstrap(list(files[:, None]), _points)
    low, high = np.quantile(resampled, [(1 - confidence) / 2, (1 + confidence) / 2])
    return Difference(points, float(low), float(high))


def _points(resamples: NDArray[np.float64]) -> NDArray[np.float64]:
    """(resamples, files, 2), errors more and scored speech -> (resamples,); NaN without any speech."""
    delta, total = (resamples[..., i].sum(axis=1) for i in (0, 1))
    points: NDArray[np.float64] = 100 * delta / np.where(total > 0, total, np.nan)
    return points
