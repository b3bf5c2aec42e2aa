"""What a run was measured on."""

import os
import platform
from pathlib import Path
from typing import Any

import psutil


def cpu_model() -> str:
    """The processor as the system names it."""
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def cpu_flags() -> list[str]:
    """The vector instructions that matter here, of those that the CPU has."""
    wanted = {
        "avx2",
        "fma",
        "avx512f",
        "avx512_vnni",
        "avx_vnni",
        "avx512_bf16",
        "amx_int8",
        "amx_bf16",
        "neon",
    }
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith(("flags", "Features")):
                return sorted(wanted & set(line.partition(":")[2].split()))
    except OSError:
        pass
    return []


def governor() -> str:
    """The frequency governor of CPU 0, or "unknown"."""
    try:
        return Path("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor").read_text().strip()
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
