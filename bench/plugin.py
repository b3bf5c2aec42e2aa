"""The pytest plugin: options, the `variant` parameter, replayed rounds, and the report."""

import contextlib
import os
import sys
import tempfile
import warnings
from collections.abc import Callable, Generator, Sequence
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from rich.console import Console
from rich.progress import Progress

from . import hidden  # noqa: F401 - first: whether the packages below are ours

# isort: split
import variants
from variants import UserError
from variants.loading import FETCHED_SEGMENTATION

from .history.storage import install
from .latency.kinds import KindName, kind_of
from .run.options import add_options, parse
from .run.refusals import benchmark_session, check_measurable, option_adder
from .run.stash import RUN, variant_of

if TYPE_CHECKING:
    from pytest_benchmark.fixture import BenchmarkFixture

    from .run.run import Run

pytest_plugins = ["bench.gate.plugin"]

HISTORY: pytest.StashKey[Sequence[dict[str, Any]]] = pytest.StashKey()  # stored runs, for the report
LINES: pytest.StashKey[list[str]] = pytest.StashKey()  # to say below the tables: what was written, or was not
COMPARED: pytest.StashKey[dict[str, Any]] = pytest.StashKey()  # stored runs by the time of their making
NEEDS_RUN = {"recorded", "scored"}  # fixtures that rest on loaded models


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("diartbench", "DIART embedding variants")
    add = option_adder(group)
    add_options(add)
    text = "write index.html, summary.md and results.json there"
    add("--report", dest="report_folder", type=Path, metavar="DIR", help=text)


def pytest_configure(config: pytest.Config) -> None:
    config.option.benchmark_save_data = True  # saved runs keep their rounds
    config.add_cleanup(install(lambda line: _fail(config, line)).undo)
    config.addinivalue_line("python_files", "bench_*.py")  # so that other projects collect our benchmarks too
    config.addinivalue_line("python_functions", "bench_*")


def _selected(config: pytest.Config) -> list[variants.Variant]:
    return variants.select(config.getoption("variants"))


def pytest_report_header(config: pytest.Config) -> str:
    """Which models a run measures, before all else."""
    segmentation = config.getoption("segmentation")
    hint = (
        "" if segmentation != "bundled" else f" (`python -m variants fetch {FETCHED_SEGMENTATION}` gets a better one)"
    )
    return f"diartbench: embedding {config.getoption('embedding')}, segmentation {segmentation}{hint}"


@pytest.hookimpl(tryfirst=True)
def pytest_collection(session: pytest.Session) -> None:
    """Refuse bad options before anything is collected."""
    with _usage_errors():
        _selected(session.config)
        parse(session.config.getoption)
        _prepare_report(session.config)


@contextlib.contextmanager
def _usage_errors() -> Generator[None, None, None]:
    """What is the user's to mend ends the session by one line."""
    try:
        yield
    except UserError as error:
        raise pytest.UsageError(str(error)) from None


def _prepare_report(config: pytest.Config) -> None:
    """Refuse a report's folder before anything is measured, and look at the stored runs before this one joins them."""
    folder = config.getoption("report_folder")
    if folder is None or config.option.collectonly:
        return
    from .report.page import check_folder
    from .report.stored import stored_runs

    check_folder(folder)
    config.stash[HISTORY] = stored_runs(Path(config.getoption("benchmark_storage", "").removeprefix("file://")))


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """The first benchmark of a kind measures all of it: a pytest-timeout meant for tests would end that half way."""
    if config.pluginmanager.has_plugin("timeout"):
        for item in items:
            if NEEDS_RUN & {*getattr(item, "fixturenames", ())} and not item.get_closest_marker("timeout"):
                item.add_marker(pytest.mark.timeout(0))


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Variants for what rests on a run; a user's own tests may have a parameter of that name."""
    if "variant" in metafunc.fixturenames and NEEDS_RUN & set(metafunc.fixturenames):
        chosen = _selected(metafunc.config)
        metafunc.parametrize("variant", chosen, ids=[v.name for v in chosen])


