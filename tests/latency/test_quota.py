"""The quota of control groups, from made-up file systems."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from bench.gate import contamination
from bench.latency import quota
from bench.latency.quota import cpu_quota

V1 = "4:memory:/m\n2:cpu,cpuacct:/docker/abc\n0::/\n"


@pytest.fixture
def system(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """/sys/fs/cgroup, with /proc/self/cgroup in it as `proc`."""
    for module in (quota, contamination):
        monkeypatch.setattr(module, "PROC", str(tmp_path / "proc"))
        monkeypatch.setattr(module, "ROOT", str(tmp_path))
    contamination._statistics.cache_clear()
    yield tmp_path
    contamination._statistics.cache_clear()


def write(system: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        path = system / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({"proc": "0::/\n"}, None),
        ({"proc": "0::/\n", "cpu.max": "50000 100000\n"}, 0.5),  # a container of its own namespace
        ({"proc": "0::/\n", "cpu.max": "max 100000\n"}, None),
        ({"proc": "0::/pod/box\n", "pod/box/cpu.max": "max 100000\n", "pod/cpu.max": "150000 100000\n"}, 1.5),
        ({"proc": "0::/pod/box\n", "pod/box/cpu.max": "300000 100000\n", "pod/cpu.max": "400000 100000\n"}, 3.0),
        ({"proc": "0::/not/seen/here\n", "cpu.max": "200000 100000\n"}, 2.0),  # the host's path, in a container
        ({"proc": V1, "cpu,cpuacct/cpu.cfs_quota_us": "25000\n", "cpu,cpuacct/cpu.cfs_period_us": "50000\n"}, 0.5),
        ({"proc": V1, "cpu,cpuacct/cpu.cfs_quota_us": "-1\n", "cpu,cpuacct/cpu.cfs_period_us": "100000\n"}, None),
        ({"proc": "0::/\n", "cpu.max": "?\n"}, None),
        ({"proc": "?\n"}, None),
        ({}, None),
    ],
)
def test_quota(system: Path, files: dict[str, str], expected: float | None) -> None:
    write(system, files)
    assert cpu_quota() == expected


@pytest.mark.parametrize(
    ("files", "seconds"),
    [
        ({"proc": "0::/b\n", "b/cpu.stat": "usage_usec 9\nnr_throttled 3\nthrottled_usec 1500000\n"}, 1.5),
        ({"proc": V1, "cpu,cpuacct/docker/abc/cpu.stat": "nr_throttled 3\nthrottled_time 2500000000\n"}, 2.5),
        ({"proc": "0::/\n", "cpu.stat": "usage_usec 9\n"}, 0.0),
        ({}, 0.0),
    ],
)
def test_throttled_time(system: Path, files: dict[str, str], seconds: float) -> None:
    write(system, files)
    assert contamination.read().throttled == pytest.approx(seconds)
