"""Creep: whether a ratio grows from run to run, by steps too small for any two runs to show. Pure functions.

A meta-regression of the log ratios on the runs' order, each weighted by its own interval and by a component between
runs that no interval within a run covers (memory layout, the machine's state), which Paule & Mandel's (1982) moment
equation estimates. Student's t with two degrees of freedom less than runs makes up for few of them (Knapp & Hartung
2003, whose factor is 1 here, and never less). Assumed: runs are independent, and the growth is steady; a step among
many equal runs counts as what the line makes of it.
"""

from collections.abc import Sequence

import numpy as np
from scipy import optimize, stats

from .bootstrap import CONFIDENCE, Doubles
from .ratio import Ratio

FEWEST = 5  # runs, below which too few degrees of freedom are left to tell anything


def growth(ratios: Sequence[Ratio], confidence: float) -> Ratio:
    """The last of successive ratios relative to the first, by their trend, with its interval at `confidence`.

    ratios: one of each run in order, with intervals at 95 %; one that is infinitely wide has no weight. Fewer than
    `FEWEST` of the others give an infinitely wide interval.
    """
    ends = np.array([[r.estimate, r.low, r.high] for r in ratios], float).reshape(-1, 3)
    kept = np.flatnonzero(np.isfinite(ends[:, 2]) & (ends[:, 1] > 0))
    rounds = sum(ratio.rounds for ratio in ratios)
    if len(kept) < FEWEST:
        return Ratio(1.0, 0.0, float("inf"), rounds)
    logs, order = np.log(ends[kept, 0]), kept.astype(float)
    own = np.log(ends[kept, 2] / ends[kept, 1]) / 2 / stats.norm.ppf((1 + CONFIDENCE) / 2)
    variances = np.maximum(own, 1e-9) ** 2
    degrees = len(kept) - 2

    def excess(between: float) -> float:
        return _fit(order, logs, variances + between)[2] - degrees

    between, most = 0.0, float(np.ptp(logs)) ** 2 + float(variances.max())
    if excess(0.0) > 0:
        while excess(most) > 0:
            most *= 4
        between = float(optimize.brentq(excess, 0.0, most))
    slope, error, _ = _fit(order, logs, variances + between)
    steps = len(ratios) - 1
    reach = float(stats.t.ppf((1 + confidence) / 2, degrees)) * error
    estimate, low, high = (float(np.exp(steps * s)) for s in (slope, slope - reach, slope + reach))
    return Ratio(estimate, low, high, rounds)


def _fit(x: Doubles, y: Doubles, variances: Doubles) -> tuple[float, float, float]:
    """Slope of the weighted least squares line, its standard error, and the weighted sum of squared residuals."""
    weights = 1 / variances
    x, y = x - np.average(x, weights=weights), y - np.average(y, weights=weights)
    spread = float(weights @ x**2)
    slope = float(weights @ (x * y)) / spread
    return slope, spread**-0.5, float(weights @ (y - slope * x) ** 2)
