"""What is timed is not traced, and what traced before does so again."""

import sys
from types import SimpleNamespace
from typing import Any

import pytest

from bench.latency.tracing import untraced


def work() -> int:
    return sum(i for i in range(3))


class Seen(list[str]):
    """A tracer or profiler that notes the functions it sees."""

    def __call__(self, frame: Any, event: str, _: Any) -> "Seen":
        self.append(frame.f_code.co_name)
        return self


@pytest.mark.parametrize("kind", ["trace", "profile"])
def test_tracers_rest_meanwhile(kind: str) -> None:
    before, set_it, get_it = getattr(sys, f"get{kind}")(), getattr(sys, f"set{kind}"), getattr(sys, f"get{kind}")
    seen = Seen()
    set_it(seen)
    try:
        with pytest.raises(KeyError), untraced():
            seen.clear()
            work()
            unseen = list(seen)
            raise KeyError
        again = get_it()
        work()
    finally:
        set_it(before)
    assert unseen == [] and again is seen and "work" in seen


class Monitoring:
    """As much of `sys.monitoring` as there is to silence: tools 1 and 3 listen."""

    def __init__(self) -> None:
        self.events = SimpleNamespace(PY_START=1, LINE=32, NO_EVENTS=0)
        self.callbacks: dict[tuple[int, int], Any] = {(1, 1): "coverage", (1, 32): "lines", (3, 32): "debugger"}

    def get_tool(self, tool: int) -> str | None:
        return {1: "coverage", 3: "debugger"}.get(tool)

    def register_callback(self, tool: int, event: int, callback: Any) -> Any:
        before = self.callbacks.pop((tool, event), None)
        if callback is not None:
            self.callbacks[tool, event] = callback
        return before


def test_monitors_rest_meanwhile(monkeypatch: pytest.MonkeyPatch) -> None:
    made = Monitoring()
    before = dict(made.callbacks)
    monkeypatch.setattr(sys, "monitoring", made, raising=False)
    with untraced():
        assert made.callbacks == {}
    assert made.callbacks == before


@pytest.mark.skipif(sys.version_info < (3, 12), reason="sys.monitoring came with Python 3.12")
def test_a_real_monitor_rests_meanwhile() -> None:
    monitoring, seen = sys.monitoring, []  # type: ignore[attr-defined]
    monitoring.use_tool_id(4, "test")
    try:
        monitoring.register_callback(4, monitoring.events.PY_START, lambda code, _: seen.append(code.co_name))
        monitoring.set_events(4, monitoring.events.PY_START)
        with untraced():
            work()
        assert "work" not in seen
        work()
        assert "work" in seen
    finally:
        monitoring.set_events(4, 0)
        monitoring.free_tool_id(4)


def test_a_whole_kind_is_measured_untraced(made_project: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    import made

    seen = []
    monkeypatch.setattr("bench.run.timing.Interleaved.measure", lambda *_: seen.append(sys.gettrace()) or made.rounds())
    made_project.makeconftest(
        """
        import sys
        pytest_plugins = ["bench.plugin"]
        def pytest_runtest_setup(item): sys.settrace(lambda *_: None)
        def pytest_runtest_teardown(item): assert sys.gettrace(); sys.settrace(None)
        """
    )
    result = made_project.runpytest_inprocess("--pyargs", "bench", "--variants", "distilled")
    result.assert_outcomes(passed=2)
    assert seen == [None, None]
