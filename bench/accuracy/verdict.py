"""From differences over perturbations to a verdict on one variant. Pure functions.

Both sides hear the same recordings under the same perturbations (`pipeline.perturb`); the control, the baseline's twin,
is the baseline under others. A run may look again as perturbations come in: `level` gives the confidence at which.
"""

import math
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from bench.statistics import Crossed, crossed_difference, sequential
from variants.arrays import Doubles

ALPHA = 0.01  # of a run: at most this share call something worse that is not, and as many within tolerance

Verdict = Literal["within tolerance", "worse", "not resolved"]


@dataclass(frozen=True)
class Needed:
    """What would resolve a difference, were its estimate and spread to stay: of either alone; None: not of that alone.

    perturbations: their number, of the same audio. seconds: of audio like this one, at as many perturbations.
    """

    perturbations: int | None
    seconds: float | None


@dataclass(frozen=True)
class Judgement:
    """A verdict, the difference in points with its interval, and what an unresolved one needs.

    conditional: whether it speaks only of the voices heard. identical: whether all labels are the other's own. heard:
    perturbations that it rests on. others: a 95 % interval that speaks of other conversations, too.
    """

    verdict: Verdict
    points: float
    low: float
    high: float
    conditional: bool
    identical: bool = False
    needed: Needed | None = None
    heard: int = 0
    others: tuple[float, float] | None = None


def level(share: float, before: float, judged: int) -> float:
    """Confidence of a look when a share of the budget is over, after one at share `before`, at `judged` variants."""
    return sequential.confidence(sequential.spent(share, ALPHA) - sequential.spent(before, ALPHA), judged)


def judge(
    errors: Sequence[Doubles],
    scored: Sequence[Doubles],
    clusters: Sequence[Hashable],
    tolerance: float,
    confidence: float,
    fixed: bool = False,
) -> Judgement:
    """Whether a difference of rates is at most `tolerance` points; arguments as of `statistics.crossed_difference`.

    Within tolerance: the interval's upper end is at or below it. Worse: its lower end is above. Of label disagreement,
    with errors those of the variant less those of the twin, tolerance 0 asks whether the variant's labels are as near
    the baseline's as the baseline's own.
    """
    found = crossed_difference(errors, scored, clusters, confidence, fixed)
    if found.high <= tolerance:
        verdict: Verdict = "within tolerance"
    else:
        verdict = "worse" if found.low > tolerance else "not resolved"
    needed = None
    if verdict == "not resolved":
        needed = _needed(found, tolerance, errors[0].shape[1], float(sum(map(np.sum, scored))))
    return Judgement(verdict, found.points, found.low, found.high, found.conditional, needed=needed)


def equal(tolerance: float) -> Judgement:
    """Of a variant whose labels are the baseline's on every chunk and perturbation: on this audio, no difference."""
    return Judgement("within tolerance" if tolerance >= 0 else "worse", 0.0, 0.0, 0.0, conditional=True, identical=True)


def unheard(points: float, heard: int) -> Judgement:
    """Of a difference under too few perturbations to tell anything from it."""
    return Judgement("not resolved", points, -math.inf, math.inf, conditional=True, heard=heard)


def _needed(found: Crossed, tolerance: float, perturbations: int, seconds: float) -> Needed:
    """Either factor's size at which half the interval is as long as the estimate is from the tolerance."""
    target = ((found.points - tolerance) / found.quantile) ** 2  # of the variance
    heard = target - found.audio
    more = target - found.perturbations
    return Needed(
        math.ceil(perturbations * (found.both + found.perturbations) / heard) if heard > 0 else None,
        seconds * (found.audio + found.both) / more if more > 0 else None,
    )
