"""The run of a pytest session: made, with all that it needs loaded, before the first benchmark."""

import contextlib
import tempfile
import warnings
from collections.abc import Generator
from pathlib import Path

import pytest

from bench.latency.kinds import known_kind
from variants import UserError

from .options import parse
from .progress import progress
from .refusals import benchmark_session, check_measurable
from .stash import RUN, needs, variant_of


def begin(session: pytest.Session) -> None:
    """Claim the threads and load models and corpus, if any selected test rests on them; UsageError if that fails."""
    config = session.config
    skipped = {"recorded"} if config.getoption("benchmark_skip", False) else set()
    items = [item for item in session.items if isinstance(item, pytest.Function) and needs(item) - skipped]
    if not items or config.option.collectonly:
        return
    timed = any(needs(item) & {"live", "recorded"} for item in items)
    names = dict.fromkeys(variant_of(item).name for item in items)
    shared = hasattr(config, "workerinput")  # one process of pytest-xdist
    with usage_errors(), without_warnings():
        if timed and shared and benchmark_session(config).xdist_warning:
            return  # the process that started this one refuses
        if timed:
            check_measurable(config)
        from .run import Run

        shown = contextlib.ExitStack()
        config.add_cleanup(shown.close)
        run = Run(parse(config.getoption), names, _cache(config), shown.enter_context(progress()))
        if timed or not shared:  # another process may score
            run.prepare(timed)
            if config.getoption("accuracy") and run.scores.unjudged:
                raise UserError(f"--accuracy {config.getoption('accuracy')}: {run.scores.unjudged}; or leave it out")
    config.stash[RUN] = run
    terminal = config.pluginmanager.get_plugin("terminalreporter")
    if not timed or terminal is None or terminal.verbosity < 0 or benchmark_session(config).disabled:
        return
    for live in dict.fromkeys(item.originalname for item in items if "live" in needs(item)):
        terminal.write_line(run.live.outlook(live, len(names), config.option.minutes))
    if kinds := dict.fromkeys(item.originalname for item in items if "recorded" in needs(item)):
        budget = config.option.gate_budget if config.option.gate else run.options.timing.budget
        outlook = run.outlook([known_kind(name) or name for name in kinds], budget)
        terminal.write_line(f"{outlook}{', or less once all is decided' if config.option.gate else ''}")
        if not config.option.gate:
            folder = Path(config.getoption("benchmark_storage", "").removeprefix("file://"))
            with usage_errors(), without_warnings():
                for line in run.power([kind for name in kinds if (kind := known_kind(name))], folder):
                    terminal.write_line(line)


def end(session: pytest.Session) -> None:
    """What is done once all is measured."""
    run = session.config.stash.get(RUN, None)
    if run is not None and run.options.profile and run.timing.kinds:
        with without_warnings():
            run.profile()


@contextlib.contextmanager
def usage_errors() -> Generator[None, None, None]:
    """What is the user's to mend ends the session by one line."""
    try:
        yield
    except UserError as error:
        raise pytest.UsageError(str(error)) from None


@contextlib.contextmanager
def without_warnings() -> Generator[None, None, None]:
    """The libraries under test warn of their own dependencies' deprecations by the hundred."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def _cache(config: pytest.Config) -> Path:
    """Where accuracy is kept from run to run; a temporary folder, and a warning, where nothing can be kept."""
    cache = getattr(config, "cache", None)  # absent under -p no:cacheprovider
    if cache is not None:
        try:
            folder: Path = cache.mkdir("diartbench")
            tempfile.TemporaryFile(dir=folder).close()
            return folder
        except OSError as error:
            text = f"accuracy is scored anew in each run: {error.filename or 'the cache'}: {error.strerror}"
            config.issue_config_time_warning(pytest.PytestWarning(text), stacklevel=2)
    temporary = tempfile.TemporaryDirectory(prefix="diartbench-")
    config.add_cleanup(temporary.cleanup)
    return Path(temporary.name)
