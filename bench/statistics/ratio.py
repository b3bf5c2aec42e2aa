"""Ratios of latencies: estimate with interval, the noise floor, and the verdict."""

from dataclasses import dataclass

import numpy as np

from .bootstrap import CONFIDENCE, Doubles, block_bootstrap, carlstein_length, student_interval
from .paired import Paired, by_block


@dataclass(frozen=True)
class Ratio:
    """Estimate of a ratio of latencies with its confidence interval; `rounds` pairs of `processes` went into it.

    between: standard deviation of the log ratio from process to process. share: what that makes of the variance of a
    process' estimate. Both None where the interval holds no such part: it is then one within these processes.
    """

    estimate: float
    low: float
    high: float
    rounds: int
    processes: int = 1
    between: float | None = None
    share: float | None = None

    @property
    def half_width(self) -> float:
        """Half the interval, relative to the estimate."""
        return (self.high - self.low) / 2 / self.estimate


def paired_ratio(sample: Paired, confidence: float = CONFIDENCE) -> Ratio:
    """Median of the paired ratios times / reference, with an interval honest about autocorrelation.

    The standard error of the median log ratio comes from the block bootstrap over whole interleaving blocks, in runs
    of `carlstein_length` of them; Student's t makes up for few runs. What slows both of a pair cancels; the log ratios
    are assumed stationary. Times and reference in each other's place give the reciprocal. Fewer than 4 blocks give an
    infinitely wide interval.
    """
    estimate, medians, runs = log_median(sample)
    if runs == 0:
        return Ratio(float(np.exp(estimate)), 0.0, float("inf"), len(sample.times))
    low, high = student_interval(estimate, medians, runs, confidence)
    return Ratio(float(np.exp(estimate)), float(np.exp(low)), float(np.exp(high)), len(sample.times))


def log_median(sample: Paired) -> tuple[float, Doubles, float]:
    """Median log ratio, resampled ones, and the runs of blocks that these rest on: none of fewer than 4 blocks."""
    log_ratio = np.log(sample.times) - np.log(sample.reference)
    estimate, blocks = float(np.median(log_ratio)), by_block(log_ratio, sample.blocks)
    if len(blocks) < 4:
        return estimate, np.empty(0), 0.0
    length = carlstein_length(np.array([block.mean() for block in blocks]))
    medians = block_bootstrap(blocks, lambda resamples: np.median(resamples, axis=1), length)
    return estimate, medians, len(blocks) / length


def noise_floor(twin: Ratio | None) -> float:
    """Largest relative difference that the baseline shows against itself: the far end of its twin's interval.

    Without a twin nothing can be told from noise: infinite.
    """
    return float("inf") if twin is None else max(twin.high - 1, 1 - twin.low)


def verdict(ratio: Ratio, floor: float) -> str:
    """ "faster", "slower", or "within noise" if the interval holds 1 or the estimate is inside the floor."""
    if ratio.low <= 1 <= ratio.high or abs(ratio.estimate - 1) <= floor:
        return "within noise"
    return "faster" if ratio.estimate < 1 else "slower"
