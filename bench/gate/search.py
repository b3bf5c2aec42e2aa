"""Bisection: which of successive revisions is the first bad one, with some that nobody can tell. A pure function."""

from collections.abc import Callable, Sequence
from typing import TypeVar

from .verdict import PASS, REGRESSED

R = TypeVar("R")


def first_bad(revisions: Sequence[R], test: Callable[[R], str]) -> Sequence[R]:
    """The revisions one of which is the first bad one; a single one if it is found.

    revisions: oldest first; what comes before the first is good, and the last is bad. test: `REGRESSED`, `PASS`, or
    anything else for a revision that cannot be told and is skipped, as by `git bisect skip`. None is tested twice.
    """
    good, bad, skipped = -1, len(revisions) - 1, set[int]()
    while candidates := [i for i in range(good + 1, bad) if i not in skipped]:
        middle = min(candidates, key=lambda i: abs(2 * i - good - bad))
        found = test(revisions[middle])
        if found == REGRESSED:
            bad = middle
        elif found == PASS:
            good = middle
        else:
            skipped.add(middle)
    return revisions[good + 1 : bad + 1]


def steps(count: int) -> int:
    """How many revisions of `count` are tested at most, if none is skipped."""
    return max(0, count - 1).bit_length()
