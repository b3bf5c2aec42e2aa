"""Ratios over several processes, each of which lies in memory otherwise and so is a little faster or slower.

Rounds within a process say nothing about that, however many there are (Kalibera & Jones 2013, "Rigorous benchmarking
in reasonable time"; 2020, "Quantifying performance changes with effect size confidence intervals"): processes are the
top-level replicate. From `ENOUGH` of them on, theirs is the interval: Student's t on one median log ratio per process,
which holds what differs between processes and within them alike. In simulations (`test_process_ratio`) it covers at
its nominal rate from 5 processes on; a hierarchical bootstrap of 5 does not, nor does one of all rounds.
"""

from collections.abc import Sequence

import numpy as np

from .bootstrap import CONFIDENCE, standard_error, student
from .paired import Paired
from .ratio import Ratio, log_median, paired_ratio

ENOUGH = 5  # processes from which on they tell how much they differ


def process_ratio(samples: Sequence[Paired], confidence: float = CONFIDENCE) -> Ratio:
    """The ratio over processes, one sample each: the mean of their median log ratios, with its interval.

    From `ENOUGH` processes on, the interval is one over all such processes, assuming their log ratios normal, and
    `between` is what is left of their variance once that of the estimates themselves is taken away (Hedges & Olkin
    1985; not below 0). Of fewer, it is that of these processes alone, from the block bootstrap within each; of one,
    `paired_ratio`. Processes of fewer than 4 blocks are left out where others have more; if none has, but there are
    enough of them, the interval is Student's t, but nothing tells what lies between them. ValueError without a sample.
    """
    if not samples:
        raise ValueError("samples: none, but it takes at least one process")
    fitted = [(sample, *log_median(sample)) for sample in samples] if len(samples) > 1 else []
    long = [one for one in fitted if one[-1] > 0]
    if short := not long and len(fitted) >= ENOUGH:
        long = fitted
    if len(long) < 2:
        return paired_ratio(long[0][0] if long else samples[0], confidence)
    estimates, count = np.array([estimate for _, estimate, *_ in long]), len(long)
    variances = np.array([0.0 if short else standard_error(medians, runs) ** 2 for *_, medians, runs in long])
    between = share = None
    if count < ENOUGH:
        error, degrees = np.sqrt(variances.sum()) / count, sum(max(1.0, runs - 1) for *_, runs in long)
    else:
        total = float(np.var(estimates, ddof=1))
        error, degrees = np.sqrt(total / count), count - 1.0
        if not short:
            left = max(0.0, total - float(variances.mean()))
            between, share = float(np.sqrt(left)), left / total if total else 0.0
    centre, reach = float(estimates.mean()), student(confidence, degrees) * float(error)
    low, middle, high = (float(np.exp(x)) for x in (centre - reach, centre, centre + reach))
    return Ratio(middle, low, high, sum(len(one[0].times) for one in long), count, between, share)
