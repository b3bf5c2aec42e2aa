"""Looking more than once at growing evidence without erring more often. Pure functions.

By the time a share s of a budget is over, all looks so far may have erred with probability alpha sqrt(s): alpha
spending (Lan & DeMets 1983; the power family of Kim & DeMets 1987), for which the number of looks need not be fixed
beforehand, and which keeps the largest part for the last and most precise one. What a look adds to the sum it spends
itself (Bonferroni's inequality, whatever the looks' dependence), in equal parts on the comparisons of a run, which
depend on one another as well (Bonferroni again).
"""

import math


def spent(share: float, alpha: float) -> float:
    """Error that all looks together may have spent when this share of the budget is over."""
    return alpha * math.sqrt(min(1.0, share))


def confidence(error: float, judged: int) -> float:
    """Two-sided confidence of the interval at a look that spends `error`, with `judged` comparisons in the run.

    Either end of the interval decides about another error, so each spends all of it.
    """
    return 1 - 2 * error / judged
