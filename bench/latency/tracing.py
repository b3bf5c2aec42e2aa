"""Coverage tools, profilers and debuggers: not to be timed. pytest-benchmark pauses those of `sys.settrace`, too."""

import sys
from collections.abc import Generator
from contextlib import contextmanager
from typing import Any


@contextmanager
def untraced() -> Generator[None, None, None]:
    """This thread without a tracer or profiler, whether of `sys.settrace`, `sys.setprofile` or `sys.monitoring`."""
    tracer, profiler = sys.gettrace(), sys.getprofile()
    sys.settrace(None)
    sys.setprofile(None)
    monitors = _silenced()
    try:
        yield
    finally:
        for monitoring, tool, event, callback in monitors:
            monitoring.register_callback(tool, event, callback)
        sys.setprofile(profiler)
        sys.settrace(tracer)


def _silenced() -> list[tuple[Any, int, int, Any]]:
    """Take away the callbacks of `sys.monitoring` (Python 3.12 on), which hears of all threads; what each was."""
    monitoring = getattr(sys, "monitoring", None)
    if monitoring is None:
        return []
    events = [value for name, value in vars(monitoring.events).items() if name.isupper() and value]
    pairs = [(tool, event) for tool in range(6) if monitoring.get_tool(tool) is not None for event in events]
    found = [(monitoring, *pair, monitoring.register_callback(*pair, None)) for pair in pairs]
    return [entry for entry in found if entry[3] is not None]