@pytest.hookimpl(tryfirst=True)
def pytest_runtestloop(session: pytest.Session) -> None:
    """Claim the threads and load models and corpus before the first benchmark, and before any torch work."""
    config = session.config
    needs = NEEDS_RUN - ({"recorded"} if config.getoption("benchmark_skip", False) else set())
    items = [item for item in session.items if isinstance(item, pytest.Function) and needs & {*item.fixturenames}]
    if not items or config.option.collectonly:
        return
    timed = any("recorded" in item.fixturenames for item in items)
    names = dict.fromkeys(variant_of(item).name for item in items)
    shared = hasattr(config, "workerinput")  # one process of pytest-xdist
    with _usage_errors(), _without_warnings():
        if timed and shared and benchmark_session(config).xdist_warning:
            return  # the process that started this one refuses
        if timed:
            check_measurable(config)
        from .run.run import Run

        run = Run(parse(config.getoption), names, _cache(config), _progress(config))
        if timed or not shared:  # another process may score
            run.prepare(timed)
            if run.options.scoring.extent == "full" and run.scores.unjudged:
                raise UserError(f"--accuracy full: {run.scores.unjudged}; or leave it out")
    config.stash[RUN] = run
    terminal = config.pluginmanager.get_plugin("terminalreporter")
    if timed and terminal is not None and terminal.verbosity >= 0 and not benchmark_session(config).disabled:
        kinds = len({item.originalname for item in items if "recorded" in item.fixturenames})
        outlook = run.outlook(kinds, config.option.gate_budget if config.option.gate else run.options.timing.budget)
        terminal.write_line(f"{outlook}{', or less once all is decided' if config.option.gate else ''}")


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


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_node_collection_finished(node: Any, ids: Sequence[str]) -> None:
    """Refuse benchmarks in several processes at once, before any of them is started."""
    if any("::bench_" in name for name in ids):
        with _usage_errors():
            check_measurable(node.config)


class Recorded:
    """The rounds of one benchmark; None of them where benchmarks are disabled."""

    def __init__(self, run: "Run", kind: KindName, name: str) -> None:
        self.run, self.kind, self.name = run, kind, name

    def replay(self, benchmark: "BenchmarkFixture") -> None:
        """Feed the rounds to pytest-benchmark, or run one chunk where benchmarks are disabled."""
        if benchmark.disabled:
            benchmark.pedantic(lambda: self.run.timing.try_once(self.kind, self.name))
            return
        benchmark.extra_info.update(self.run.extra_info(self.kind, self.name))
        benchmark.pedantic(lambda: None, rounds=self.run.timing.kinds[self.kind].latencies[self.name].rounds)


@pytest.fixture
def recorded(request: pytest.FixtureRequest, variant: variants.Variant) -> Recorded:
    """Rounds of `variant`, measured interleaved with all others; sets the timer that replays them."""
    from .latency.replay import replay_timer

    run = request.config.stash[RUN]
    try:
        kind = kind_of(request.node.originalname)
    except UserError as error:
        pytest.fail(str(error), pytrace=False)
    _need(run, variant.name)
    marker: dict[str, Any] = {"group": kind}
    if not benchmark_session(request.config).disabled:
        try:
            with _without_warnings():
                rounds = run.rounds(kind, variant.name)
        except UserError as error:
            pytest.fail(str(error), pytrace=False)
        marker["timer"] = replay_timer(rounds)
    request.node.add_marker(pytest.mark.benchmark(**marker))
    return Recorded(run, kind, variant.name)


@pytest.fixture
def scored(request: pytest.FixtureRequest, variant: variants.Variant) -> "Run":
    """The run with every variant's accuracy in `scored.scores`; skips what cannot run or was not to be scored."""
    run = request.config.stash[RUN]
    with _without_warnings():
        run.models.load()  # by which it is known what cannot run
    if run.options.scoring.extent == "off":
        pytest.skip("--accuracy off")
    if not run.scores.wanted:
        pytest.fail(f"{run.scores.unjudged}; use --accuracy off", pytrace=False)
    _need(run, variant.name)
    with _without_warnings():
        _ = run.scores.accuracy
    return run


