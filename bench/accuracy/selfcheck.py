"""The verdict's operating curve: replayed comparisons of models that were heard under many perturbations. Pure.

A replay draws perturbations anew, in another order, and judges look by look as a run does. Two copies of the baseline,
each under perturbations of its own, differ by nothing but chance. A model's true loss is its mean over all
perturbations heard. The rule that it is held against hears once and fails whatever is above the tolerance.
"""

import math
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.random import Generator

from bench.statistics import share

from .der import Accuracy
from .evidence import LOOKS, Evidence, seconds
from .verdict import Verdict

MARGIN = 1.0  # points beyond the tolerance that should be found, and below it that should be certified


@dataclass(frozen=True)
class Row:
    """One line: which model, its true loss and the tolerance (points), perturbations at most, minutes, and outcomes.

    held: whether the 95 % interval of that many perturbations holds the true loss. once: whether hearing once is above
    the tolerance. Of each replay.
    """

    model: str
    loss: float
    tolerance: float
    most: int
    minutes: float
    verdicts: Sequence[Verdict]
    held: Sequence[bool]
    once: Sequence[bool]


def verdict(evidence: Evidence, name: str, tolerance: float, most: int) -> Verdict:
    """Of a run that may look at so many perturbations at most: the first that decides."""
    for look in (look for look in LOOKS if look <= most):
        heard = {key: replicas[:look] for key, replicas in evidence.heard.items()}
        judged = replace(evidence, heard=heard).judge(name, tolerance)
        assert judged is not None, "the corpus has a reference"
        if judged.verdict != "not resolved":
            return judged.verdict
    return "not resolved"


def replays(
    heard: Mapping[str, Sequence[Accuracy]],
    voices: Mapping[str, Collection[str]],
    judged: int,
    count: int,
    random: Generator,
) -> Iterator[Row]:
    """The curve's rows: the baseline against itself, and each other model at, beyond and below tolerances.

    judged: comparisons that share the error of a run. count: replays of each row.
    """
    base = heard["baseline"]
    total = len(base)
    for name in heard:
        twin = name == "baseline"
        loss = 0.0 if twin else float(np.mean([_points(a, b) for a, b in zip(heard[name], base, strict=True)]))
        cost = (seconds(base) + (0.0 if twin else seconds(heard[name]))) / 60
        for tolerance in (0.0, MARGIN) if twin else (loss, loss - MARGIN, loss + MARGIN):
            for most in (look for look in LOOKS if look <= total // (2 if twin else 1)):
                verdicts, held, once = [], [], []
                for _ in range(count):
                    order = random.permutation(total)
                    mine, theirs = (order[:most], order[most : 2 * most]) if twin else (order[:most], order[:most])
                    pair = {"baseline": [base[p] for p in theirs], "baseline-twin": [heard[name][p] for p in mine]}
                    evidence = Evidence(pair, judged, voices)
                    verdicts.append(verdict(evidence, "baseline-twin", tolerance, most))
                    interval = evidence.interval("baseline-twin")
                    held.append(interval.low <= loss <= interval.high)
                    once.append(_points(pair["baseline-twin"][0], pair["baseline"][0]) > tolerance)
                yield Row(name, loss, tolerance, most, most * cost, verdicts, held, once)


def _points(mine: Accuracy, theirs: Accuracy) -> float:
    found = mine.increase_over(theirs)
    return math.nan if found is None else found


def table(rows: Sequence[Row]) -> str:
    """The operating curve in markdown: shares in % with exact 95 % binomial intervals (Clopper & Pearson 1934)."""
    head = ["model", "true loss, points", "tolerance", "perturbations, at most", "minutes", "worse, %",
            "within tolerance, %", "not resolved, %", "95 % interval holds, %", "heard once: above, %"]  # fmt: skip
    lines = [head, ["---", *["---:"] * (len(head) - 1)]]
    for row in rows:
        found, count = Counter(row.verdicts), len(row.verdicts)
        verdicts: tuple[Verdict, ...] = ("worse", "within tolerance", "not resolved")
        lines.append([
            row.model,
            f"{row.loss:+.2f}",
            f"{row.tolerance:.2f}",
            str(row.most),
            f"{row.minutes:.1f}",
            *(share(found[one], count) for one in verdicts),
            share(sum(row.held), count),
            share(sum(row.once), count),
        ])  # fmt: skip
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)
