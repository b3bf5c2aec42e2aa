"""Thread counts and CPU masks: choosing them, and applying them to a whole fresh process."""

import json
import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from bench.latency import threads
from bench.latency.threads import Threads, allowed_cpus, choose, physical_cores
from variants import UserError

LINUX = pytest.mark.skipif(not hasattr(os, "sched_getaffinity"), reason="this system has no affinity")


@pytest.fixture(autouse=True)
def no_quota(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever container the tests run in."""
    monkeypatch.setattr(threads, "cpu_quota", lambda: None)


@pytest.fixture
def hyperthreads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine of two sockets with one core each and two hardware threads on each core: (0, 2) and (1, 3)."""
    for cpu in range(4):
        topology = tmp_path / f"sys/devices/system/cpu/cpu{cpu}/topology"
        topology.mkdir(parents=True)
        (topology / "physical_package_id").write_text(f"{cpu % 2}\n")
        (topology / "core_id").write_text("0\n")
    monkeypatch.setattr(threads, "Path", lambda path: tmp_path / path.lstrip("/"))


@pytest.mark.usefixtures("hyperthreads")
def test_one_cpu_of_each_physical_core() -> None:
    assert physical_cores((0, 1, 2, 3)) == (0, 1)
    assert physical_cores((1, 2, 3)) == (1, 2)
    assert physical_cores((1, 3)) == (1,)
    assert physical_cores(()) == ()
    assert physical_cores((7, 8)) == (7, 8)  # nothing known of them: each its own core


@pytest.mark.usefixtures("hyperthreads")
def test_choice_takes_distinct_cores_of_the_allowed_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(threads, "allowed_cpus", lambda: (1, 2, 3))
    assert choose(1) == Threads(1, (1,))
    assert choose(2) == Threads(2, (1, 2))
    with pytest.raises(UserError, match=r"--threads 3: only 2 physical cores"):
        choose(3)


@pytest.mark.usefixtures("hyperthreads")
def test_the_variable_that_binds_threads_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(threads, "allowed_cpus", lambda: (1,))  # as libgomp leaves it
    monkeypatch.setenv("OMP_PROC_BIND", "close")
    monkeypatch.setenv("OMP_PLACES", "cores")
    assert choose(1) == Threads(1, (1,))
    with pytest.raises(UserError, match=r"only 1 .*; unset OMP_PROC_BIND=close, OMP_PLACES=cores, which binds threads"):
        choose(2)


@LINUX
@pytest.mark.skipif(len(physical_cores(allowed_cpus())) < 2, reason="takes two physical cores")
@pytest.mark.parametrize("setting", ["OMP_PROC_BIND=close", "OMP_PLACES={0}", "GOMP_CPU_AFFINITY=0"])
def test_two_threads_of_a_bound_process(setting: str) -> None:
    name, _, value = setting.partition("=")
    found = python(
        """
        import json
        from bench.latency.threads import choose
        from variants import UserError
        try:
            print(json.dumps(choose(2).cpus))
        except UserError as error:
            print(json.dumps(str(error)))
        """,
        **{name: value},
    )
    assert len(found) == 2 or f"unset {setting}" in found  # another OpenMP than libgomp does not narrow the mask


def test_a_limit_of_threads_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(threads, "allowed_cpus", lambda: ())
    monkeypatch.setenv("OMP_THREAD_LIMIT", "2")
    assert choose(2) == Threads(2, ())
    with pytest.raises(UserError, match="--threads 3: unset OMP_THREAD_LIMIT=2, which allows no more"):
        choose(3)


@pytest.mark.parametrize(("quota", "most"), [(0.5, 1), (1.0, 1), (2.5, 2), (99.0, 3)])
def test_threads_beyond_a_containers_quota_are_refused(
    monkeypatch: pytest.MonkeyPatch, quota: float, most: int
) -> None:
    monkeypatch.setattr(threads, "allowed_cpus", lambda: ())
    monkeypatch.setattr(threads, "cpu_quota", lambda: quota)
    assert choose(most) == Threads(most, ())
    if most < quota + 1 < 4:
        with pytest.raises(UserError, match=f"--threads {most + 1}: .* quota allows the time of {quota:g} CPUs"):
            choose(most + 1)


@pytest.mark.parametrize("count", [0, -1])
def test_no_threads_at_all_are_refused(count: int) -> None:
    with pytest.raises(UserError, match=f"--threads {count}: must be 1 or more"):
        choose(count)


def test_without_affinity_nothing_is_pinned(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(os, "sched_getaffinity", raising=False)
    assert allowed_cpus() == ()
    assert choose(64) == Threads(64, ())
    assert str(choose(1)) == "1 thread, not pinned"
    assert str(choose(2)) == "2 threads, not pinned"


def test_pinning_is_told() -> None:
    assert str(Threads(2, (1, 3))) == "2 threads, pinned to CPU 1,3"


def python(script: str, **environment: str) -> dict:
    """What a fresh interpreter prints as JSON."""
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script)],
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | environment,
        cwd=Path(__file__).parents[2],
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


