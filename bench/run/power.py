"""What a run will be able to see, in a line for each kind, before it begins."""

from collections.abc import Collection
from math import inf, isfinite

from bench.history.controls import Control
from bench.latency.interleave import BLOCK, LEAD
from bench.statistics import ENOUGH, Power

from .durations import shown

WANTED = 0.01  # the difference that a line says how to see
MOST = 1000  # processes beyond which nobody looks


def outlook(kind: str, control: Control, names: Collection[str], budget: float, processes: int) -> str | None:
    """The line, from what an earlier run's or a pilot's control showed; None where that has no interval.

    names: of the variants that share the budget, in seconds. Those whose time that run did not find are taken for as
    slow as the slowest of the others.
    """
    power, slowest = Power.of(control.ratio), max(control.seconds.values())
    if power is None or not names or not budget:
        return None
    turn = sum(control.seconds.get(name, slowest) for name in names) * BLOCK / (BLOCK - LEAD)  # one round of each
    visible = power.visible(budget / turn, processes)
    where = f" in {processes} processes" if processes > 1 else ""
    wish = f"; for {WANTED:.0%} take {_enough(power, turn, processes)}" if visible > WANTED else ""
    apart = f"; processes differ by {power.between:.1%} besides" if power.between and processes < ENOUGH else ""
    by = f"(4 runs in 5 do, by the control of {control.name}{apart})"
    return f"{kind}: in {shown(budget)}{where} you can see differences of {visible:.1%}{wish} {by}"


def _enough(power: Power, turn: float, processes: int) -> str:
    """Time, and processes if more of them are needed: as many as leave half of the error to the rounds."""
    if isfinite(rounds := power.rounds(WANTED, processes)):
        return shown(rounds * turn)
    more = next((n for n in range(processes, MOST) if power.visible(inf, n) < WANTED / 2**0.5), MOST)
    return (
        f"{more} processes and {shown(power.rounds(WANTED, more) * turn)}" if more < MOST else f"over {MOST} processes"
    )
