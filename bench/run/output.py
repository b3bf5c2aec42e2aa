"""What a pytest session leaves: its report's page, and the tables and lines below pytest-benchmark's."""

import json
from collections.abc import Sequence
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pytest

from variants.files import check_writable, write_atomically

from .session import without_warnings
from .stash import RUN

HISTORY: pytest.StashKey[Sequence[dict[str, Any]]] = pytest.StashKey()  # stored runs, for the report
LINES: pytest.StashKey[list[str]] = pytest.StashKey()  # to say below the tables: what was written, or was not
COMPARED: pytest.StashKey[dict[str, Any]] = pytest.StashKey()  # stored runs by the time of their making


def prepare_report(config: pytest.Config) -> None:
    """Refuse what cannot be written before anything is measured; look at the stored runs before this one joins them."""
    if config.getoption("live_json") is not None:
        check_writable(config.getoption("live_json"), "--live-json")
    folder = config.getoption("report_folder")
    if folder is None or config.option.collectonly:
        return
    from bench.report.page import check_folder
    from bench.report.stored import stored_runs

    check_folder(folder)
    config.stash[HISTORY] = stored_runs(Path(config.getoption("benchmark_storage", "").removeprefix("file://")))


def write_report(config: pytest.Config, gate: dict[str, Any] | None) -> None:
    """The page of `--report`, with the gate's facts if there was one; OSError if it cannot be written."""
    folder, run = config.getoption("report_folder"), config.stash.get(RUN, None)
    if folder is None or run is None:
        return
    from bench.report.document import document, gate_rows
    from bench.report.page import write

    made = datetime.now(timezone.utc).isoformat(timespec="seconds")
    with without_warnings():
        rows = None if gate is None else gate_rows(gate)
        page = write(document(run.findings(), made, config.stash[HISTORY], rows), folder)
    config.stash.setdefault(LINES, []).append(f"report: {page}")


def write_live(config: pytest.Config) -> None:
    """What live streams did, as JSON, by `--live-json`; OSError if it cannot be written."""
    path, run = config.getoption("live_json"), config.stash.get(RUN, None)
    if path is None or run is None or not (run.live.capacities or run.live.soaks):
        return
    from bench.report.live import live_document

    write_atomically(path, json.dumps(live_document(run.live.capacities, run.live.soaks, run.conditions())))


def show(terminal: Any, config: pytest.Config) -> None:
    """The tables of what was measured, and the lines that are to be read last."""
    run = config.stash.get(RUN, None)
    if run is not None and run.timing.kinds:
        from bench.report.fitted import terminal_width
        from bench.report.terminal import render

        terminal.section("DiartBench")
        terminal.write(render(run.findings(config.stash.get(COMPARED, {})), terminal_width(terminal.isatty)))
        terminal.write_line(f"took: {run.took}")
    if run is not None and (run.live.capacities or run.live.soaks):
        from bench.report.fitted import terminal_width
        from bench.report.live import render_live

        terminal.section("DiartBench, live streams")
        width = terminal_width(terminal.isatty)
        terminal.write(render_live(run.live.capacities, run.live.soaks, run.findings(), width))
        if not run.timing.kinds:
            terminal.write_line(f"took: {run.took}")
    for line in config.stash.get(LINES, []):
        terminal.write_line(line)
