"""The Pareto front."""

from collections.abc import Iterable


def unbeaten(points: Iterable[tuple[float, float]]) -> list[tuple[float, float]]:
    """The Pareto front, sorted: the points than which no other is as low in both coordinates."""
    found = sorted(set(points))
    return [p for p in found if not any(o != p and o[0] <= p[0] and o[1] <= p[1] for o in found)]
