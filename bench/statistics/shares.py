"""Shares of counted outcomes."""

from scipy.stats import binomtest


def share(hits: int, count: int) -> str:
    """hits/count in percent with its exact 95 % interval (Clopper & Pearson 1934); "-" for none."""
    if count == 0:
        return "-"
    interval = binomtest(hits, count).proportion_ci(method="exact")
    return f"{100 * hits / count:.1f} [{100 * interval.low:.1f}, {100 * interval.high:.1f}]"