def _need(run: "Run", name: str) -> None:
    """Skip what cannot run here, and fail what should but does not, each with its reason."""
    if name in run.models.skipped:
        pytest.skip(run.models.skipped[name])
    if name in run.models.broken:
        pytest.fail(f"{name} {run.models.broken[name]}", pytrace=False)


@contextlib.contextmanager
def _without_warnings() -> Generator[None, None, None]:
    """The libraries under test warn of their own dependencies' deprecations by the hundred."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def _progress(config: pytest.Config) -> Callable[[str, float], None]:
    """A progress bar on the terminal; nothing where there is none (CI logs, files)."""
    if not sys.__stderr__ or not sys.__stderr__.isatty() or os.environ.get("CI"):
        return lambda task, done: None
    bar = Progress(console=Console(file=sys.__stderr__), transient=True)
    tasks: dict[str, Any] = {}

    def show(task: str, done: float) -> None:
        if not tasks:
            bar.start()
            config.add_cleanup(bar.stop)
        if task not in tasks:
            tasks[task] = bar.add_task(task, total=1.0)
        bar.update(tasks[task], completed=done)

    return show


@pytest.hookimpl(optionalhook=True)
def pytest_benchmark_update_json(config: pytest.Config, benchmarks: list[Any], output_json: dict[str, Any]) -> None:
    """Add what the whole run rests on: machine, threads, models, corpus and settings."""
    if RUN in config.stash:
        output_json.setdefault("diartbench", {}).update(config.stash[RUN].conditions())


@pytest.hookimpl(optionalhook=True)
def pytest_benchmark_compare_machine_info(config: pytest.Config, compared_benchmark: dict[str, Any]) -> None:
    """Remember each run that `--benchmark-compare` loads, to set ratios beside ratios."""
    config.stash.setdefault(COMPARED, {})[compared_benchmark.get("datetime", "an unknown time")] = compared_benchmark


def _fail(config: pytest.Config, line: str) -> None:
    """Let the session fail once all is shown, by a line below the tables; a regression that the gate found wins."""
    from .gate.verdict import EXIT, INCONCLUSIVE

    config.stash.setdefault(LINES, []).append(line)
    session = config.pluginmanager.get_plugin("session")
    if isinstance(session, pytest.Session) and session.exitstatus in (pytest.ExitCode.OK, EXIT[INCONCLUSIVE]):
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """Write the report, after pytest-benchmark has stored its own; a failure ends the session with a failure."""
    config = session.config
    folder, run = config.getoption("report_folder"), config.stash.get(RUN, None)
    if folder is None or run is None:
        return
    from .gate.plugin import GATE
    from .report.document import document, gate_rows
    from .report.page import write

    made = datetime.now(timezone.utc).isoformat(timespec="seconds")
    try:
        with _without_warnings():
            gate = gate_rows(config.stash[GATE].facts()) if GATE in config.stash else None
            page = write(document(run.findings(), made, config.stash[HISTORY], gate), folder)
        config.stash.setdefault(LINES, []).append(f"report: {page}")
    except OSError as error:
        _fail(config, f"report: not written: {folder}: {error.strerror}")


@pytest.hookimpl(wrapper=True)
def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> Generator[None, None, None]:
    """Our tables, after pytest-benchmark's, whatever becomes of those; its own regressions fail the session."""
    from pytest_benchmark.session import PerformanceRegression

    try:
        yield
    except PerformanceRegression as error:  # which it has shown
        _fail(config, f"--benchmark-compare-fail: {error}")
    finally:
        run = config.stash.get(RUN, None)
        if run is not None and run.timing.kinds:
            from .report.fitted import terminal_width
            from .report.terminal import render

            terminalreporter.section("DiartBench")
            width = terminal_width(terminalreporter.isatty)
            terminalreporter.write(render(run.findings(config.stash.get(COMPARED, {})), width))
            terminalreporter.write_line(f"took: {run.took}")
        for line in config.stash.get(LINES, []):
            terminalreporter.write_line(line)
