"""The threads of a run: claimed for what is timed, one on any core for what is not."""

from contextlib import AbstractContextManager

from bench.latency import threads


class Cores:
    """`count` threads of distinct physical cores; UserError if there are not as many."""

    def __init__(self, count: int) -> None:
        self.threads = threads.choose(count)
        self._allowed = threads.allowed_cpus()
        self._claimed = False

    def claim(self) -> None:
        """Pin every runtime, and threads that were started since the last call, too."""
        threads.apply(self.threads)
        self._claimed = True

    def untimed(self) -> AbstractContextManager[None]:
        """For work that is not timed; afterwards what was claimed is so again."""
        return threads.untimed(self.threads if self._claimed else None, self._allowed)
