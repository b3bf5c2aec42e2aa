"""What the rounds support. In: seconds by interleaving block, errors by file. Out: estimates with intervals, verdicts.

Pure functions on arrays. `Paired` checks what comes in; one block bootstrap (`bootstrap`), which takes the statistic as
a function, gives the intervals of ratios (`ratio`) and percentiles (`quantiles`); `processes` has that of ratios over
fresh processes, `crossed` that of error rates over replicated runs, `shares` that of counts; `sequential` says what
repeated looks may spend, `power` what a run will tell, `growth` what successive runs add up to.
"""

from .bootstrap import block_bootstrap, carlstein_length
from .crossed import Crossed, crossed_difference
from .paired import Paired
from .pareto import unbeaten
from .power import Power
from .processes import ENOUGH, process_ratio
from .quantiles import percentile_interval, percentiles, rounds_needed
from .ratio import Ratio, noise_floor, paired_ratio, verdict
from .shares import share
from .trend import Slope, drift, slope

__all__ = [
    "ENOUGH",
    "Crossed",
    "Paired",
    "Power",
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
    "process_ratio",
    "rounds_needed",
    "share",
    "slope",
    "unbeaten",
    "verdict",
]
