"""How long a run takes: roughly, before it starts, and part by part when it is over."""

import time
from collections.abc import Generator
from contextlib import contextmanager

# seconds: in all, of a variant, of a variant and second of audio, such as the README's run has them on two quiet cores
LOADING, MEMORY, SCORING = 5.0, 1.0, 0.05
STARTING = 10.0  # of a fresh process until its first round


def expected(models: int, scored: float, budget: float, measured: float, fresh: int = 0) -> float:
    """Seconds, roughly, of a run of so many models, with `scored` seconds of audio and `measured` seconds of rounds.

    budget: seconds for verdicts on what is scored, the first score of each model included. fresh: processes to start.
    """
    scoring = max(models * SCORING * scored, budget if scored else 0.0)
    return LOADING + models * MEMORY + scoring + measured + fresh * STARTING


def shown(seconds: float) -> str:
    """Seconds, or minutes where there are many."""
    return f"{seconds:.0f} s" if seconds < 90 else f"{seconds / 60:.0f} min"


class Took(dict[str, float]):
    """Seconds by part of a run, in the order of their beginning."""

    @contextmanager
    def part(self, name: str) -> Generator[None, None, None]:
        """Add what happens meanwhile to that part."""
        begin = time.perf_counter()
        try:
            yield
        finally:
            self[name] = self.get(name, 0.0) + time.perf_counter() - begin

    def __str__(self) -> str:
        return ", ".join(f"{name} {shown(seconds)}" for name, seconds in self.items())
