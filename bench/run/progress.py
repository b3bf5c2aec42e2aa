"""How far a run is, on a terminal."""

import os
import sys
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import Any

from rich.console import Console
from rich.progress import Progress


@contextmanager
def progress() -> Generator[Callable[..., None], None, None]:
    """A function that is told a task, the share of it that is done and its pace: a bar for each, with the time left.

    Nothing is shown where there is no terminal (CI logs, files).
    """
    if not sys.__stderr__ or not sys.__stderr__.isatty() or os.environ.get("CI"):
        yield lambda task, done, pace="": None
        return
    bar = Progress(console=Console(file=sys.__stderr__), transient=True)
    tasks: dict[str, Any] = {}

    def show(task: str, done: float, pace: str = "") -> None:
        if not tasks:
            bar.start()
        if task not in tasks:
            tasks[task] = bar.add_task(task, total=1.0)
        bar.update(tasks[task], completed=done, description=f"{task}, {pace}" if pace else task)

    try:
        yield show
    finally:
        bar.stop()
