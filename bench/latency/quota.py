"""How much CPU time this process' control groups (a container's, mostly) let it have, whatever its mask of CPUs."""

import contextlib
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

PROC, ROOT = "/proc/self/cgroup", "/sys/fs/cgroup"


def cpu_quota() -> float | None:
    """CPUs' worth of time, such as 0.5: the least that any of its groups allows; None without a limit."""
    limits = (_limit(folder) for folder in _groups())
    return min((limit for limit in limits if limit is not None), default=None)


def _groups() -> Iterator[Path]:
    """The groups that limit its CPU time, of either version of control groups, each with those above it."""
    with contextlib.suppress(OSError, ValueError):
        for line in Path(PROC).read_text(encoding="utf-8").splitlines():
            _, controllers, group = line.split(":", 2)
            if not controllers or "cpu" in controllers.split(","):
                path = PurePosixPath(group)
                for part in (path, *path.parents):  # a container may see its own group as the root
                    yield Path(ROOT, controllers, part.relative_to("/"))


def _limit(group: Path) -> float | None:
    """That of a group alone."""
    with contextlib.suppress(OSError, ValueError):
        quota, period = (group / "cpu.max").read_text(encoding="utf-8").split()  # version 2
        return None if quota == "max" else int(quota) / int(period)
    with contextlib.suppress(OSError, ValueError):
        names = ("cpu.cfs_quota_us", "cpu.cfs_period_us")  # version 1
        allowed, each = (int((group / name).read_text(encoding="utf-8")) for name in names)
        return allowed / each if allowed > 0 else None
    return None
