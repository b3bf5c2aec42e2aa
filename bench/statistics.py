"""Statistics of paired, interleaved rounds: pure functions on arrays."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

CONFIDENCE, RESAMPLES, SEED = 0.95, 2000, 0


@dataclass(frozen=True)
class Ratio:
    """Estimate of a ratio of latencies with its confidence interval; `rounds` pairs went into it."""

    estimate: float
    low: float
    high: float
    rounds: int

    @property
    def half_width(self) -> float:
        """Half the interval, relative to the estimate."""
        return (self.high - self.low) / 2 / self.estimate


def carlstein_length(series: np.ndarray) -> int:
    """Bootstrap block length for an autocorrelated series, by the AR(1) rule of Carlstein (1986).

    l = (sqrt(6) rho / (1 - rho^2))^(2/3) n^(1/3), with rho the lag-1 autocorrelation; 1 to n/4.
    """
    n = len(series)
    centred = series - series.mean()
    power = float(centred @ centred)
    if n < 8 or power == 0:
        return 1
    rho = min(max(float(centred[1:] @ centred[:-1]) / power, 0.0), 0.95)
    length = (np.sqrt(6) * rho / (1 - rho**2)) ** (2 / 3) * n ** (1 / 3)
    return int(np.clip(np.ceil(length), 1, max(1, n // 4)))


def paired_ratio(
    times: Sequence[float] | np.ndarray,
    reference: Sequence[float] | np.ndarray,
    blocks: Sequence[int] | np.ndarray,
    confidence: float = CONFIDENCE,
) -> Ratio:
    """Median of the paired ratios times[i] / reference[i], with an interval honest about autocorrelation.

    times, reference: (rounds,) seconds on the same chunks. blocks: (rounds,) number of each round's interleaving
    block. The standard error of the median log ratio comes from a circular block bootstrap (Politis & Romano
    1992) over whole interleaving blocks, in runs of `carlstein_length` of them; Student's t with one degree
    of freedom per run makes up for few runs. Fewer than 4 blocks give an infinitely wide interval.
    """
    log_ratio = np.log(np.asarray(times, float)) - np.log(np.asarray(reference, float))
    labels = np.asarray(blocks)
    estimate = float(np.median(log_ratio))
    groups = [log_ratio[labels == label] for label in dict.fromkeys(labels.tolist())]
    n = len(groups)
    if n < 4:
        return Ratio(float(np.exp(estimate)), 0.0, float("inf"), len(log_ratio))
    length = carlstein_length(np.array([group.mean() for group in groups]))
    runs = -(-n // length)
    rng = np.random.default_rng(SEED)
    starts = rng.integers(0, n, size=(RESAMPLES, runs))
    picks = ((starts[..., None] + np.arange(length)) % n).reshape(RESAMPLES, -1)[:, :n]
    if len({len(group) for group in groups}) == 1:
        medians = np.median(np.stack(groups)[picks].reshape(RESAMPLES, -1), axis=1)
    else:
        medians = np.array([np.median(np.concatenate([groups[i] for i in row])) for row in picks])
    degrees = max(1.0, n / length - 1)
    error = float(np.std(medians, ddof=1)) * np.sqrt((degrees + 1) / degrees)
    reach = float(stats.t.ppf((1 + confidence) / 2, degrees)) * error
    low, high = float(np.exp(estimate - reach)), float(np.exp(estimate + reach))
    return Ratio(float(np.exp(estimate)), low, high, len(log_ratio))


def drift(times: Sequence[float] | np.ndarray, reference: Sequence[float] | np.ndarray | None = None) -> Ratio:
    """Latency at the end of a run relative to its beginning, by the Theil-Sen slope of the log times (Sen 1968).

    times: (rounds,) seconds in order. reference: (rounds,) of what ran beside it; given, the drift is that of their
    ratio, from which the machine's own slow spells cancel. Fewer than 8 rounds give an infinitely wide interval.
    """
    series = np.log(np.asarray(times, float))
    if reference is not None:
        series = series - np.log(np.asarray(reference, float))
    n = len(series)
    if n < 2:
        return Ratio(1.0, 0.0, float("inf"), n)
    slope, _, low, high = stats.theilslopes(series, np.arange(n), CONFIDENCE)
    estimate, low, high = (float(np.exp(s * (n - 1))) for s in (slope, low, high))
    return Ratio(estimate, low, high, n) if n >= 8 else Ratio(estimate, 0.0, float("inf"), n)


def show_interval(ratio: Ratio | None) -> str:
    """A ratio in percent with its interval, "-" for none."""
    if ratio is None:
        return "-"
    return f"{100 * ratio.estimate:.1f} [{100 * ratio.low:.1f}, {100 * ratio.high:.1f}]"


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


def percentiles(times: Sequence[float] | np.ndarray) -> dict[str, float | None]:
    """p50, p90, p95, p99 (None below 200 rounds: it would rest on one or two of them) and max, in seconds."""
    values = np.asarray(times, float)
    result: dict[str, float | None] = {f"p{q}": float(np.percentile(values, q)) for q in (50, 90, 95, 99)}
    if len(values) < 200:
        result["p99"] = None
    result["max"] = float(values.max())
    return result


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

    errors, reference_errors, totals: (files,) seconds of error of either system and of scored speech.
    """
    delta, total = np.subtract(errors, reference_errors), np.asarray(totals, float)
    if not delta.any():
        return Difference(0.0, 0.0, 0.0)
    points = float(100 * delta.sum() / total.sum()) if total.any() else float("inf")
    if np.count_nonzero(total) < 2:
        return Difference(points, float("-inf"), float("inf"))
    rng = np.random.default_rng(SEED)
    picks = rng.integers(0, len(delta), size=(RESAMPLES, len(delta)))
    picks = picks[total[picks].any(axis=1)]  # without any speech there is no rate
    resampled = 100 * delta[picks].sum(axis=1) / total[picks].sum(axis=1)
    low, high = np.quantile(resampled, [(1 - confidence) / 2, (1 + confidence) / 2])
    return Difference(points, float(low), float(high))


def unbeaten(points: Iterable[tuple[float, float]]) -> list[tuple[float, float]]:
    """The Pareto front, sorted: the points than which no other is as low in both coordinates."""
    found = sorted(set(points))
    return [p for p in found if not any(o != p and o[0] <= p[0] and o[1] <= p[1] for o in found)]
