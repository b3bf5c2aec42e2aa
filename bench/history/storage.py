"""pytest-benchmark's own files in `.benchmarks/`, made safe against killed, simultaneous and broken runs."""

import os
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from pytest_benchmark import session as benchmark_session
from pytest_benchmark.storage.file import FileStorage
from pytest_benchmark.utils import safe_dumps

from .compare import stored_ratios


class SafeStorage(FileStorage):
    """Files are there whole or not at all, each run has a number of its own, and foreign files are skipped."""

    failed: Callable[[str], None] | None = None  # told what could not be saved; None: that is raised

    def save(self, output_json: Any, save: str) -> None:
        try:
            with locked(self.get("")):
                path = self.get(f"{self._next_num}_{save}.json")
                write(path, output_json)
        except OSError as error:
            if self.failed is None:
                raise
            return self.failed(f"--benchmark-save: not written: {self.get('')}: {error.strerror}")
        self.logger.info(f"Saved benchmark data in: {path}")

    def load(self, *globs_or_files: str) -> Generator[tuple[Path, Any], None, None]:
        for path, data in super().load(*globs_or_files):  # which names and skips what is no JSON
            try:
                problem = foreign(data)
            except (ValueError, LookupError, TypeError, AttributeError, OverflowError) as error:
                problem = f"not a pytest-benchmark run ({type(error).__name__}: {error})"
            if problem:
                self.logger.warning(f"Skipped {path}: {problem}")
            else:
                yield path, data


def install(failed: Callable[[str], None]) -> pytest.MonkeyPatch:
    """Let pytest-benchmark store its runs so, until the result's `undo`; its elasticsearch storage stays as it is.

    failed: told what could not be written at the end of a session, whose tables are still to be shown.
    """
    original = benchmark_session.load_storage

    def load_storage(*args: Any, **kwargs: Any) -> Any:
        storage = original(*args, **kwargs)
        if isinstance(storage, FileStorage):
            storage = SafeStorage(storage.path, storage.logger, storage.default_machine_id)
            storage.failed = failed
        return storage

    def save_json(self: Any, output_json: Any) -> None:
        try:
            write(Path(self.json), output_json)
        except OSError as error:
            return failed(f"--benchmark-json: not written: {self.json}: {error.strerror}")
        self.logger.info(f"Wrote benchmark data in: {self.json}", purple=True)

    patch = pytest.MonkeyPatch()
    patch.setattr(benchmark_session, "load_storage", load_storage)
    patch.setattr(benchmark_session.BenchmarkSession, "save_json", save_json)
    return patch


def write(path: Path, content: Any) -> None:
    """Write JSON as pytest-benchmark does, in one step."""
    from variants.files import write_atomically  # `variants` imports torch

    write_atomically(path, safe_dumps(content, ensure_ascii=True, indent=4))


@contextmanager
def locked(folder: Path) -> Generator[None, None, None]:
    """Hold a folder's lock, which the system releases if the process is killed."""
    import fcntl  # POSIX only

    handle = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def foreign(data: Any) -> str | None:
    """What keeps a loaded JSON from being a pytest-benchmark run; None if nothing does.

    Raises LookupError, TypeError, ValueError, AttributeError or OverflowError for what has not even its form.
    """
    for lacking in (key for key in ("machine_info", "benchmarks", "datetime") if key not in data):
        return f"not a pytest-benchmark run: it has no {lacking!r}"
    if any("fullname" not in benchmark for benchmark in data["benchmarks"]):
        return "not a pytest-benchmark run: a benchmark has no 'fullname'"
    then = data.get("diartbench") or {}
    if not all(isinstance(part, dict) for part in (then, then.get("machine", {}), then.get("settings") or {})):
        return "its conditions are not what this project writes"
    list(stored_ratios(data))
    return None
