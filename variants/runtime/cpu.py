"""What the CPU can do."""

from pathlib import Path

WANTED = {"avx2", "fma", "avx512f", "avx512_vnni", "avx_vnni", "avx512_bf16", "amx_int8", "amx_bf16", "neon", "asimddp"}
INT8 = {"avx512_vnni", "avx_vnni", "amx_int8", "asimddp"}  # multiply int8 into 32 bits without saturating


def cpu_flags() -> list[str]:
    """The vector instructions that matter here, of those that the CPU has; empty where the system does not say."""
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith(("flags", "Features")):
                return sorted(WANTED & set(line.partition(":")[2].split()))
    except OSError:
        pass
    return []


def multiplies_int8() -> bool:
    """Whether int8 products need no spare bit: without these instructions, sums of two products saturate at 16 bits."""
    return bool(INT8 & set(cpu_flags()))
