"""The pytest plugin: options, the `variant` parameter, replayed rounds, and the report."""

from collections.abc import Generator, Sequence
from pathlib import Path
from typing import Any

import pytest

from . import hidden  # noqa: F401 - first: whether the packages below are ours

# isort: split
from variants import Variant
from variants.commands import number
from variants.loading import FETCHED_SEGMENTATION

from .history.git import outside_hooks
from .history.storage import install
from .run.options import add_options, chosen, parse
from .run.output import COMPARED, LINES, prepare_report, show, write_live, write_report
from .run.refusals import check_jobs, check_measurable, option_adder
from .run.session import begin, end, usage_errors
from .run.stash import RUN, UNRESOLVED, needs

HERE = Path(__file__).resolve().parent
NAMED = {  # each in a file of its own
    "capacity": "live streams per core",
    "cold_start": "start processes anew",
    "soak": "what grows while live streams go on",
}
pytest_plugins = ["bench.run.fixtures", "bench.gate.plugin"]


def pytest_addoption(parser: pytest.Parser) -> None:
    add = option_adder(parser)
    add_options(add)
    text = "write index.html, summary.md and results.json there"
    add("--report", dest="report_folder", type=Path, metavar="DIR", help=text)
    minutes = number(float, 0.01)
    add("--minutes", type=minutes, default=10.0, metavar="M", help="with -m soak: minutes of audio (default: 10)")
    add("--live-json", type=Path, metavar="FILE", help="with -m capacity or soak: write what was found there")


def pytest_configure(config: pytest.Config) -> None:
    config.option.benchmark_save_data = True  # saved runs keep their rounds
    config.add_cleanup(install(lambda line: _fail(config, line)).undo)
    config.addinivalue_line("python_files", "bench_*.py")  # so that other projects collect our benchmarks too
    config.addinivalue_line("python_functions", "bench_*")
    for marker, what in NAMED.items():
        config.addinivalue_line("markers", f"{marker}: {what}; collected only where it is named")


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Some benchmarks take long: they are for those who name the file, or the marker."""
    kind, given = collection_path.stem.removeprefix("bench_"), f"{config.option.markexpr} {config.option.keyword}"
    return True if collection_path.parent == HERE and kind in NAMED and kind not in given else None


def _selected(config: pytest.Config) -> list[Variant]:
    return chosen(config.getoption)


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
    with usage_errors():
        _selected(session.config)
        parse(session.config.getoption)
        check_jobs(session.config)
        prepare_report(session.config)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """The first benchmark of a kind measures all of it: a pytest-timeout meant for tests would end that half way."""
    if config.pluginmanager.has_plugin("timeout"):
        for item in items:
            if needs(item) and not item.get_closest_marker("timeout"):
                item.add_marker(pytest.mark.timeout(0))


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Variants for what rests on a run; a user's own tests may have a parameter of that name."""
    if "variant" in metafunc.fixturenames and needs(metafunc.definition):
        chosen = _selected(metafunc.config)
        metafunc.parametrize("variant", chosen, ids=[v.name for v in chosen])


@pytest.hookimpl(wrapper=True)
def pytest_runtestloop(session: pytest.Session) -> Generator[None, Any, Any]:
    """Claim the threads and load models and corpus before the first benchmark, and before any torch work."""
    begin(session)
    done = yield
    end(session)
    return done


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_node_collection_finished(node: Any, ids: Sequence[str]) -> None:
    """Refuse benchmarks in several processes at once, before any of them is started."""
    if any("::bench_" in name for name in ids):
        with usage_errors():
            check_measurable(node.config)


@pytest.hookimpl(optionalhook=True)
def pytest_benchmark_update_json(config: pytest.Config, benchmarks: list[Any], output_json: dict[str, Any]) -> None:
    """Add what the whole run rests on: machine, threads, models, corpus and settings."""
    if RUN in config.stash:
        output_json.setdefault("diartbench", {}).update(config.stash[RUN].conditions())


@pytest.hookimpl(wrapper=True, optionalhook=True)
def pytest_benchmark_generate_commit_info() -> Generator[None, Any, Any]:
    """The commit of the folder that was measured, even inside another repository's git hook."""
    with outside_hooks():
        return (yield)


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
    from .gate.plugin import GATE

    config = session.config
    asked, run = config.getoption("accuracy"), config.stash.get(RUN, None)
    if asked and run is not None and run.scores.known and run.scores.known["baseline"].der is None:
        _fail(config, f"--accuracy {asked}: no DER was scored: collar, overlap and UEM leave no speech")
    for name, why in ({} if run is None else run.scores.failed).items():
        _fail(config, f"{name} {why}")
    try:
        write_live(config)
        write_report(config, config.stash[GATE].facts() if GATE in config.stash else None)
    except OSError as error:
        _fail(config, f"not written: {error.filename or config.getoption('report_folder')}: {error.strerror}")


def pytest_report_teststatus(report: pytest.CollectReport | pytest.TestReport) -> tuple[str, str, Any] | None:
    """A verdict that is not resolved is neither a pass nor a failure, and is counted as what it is."""
    if report.when == "call" and report.passed and UNRESOLVED in dict(report.user_properties):
        return "not resolved", "?", ("NOT RESOLVED", {"yellow": True})
    return None


@pytest.hookimpl(wrapper=True)
def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> Generator[None, None, None]:
    """Our tables, after pytest-benchmark's, whatever becomes of those; its own regressions fail the session."""
    from pytest_benchmark.session import PerformanceRegression

    for report in terminalreporter.stats.get("not resolved", []):
        config.stash.setdefault(LINES, []).append(f"NOT RESOLVED {dict(report.user_properties)[UNRESOLVED]}")
    try:
        yield
    except PerformanceRegression as error:  # which it has shown
        _fail(config, f"--benchmark-compare-fail: {error}")
    finally:
        show(terminalreporter, config)
