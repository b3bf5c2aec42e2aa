"""What a variant starts and how often it is called: counts, which do not jitter."""

import gc
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any

import onnxruntime


class Census:
    """ONNX Runtime sessions and threads that this process has started since and still has; runs of sessions.

    It stays in place for as long as the process lives: for a child of its own.
    """

    def __init__(self) -> None:
        self._sessions: weakref.WeakSet[Any] = weakref.WeakSet()
        self._before = _threads()
        make, seen = onnxruntime.InferenceSession.__init__, self._sessions

        def init(session: Any, *arguments: Any, **named: Any) -> None:
            make(session, *arguments, **named)
            seen.add(session)

        onnxruntime.InferenceSession.__init__ = init
        self.runs = 0  # of all sessions
        for name in ("run", "run_with_iobinding"):
            setattr(onnxruntime.InferenceSession, name, self._counted(getattr(onnxruntime.InferenceSession, name)))

    def _counted(self, method: Callable[..., Any]) -> Callable[..., Any]:
        def run(*arguments: Any, **named: Any) -> Any:
            self.runs += 1
            return method(*arguments, **named)

        return run

    def __call__(self) -> dict[str, int]:
        """How many sessions and threads there are of them."""
        gc.collect()
        return {"sessions": len(self._sessions), "threads": _threads() - self._before}


class Calls:
    """A callable that counts its calls, and else is what it calls."""

    def __init__(self, called: Callable[..., Any]) -> None:
        self.called, self.count = called, 0

    def __call__(self, *arguments: Any, **named: Any) -> Any:
        self.count += 1
        return self.called(*arguments, **named)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.called, name)

    def to(self, *_: Any) -> "Calls":
        """Stays where it is, and counts on."""
        return self


def _threads() -> int:
    return len(list(Path("/proc/self/task").iterdir()))
