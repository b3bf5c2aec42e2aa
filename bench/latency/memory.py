"""What a model takes in a process of its own: the peak of its memory, and what it starts."""

import ctypes
import functools
import gc
import json
import os
import select
import signal
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

PATIENCE = 120.0  # seconds after which a child that hangs is given up
MMAP_THRESHOLD, KIB = -3, 1024  # of mallopt (malloc.h)

Run = Callable[[], Any]
Count = Callable[[], Mapping[str, int]]


@dataclass(frozen=True)
class Footprint:
    """MiB at the peak, None where the system cannot tell; counts by name, empty where they could not be had."""

    memory: float | None
    counts: Mapping[str, int] = field(default_factory=dict)


def footprint(make: Callable[[], tuple[Run, Count]]) -> Footprint:
    """The memory that running a model adds at its peak, and what `make` counts of it; nothing without /proc.

    make: builds the model and returns a call that runs it once, and one that counts afterwards. A forked child, which
    shares nothing that it writes, builds it, runs it once, gives freed memory back, resets its high-water mark, runs it
    thrice and reads the mark; a second child does the same without a model. Pages of files, which processes share and
    which are there or not by what ran before, are left out, and large blocks are returned at once, whatever holes the
    parent's heap has: so that equal models take about equally much from run to run.
    """
    if not Path("/proc/self/clear_refs").exists():
        return Footprint(None)
    with_model, without = _in_child(make), _in_child(lambda: (lambda: None, dict))
    if with_model is None or without is None:
        return Footprint(None)
    return Footprint(max(0.0, with_model.memory - without.memory), with_model.counts)  # type: ignore[operator]


def peak_memory(make: Callable[[], Run]) -> float | None:
    """The memory alone, see `footprint`."""
    return footprint(lambda: (make(), dict)).memory


def _in_child(make: Callable[[], tuple[Run, Count]]) -> Footprint | None:
    """What a forked child that makes and runs takes in all; None if it fails."""
    read_end, write_end = os.pipe()
    child = os.fork()
    if child == 0:  # nothing may escape into the parent's test session
        try:
            os.close(read_end)
            os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
            os.dup2(1, 2)
            torch.set_num_threads(1)  # OpenMP's pool does not survive a fork
            library = ctypes.CDLL(None)
            if hasattr(library, "mallopt"):  # glibc
                library.mallopt(MMAP_THRESHOLD, 128 * KIB)
            measure = functools.partial(_measure, make, library, torch.is_grad_enabled(), write_end)
            # in a thread of its own, which has a heap of its own: the parent's has holes, and each run may fill another
            thread = threading.Thread(target=measure)
            thread.start()
            thread.join()
        finally:
            os._exit(0)
    os.close(write_end)
    with os.fdopen(read_end, "rb") as pipe:
        answer = pipe.read() if select.select([pipe], [], [], PATIENCE)[0] else b""
    os.kill(child, signal.SIGKILL)  # it has answered or never will
    os.waitpid(child, 0)
    return Footprint(*json.loads(answer)) if answer else None


def _measure(make: Callable[[], tuple[Run, Count]], library: ctypes.CDLL, gradients: bool, answer: int) -> None:
    """Make and run in this process; what was found goes to the file descriptor `answer`."""
    with torch.set_grad_enabled(gradients):  # which is each thread's own
        run, count = make()
        run()
        gc.collect()
        if hasattr(library, "malloc_trim"):
            library.malloc_trim(0)
        # 5: reset VmHWM to the present VmRSS (man 5 proc)
        Path("/proc/self/clear_refs").write_text("5", encoding="utf-8")
        for _ in range(3):
            run()
        found = _status("VmHWM") - _status("RssFile"), dict(count())
    os.write(answer, json.dumps(found).encode())


def _status(name: str) -> float:
    """A size of this process in MiB."""
    for line in Path("/proc/self/status").read_text(encoding="utf-8").splitlines():
        if line.startswith(f"{name}:"):
            return int(line.split()[1]) / KIB
    raise OSError(f"/proc/self/status holds no {name}")
