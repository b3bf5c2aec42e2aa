"""The gate's statistics: from paired blocks to a verdict. Pure functions.

The test is `statistics.paired_ratio`'s circular block bootstrap of the median paired log ratio (Politis & Romano
1992), not a rank test: Wilcoxon's and Mann & Whitney's take rounds as independent, which those of a shared machine are
not (its slow spells last for many blocks), and say whether there is a difference, not whether it is below a threshold.

Looks. A run is judged after `FIRST` blocks, again whenever their number has doubled, and when the budget is used up, by
the alpha spending of `statistics.sequential`.

Variants. The same `ALPHA` holds for a whole run: each of the m comparisons judged gets its m-th part. Holm's step-down
would gain little: most comparisons are expected to pass, and the last of them decides when a run ends.
"""

import math
from collections.abc import Iterable

from scipy import stats

from bench.statistics import Ratio, sequential

ALPHA = 0.01  # of all runs on unchanged code at most this share may be called regressed, and the other way round
FIRST = 8  # blocks before the first look
PAIRS = 5  # of processes by which a revision is judged at the least: one errs more often than `ALPHA` (docs/gate.md)
SETTLED = 0.5  # share of the budget from which on small regressions count
REGRESSED, PASS, INCONCLUSIVE = "regressed", "pass", "inconclusive"
EXIT = {REGRESSED: 10, INCONCLUSIVE: 11}  # codes of the session; pytest's own end at 5


def spent(share: float) -> float:
    """Error that all looks together may have spent when this share of the budget is over."""
    return sequential.spent(share, ALPHA)


def verdict(ratio: Ratio, threshold: float, settled: bool = True) -> str:
    """Of the ratio of now to then, by a threshold such as 0.05.

    Regressed: the interval lies above 1 and the estimate above half the threshold, so a slowdown smaller than the
    threshold but certain is one too; where not yet `settled`, it stays inconclusive unless the interval lies above the
    threshold. Pass: the interval lies below the threshold. Else inconclusive.
    """
    if ratio.low > 1 and ratio.estimate > 1 + threshold / 2:
        return REGRESSED if settled or ratio.low > 1 + threshold else INCONCLUSIVE
    return PASS if ratio.high < 1 + threshold else INCONCLUSIVE


def control_error(control: Ratio | None) -> float:
    """What a run's control differs from its baseline by, as a log ratio; 0 without a control.

    Two copies of one model lie in memory differently and so differ by a little however long they are measured.
    """
    return abs(math.log(control.estimate)) if control is not None else 0.0


def spread(controls: Iterable[Ratio | None]) -> float:
    """Root mean square of what the controls of several runs differed by; 0 for none."""
    errors = [control_error(control) for control in controls if control is not None]
    return math.hypot(*errors) / math.sqrt(len(errors)) if errors else 0.0


def systematic(now: Ratio | None, then: Ratio | None, usual: float) -> float:
    """The error of a change from run to run that no interval within a run covers: twice what the controls differ by.

    now, then: the controls of both runs. usual: `spread` of all that are known, as either may be near 0 by luck.
    """
    return 2 * math.hypot(*(max(control_error(control), usual) for control in (now, then)))


def change(now: Ratio, then: Ratio, level: float, systematic: float = 0.0) -> Ratio:
    """Ratio of two independent ratios, that of this run (an interval at confidence `level`) and a stored one (95 %).

    Variances add on the log scale. The stored interval is brought to `level` as a normal one: its standard error is
    then taken as larger than it was, never as smaller. `systematic` adds an error that more rounds do not lower.
    """
    estimate = math.log(now.estimate / then.estimate)
    reach = math.hypot(_reach(now), stored_reach(then, level), systematic)
    if not math.isfinite(reach):
        return Ratio(math.exp(estimate), 0.0, math.inf, now.rounds)
    return Ratio(math.exp(estimate), math.exp(estimate - reach), math.exp(estimate + reach), now.rounds)


def stored_reach(then: Ratio, level: float) -> float:
    """Half-width on the log scale, at confidence `level`, of a ratio stored with its 95 % interval."""
    return _reach(then) * float(stats.norm.ppf((1 + level) / 2) / stats.norm.ppf(0.975))


def _reach(ratio: Ratio) -> float:
    return math.log(ratio.high / ratio.estimate) if math.isfinite(ratio.high) else math.inf
