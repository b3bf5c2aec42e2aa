"""What can be seen in how much time, before it is spent: from a control's interval in an earlier run.

A difference is called one where an interval does not hold 1 (`ratio.verdict`). One as large as the interval's
half-width is missed as often as seen; `SEEN` of the runs see one that is `MARGIN` times as large, for normal errors.
The part of the error that comes from noise within a process falls with the square root of the rounds; what differs
between processes falls with that of their number alone.
"""

from dataclasses import dataclass
from math import hypot, inf, isfinite, log, sqrt

from scipy import stats

from .bootstrap import CONFIDENCE, student
from .processes import ENOUGH
from .ratio import Ratio

SEEN = 0.8
NORMAL = float(stats.norm.ppf((1 + CONFIDENCE) / 2))
MARGIN = 1 + float(stats.norm.ppf(SEEN)) / NORMAL


@dataclass(frozen=True)
class Power:
    """Standard deviations of a log ratio: `within` of one round, as if rounds were independent; `between` processes.

    between: None if it is not known.
    """

    within: float
    between: float | None = None

    @classmethod
    def of(cls, control: Ratio) -> "Power | None":
        """From the interval of a ratio that is about 1; None if it has no width, or no end."""
        if not (0 < control.low < control.high and isfinite(control.high)):
            return None
        half = log(control.high / control.low) / 2
        if control.share is None:
            return cls(half / NORMAL * sqrt(control.rounds))
        error = half / student(CONFIDENCE, control.processes - 1)  # of the mean over processes
        share = control.share
        return cls(error * sqrt((1 - share) * control.rounds), error * sqrt(share * control.processes))

    def visible(self, rounds: float, processes: int = 1) -> float:
        """The smallest difference that `SEEN` of the runs of so many rounds see, as a share.

        Of fewer than `ENOUGH` processes: within them, which says nothing about others.
        """
        return _reach(processes) * hypot(self.within / sqrt(rounds), self._apart(processes))

    def rounds(self, difference: float, processes: int = 1) -> float:
        """Rounds by which that difference becomes visible; infinite if so few processes never show it."""
        left = (difference / _reach(processes)) ** 2 - self._apart(processes) ** 2
        return self.within**2 / left if left > 0 else inf

    def _apart(self, processes: int) -> float:
        return (self.between or 0.0) / sqrt(processes) if processes >= ENOUGH else 0.0


def _reach(processes: int) -> float:
    """Standard errors that a difference must have."""
    return MARGIN * (student(CONFIDENCE, processes - 1) if processes >= ENOUGH else NORMAL)
