"""What the rounds support. In: seconds by interleaving block, errors by file. Out: estimates with intervals, verdicts.

Pure functions on arrays. `Paired` checks what comes in; one block bootstrap (`bootstrap`), which takes the statistic as
a function, gives the intervals of ratios (`ratio`) and percentiles (`quantiles`); `crossed` has that of error rates
over replicated runs, `sequential` what repeated looks may spend, `shares` that of counts.
"""

from .bootstrap import block_bootstrap, carlstein_length
from .crossed import Crossed, crossed_difference
from .paired import Paired
from .pareto import unbeaten
from .quantiles import percentile_interval, percentiles
from .ratio import Ratio, noise_floor, paired_ratio, verdict
from .shares import share
from .trend import Slope, drift, slope

__all__ = [
    "Crossed",
    "Paired",
    "Ratio",
    "Slope",
    "block_bootstrap",
    "carlstein_length",
    "crossed_difference",
    "drift",
    "noise_floor",
    "paired_ratio",
    "percentile_interval",
    "percentiles",
    "share",
    "slope",
    "unbeaten",
    "verdict",
]
