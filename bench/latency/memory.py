"""Peak memory of a model: VmHWM of a process that runs it, less that of one that does not."""

import ctypes
import gc
import json
import os
import select
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

PATIENCE = 120.0  # seconds after which a child that hangs is given up


def peak_memory(make: Callable[[], Callable[[], Any]]) -> float | None:
    """MiB that running a model adds at its peak; None where the system cannot tell (no /proc).

    make: builds the model and returns a call that runs it once. A forked child, which shares nothing that it
    writes, builds it, gives freed memory back, resets its high-water mark, runs it thrice and reads the mark; a
    second child does the same without a model.
    """
    if not Path("/proc/self/clear_refs").exists():
        return None
    with_model, without = _in_child(make), _in_child(lambda: lambda: None)
    return None if with_model is None or without is None else max(0.0, with_model - without)


def _in_child(make: Callable[[], Callable[[], Any]]) -> float | None:
    """VmHWM in MiB of a forked child that makes and runs; None if it fails."""
    read_end, write_end = os.pipe()
    child = os.fork()
    if child == 0:  # nothing may escape into the parent's test session
        try:
            os.close(read_end)
            os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
            os.dup2(1, 2)
            torch.set_num_threads(1)  # OpenMP's pool does not survive a fork
            run = make()
            gc.collect()
            ctypes.CDLL(None).malloc_trim(0)
            Path("/proc/self/clear_refs").write_text(
                "5", encoding="utf-8"
            )  # 5: reset VmHWM to the present VmRSS (man 5 proc)
            for _ in range(3):
                run()
            os.write(write_end, json.dumps(_high_water()).encode())
        finally:
            os._exit(0)
    os.close(write_end)
    with os.fdopen(read_end, "rb") as pipe:
        answer = pipe.read() if select.select([pipe], [], [], PATIENCE)[0] else b""
    os.kill(child, signal.SIGKILL)  # it has answered or never will
    os.waitpid(child, 0)
    return float(json.loads(answer)) if answer else None


def _high_water() -> float:
    for line in Path("/proc/self/status").read_text(encoding="utf-8").splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) / 1024
    raise OSError("/proc/self/status holds no VmHWM")