@LINUX
@pytest.mark.slow
def test_one_thread_is_one_cpu_for_every_runtime() -> None:
    """Torch, BLAS and ONNX Runtime in a process whose threads already run, and those that start later."""
    found = python(
        """
        import json, os, threading, time
        import numpy, torch
        from threadpoolctl import threadpool_info
        from bench.latency.threads import apply, choose

        wake = threading.Event()
        threading.Thread(target=wake.wait, daemon=True).start()  # there before
        torch.set_num_threads(4)
        torch.ones(300, 300) @ torch.ones(300, 300)  # and torch's own
        chosen = choose(1)
        apply(chosen)

        threading.Thread(target=wake.wait, daemon=True).start()  # there after

        class Tiny(torch.nn.Module):
            def forward(self, waveform, weights):
                return waveform.mean(-1) + weights.mean(-1, keepdim=True)

        from variants.paper.onnx import onnx_default, onnx_pinned
        pinned = onnx_pinned(Tiny())
        waveform, weights = torch.rand(2, 1, 80000), torch.rand(2, 293)
        assert pinned(waveform, weights).shape == (2, 1)

        a = torch.rand(600, 600)
        b = numpy.random.rand(600, 600)
        wall, cpu = time.perf_counter(), time.process_time()
        while time.perf_counter() < wall + 0.5:
            a @ a
            b @ b
            pinned(waveform, weights)
        share = (time.process_time() - cpu) / (time.perf_counter() - wall)
        tasks = [int(task) for task in os.listdir("/proc/self/task")]
        print(json.dumps({
            "chosen": chosen.cpus,
            "share": share,
            "masks": [sorted(os.sched_getaffinity(task)) for task in tasks],
            "torch": [torch.get_num_threads(), torch.get_num_interop_threads()],
            "pools": [pool["num_threads"] for pool in threadpool_info()],
            "session": pinned.model.session.get_session_options().intra_op_num_threads,
            "environment": [os.environ[f"{name}_NUM_THREADS"] for name in ("OMP", "MKL", "OPENBLAS")],
        }))
        """
    )
    (cpu,) = found["chosen"]
    assert cpu in allowed_cpus()
    assert len(found["masks"]) >= 3
    assert all(mask == [cpu] for mask in found["masks"])
    assert found["torch"] == [1, 1]
    assert found["pools"]
    assert set(found["pools"]) == {1}
    assert found["session"] == 1
    assert found["environment"] == ["1"] * 3
    assert found["share"] <= 1.15


@LINUX
@pytest.mark.skipif(len(physical_cores(allowed_cpus())) < 2, reason="takes two physical cores")
def test_one_thread_on_any_core_for_untimed_work_and_back() -> None:
    found = python(
        """
        import json, os, torch
        from bench.latency.threads import allowed_cpus, apply, choose, untimed

        def state():
            return [torch.get_num_threads(), len(os.sched_getaffinity(0))]

        before, two = allowed_cpus(), choose(2)
        one = choose(1)
        apply(one)
        states = [state()]
        with untimed(one, before):
            states.append(state())
        states.append(state())
        apply(two)
        states.append(state())
        print(json.dumps({"states": states, "allowed": len(before), "two": two.cpus}))
        """
    )
    assert found["states"][0] == found["states"][2] == [1, 1]
    assert found["states"][1] == [1, found["allowed"]]
    assert found["states"][3] == [2, 2]
    assert len(set(found["two"])) == 2
