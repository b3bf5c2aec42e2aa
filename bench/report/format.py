"""How figures with intervals are written in every table."""

from collections.abc import Iterable
from math import isfinite

from bench.accuracy.verdict import Judgement
from bench.statistics import ENOUGH, Ratio

BETWEEN = "between processes, % (share)"  # of the ratio to the baseline


def bracketed(figures: Iterable[float], spec: str = ".1f") -> str:
    """A figure and the ends of its interval, each by the format specification."""
    value, low, high = (f"{figure:{spec}}" for figure in figures)
    return f"{value} [{low}, {high}]"


def show_interval(ratio: Ratio | None) -> str:
    """A ratio in percent with its interval, "-" for none."""
    return "-" if ratio is None else bracketed(100 * x for x in (ratio.estimate, ratio.low, ratio.high))


def scope(processes: int) -> str:
    """What intervals speak of, by the number of fresh processes that were measured (0: the one that loads all)."""
    if processes < 2:
        return "within one process"
    return f"{'over' if processes >= ENOUGH else 'within'} {processes} processes"


def show_between(ratio: Ratio | None) -> str:
    """Standard deviation from process to process in %, and its share of the variance; "-" where it is not known."""
    if ratio is None or ratio.between is None or ratio.share is None:
        return "-"
    return f"{100 * ratio.between:.2f} ({ratio.share:.0%})"


def show_change(ratio: Ratio | None) -> str:
    """A ratio as a change in percent, "-" for none."""
    if ratio is None:
        return "-"
    return bracketed((100 * (x - 1) for x in (ratio.estimate, ratio.low, ratio.high)), "+.1f").replace("+inf", "∞")


def show_percentile(seconds: float | None, interval: tuple[float, float] | None, none: str = "-") -> str:
    """A percentile in milliseconds, with its interval if there is one; `none` for none."""
    if seconds is None or interval is None:
        return none if seconds is None else f"{1000 * seconds:.1f}"
    return bracketed(1000 * x for x in (seconds, *interval)).replace("inf", "∞")


def show_points(judged: Judgement) -> str:
    """A DER difference in points with the interval that decides; without one where too little was heard."""
    if judged.identical:
        return "+0.00 points (the same labels)"
    return f"{show_difference(judged.points, judged.low, judged.high)} points"


def show_difference(points: float, low: float | None, high: float | None) -> str:
    """Points, and the ends of their interval if they are known and finite."""
    if low is None or high is None or not isfinite(low) or not isfinite(high):
        return f"{points:+.2f}"
    return bracketed((points, low, high), "+.2f")


def number(value: float | None, digits: int = 2) -> str:
    """A figure, or a dash where there is none."""
    return "-" if value is None else f"{value:.{digits}f}"
