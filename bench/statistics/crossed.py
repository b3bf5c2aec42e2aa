"""Differences of error rates over files, blocks of time and perturbations, with an interval honest about all three.

The design is crossed: each perturbation is heard on every second of audio, so that neither twenty perturbations of one
second nor one of twenty seconds are twenty observations. The pigeonhole bootstrap (Owen 2007) resamples both factors
independently. The estimate, linearised, is linear in the resamples' weights, and so its variance is had in closed form,
as after infinitely many of them. It has three uncorrelated parts: of resampled audio (a), of resampled perturbations
(p), and of their interaction (i), which either of the first two holds as well. a + p + i counts it three times (Owen,
theorem 3), a + p - i once (Cameron, Gelbach & Miller 2011): that is used, and at least a.

Audio is resampled by the largest unit of which there are enough, since what a unit holds varies together: clusters of
files that share voices; else files; else, in each file, runs of successive blocks (circular block bootstrap, Politis &
Romano 1992), corrected for how little a short file shows of its own variance. A unit's own variance, its files' or
blocks', is in that of the units, and is not resampled a second time. Of few units the interval is Student's t with as
many degrees of freedom, less one, as there are units by weight (Cameron, Gelbach & Miller 2008 on few clusters; Carter,
Schnepel & Steigerwald 2017 on unequal ones), joined with those of the perturbations by Satterthwaite's rule (1946).

Assumed: units are exchangeable, and so are perturbations; blocks are stationary, and autocorrelated no more than an
AR(1) series of `RHO`. `python -m bench.accuracy coverage` tries it; docs/accuracy.md has the table.
"""

import math
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy import stats

from variants.arrays import Doubles

from .bootstrap import CONFIDENCE

FEW = 3.5  # units by weight: four files of about the same length, not one long and three short ones
RHO = 0.5  # of neighbouring blocks

Unit = Literal["clusters", "files", "runs", "none"]


@dataclass(frozen=True)
class Crossed:
    """A difference of rates in points with its interval, and what makes it uncertain.

    unit: what of the audio was resampled; unless that was clusters, it speaks of the voices ("files"), recordings
    ("runs") or very seconds ("none") heard only. audio, both, perturbations: parts of the variance (points squared);
    more audio lowers the first two, more perturbations the last two. quantile: half the interval in standard errors.
    """

    points: float
    low: float
    high: float
    unit: Unit
    audio: float
    both: float
    perturbations: float
    quantile: float

    @property
    def conditional(self) -> bool:
        """Whether it speaks of the voices heard only, not of others."""
        return self.unit != "clusters"


def crossed_difference(
    errors: Sequence[Doubles],
    scored: Sequence[Doubles],
    clusters: Sequence[Hashable],
    confidence: float = CONFIDENCE,
    fixed: bool = False,
) -> Crossed:
    """The difference of two error rates over the same files and perturbations, in points.

    errors: per file (blocks, perturbations), seconds of error more than the other's; the same perturbations in every
    file, at least two. scored: per file (blocks,), seconds of scored speech. clusters: per file; equal ones share
    voices. fixed: whether to speak of these very seconds only, and resample none. ValueError where shapes do not fit or
    nothing was scored.
    """
    if not len(errors) == len(scored) == len(clusters) or any(
        e.shape != (len(s), errors[0].shape[1]) for e, s in zip(errors, scored, strict=True)
    ):
        raise ValueError("errors, scored, clusters: of as many files, blocks and perturbations each")
    error, weight = np.concatenate(errors), np.concatenate(scored)
    count, total = error.shape[1], float(weight.sum())
    if count < 2 or total <= 0:
        raise ValueError(f"takes two perturbations and some scored speech, got {count} and {total:g} s")
    rates = error.sum(axis=0) / total
    rate = float(rates.mean())
    mean = error.mean(axis=1, keepdims=True)
    # each block's part in the difference's error: of the mean over perturbations, and of what each adds to that
    parts = np.hstack([mean - rate * weight[:, None], error - mean - weight[:, None] * (rates - rate)]) / total
    ends = np.cumsum([len(s) for s in scored])[:-1]
    units: tuple[Unit, Doubles, float] = ("none", np.zeros(count + 1), 0.0)
    unit, variances, degrees = units if fixed else _audio(np.split(parts, ends), scored, clusters)
    audio, both = float(variances[0]), float(variances[1:].sum()) / (count * (count - 1))
    if fixed:
        own = np.array([e.sum(axis=0).var(ddof=1) for e in errors]) / total**2 / count
        perturbations, squares = float(own.sum()), float((own**2).sum())
    else:
        perturbations = max(0.0, float(rates.var(ddof=1)) / count - both)
        squares = perturbations**2
    variance = audio + perturbations
    spread = (audio**2 / degrees if degrees else 0.0) + squares / (count - 1)
    quantile = float(stats.t.ppf((1 + confidence) / 2, variance**2 / spread if spread else math.inf))
    low, high = (100 * (rate + side * quantile * math.sqrt(variance)) for side in (-1, 1))
    both = min(both, audio)
    return Crossed(
        100 * rate, low, high, unit, 1e4 * (audio - both), 1e4 * both, 1e4 * perturbations, quantile
    )  # fmt: skip


def _audio(
    parts: Sequence[Doubles], scored: Sequence[Doubles], clusters: Sequence[Hashable]
) -> tuple[Unit, Doubles, float]:
    """The unit resampled, the variance of the sum of each column of parts (blocks, columns), and degrees of freedom."""
    sums, seconds = np.stack([p.sum(axis=0) for p in parts]), np.array([s.sum() for s in scored])
    member = np.array([[c == other for c in clusters] for other in dict.fromkeys(clusters)], float)
    units: tuple[tuple[Unit, Doubles], ...] = (("clusters", member), ("files", np.eye(len(parts))))
    for unit, of in units:
        weights = of @ seconds
        effective = float(weights.sum() ** 2 / (weights**2).sum())
        if effective >= FEW:
            return unit, ((of @ sums) ** 2).sum(axis=0) * effective / (effective - 1), effective - 1
    variances, degrees = np.zeros(parts[0].shape[1]), 0.0
    for part, weight in zip(parts, scored, strict=True):
        blocks = len(part)
        if blocks < 2 or not weight.any():
            continue
        length = run_length(blocks)
        centred = part - np.outer(weight / weight.sum(), part.sum(axis=0))
        runs = sum(np.roll(centred, -shift, axis=0) for shift in range(length))
        variances += blocks * np.mean(np.square(runs), axis=0) * correction(blocks, length) / length
        degrees += blocks / length - 1
    return "runs", variances, degrees


def run_length(blocks: int) -> int:
    """Length of the runs of a file of two blocks or more: Carlstein's (1986) at `RHO`, and two runs at least."""
    carlstein = math.sqrt(6) * RHO / (1 - RHO**2)
    return min(math.ceil(math.pow(carlstein**2 * blocks, 1 / 3)), blocks // 2)


def correction(blocks: int, length: int) -> float:
    """What the bootstrap's variance of a sum over `blocks` falls short by on an AR(1) series of `RHO`, as a factor.

    Runs of `length` miss the correlation across their ends, and centring on the file's mean takes its variance out.
    """

    def variance(n: int) -> float:
        return n + 2 * sum((n - lag) * RHO**lag for lag in range(1, n))

    return variance(blocks) / (blocks / length * (variance(length) - (length / blocks) ** 2 * variance(blocks)))
