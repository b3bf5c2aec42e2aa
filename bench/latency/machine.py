"""What a run was measured on."""

import os
import platform
from pathlib import Path
from typing import Any

import psutil

from variants.runtime.cpu import cpu_flags


def cpu_model() -> str:
    """The processor as the system names it."""
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def governor() -> str:
    """The frequency governor of CPU 0, or "unknown"."""
    try:
        return Path("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor").read_text(encoding="utf-8").strip()
    except OSError:
        return "unknown"


def logical_cores() -> int:
    """CPUs as runtimes count them, whatever the process may use."""
    return os.cpu_count() or 1


def describe() -> dict[str, Any]:
    """CPU model and flags, governor, cores, load averages and the versions of what does the work."""
    import onnxruntime
    import torch

    return {
        "cpu": cpu_model(),
        "flags": cpu_flags(),
        "governor": governor(),
        "cores": psutil.cpu_count(logical=False) or logical_cores(),
        "load": [round(load, 2) for load in psutil.getloadavg()],
        "system": f"{platform.system()} {platform.machine()}",
        "torch": torch.__version__,
        "onnxruntime": onnxruntime.__version__,
    }
