"""What keeps benchmarks from being measured, judged or stored here, from pytest's options, before models are loaded."""

import argparse
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest

from variants import UserError
from variants.files import check_writable

BENCHMARK = ("benchmark", "pytest_benchmark", "pytest-benchmark")  # names by which others block it


def option_adder(parser: pytest.Parser) -> Callable[..., None]:
    """Adds options of ours to `parser`. Another's of the same name, before or after, is named: UsageError, one line."""
    group = parser.getgroup("diartbench", "DIART embedding variants")
    ours: set[str] = set()

    def told(add: Callable[..., None]) -> Callable[..., None]:
        def adding(*names: str, **attributes: Any) -> None:
            try:
                add(*names, **attributes)
            except (ValueError, argparse.ArgumentError) as error:
                taken = [name for name in ours if name in names or repr(name) in str(error)]
                if not taken:
                    raise
                raise pytest.UsageError(
                    f"{taken[0]}: a conftest.py or another plugin has an option of that name, which DiartBench needs, "
                    "too: rename theirs, or leave that plugin out by -p no:NAME"
                ) from None

        return adding

    def add(name: str, **attributes: Any) -> None:
        ours.add(name)
        told(group.addoption)(name, **attributes)

    def getgroup(*arguments: Any, **named: Any) -> pytest.OptionGroup:
        found = getgroup_before(*arguments, **named)
        setattr(found, "addoption", told(found.addoption))  # noqa: B010 - a method
        return found

    getgroup_before = parser.getgroup
    setattr(parser, "getgroup", getgroup)  # noqa: B010
    setattr(parser, "addoption", told(parser.addoption))  # noqa: B010
    return add


def benchmark_session(config: pytest.Config) -> Any:
    """pytest-benchmark's own session; UserError where it was blocked."""
    codspeed = config.pluginmanager.get_plugin("codspeed_plugin")
    if getattr(codspeed, "is_codspeed_enabled", False):
        raise UserError("pytest-codspeed takes the place of pytest-benchmark: leave out --codspeed, unset CODSPEED_ENV")
    if not hasattr(config, "_benchmarksession") or any(map(config.pluginmanager.is_blocked, BENCHMARK)):
        raise UserError("benchmarks need pytest-benchmark, which is blocked here: by -p no:benchmark, or by a plugin")
    return config._benchmarksession


def check_measurable(config: pytest.Config) -> None:
    """UserError if benchmarks could not be measured, or their results would be lost in the end."""
    session = _alone(config)
    if session.compare_fail and not session.compared_mapping:
        raise UserError("--benchmark-compare-fail needs --benchmark-compare, and a stored run that it finds")
    if not session.disabled:
        for option, file in _results(session):
            check_writable(file, option)


def check_jobs(config: pytest.Config) -> None:
    """UserError where each process of pytest-xdist would start as many of its own."""
    if config.getoption("jobs") != "1" and getattr(config.option, "numprocesses", None):
        raise UserError("--jobs beside pytest-xdist's -n: each of its processes would start as many; use -n 0")


def check_gate(config: pytest.Config) -> None:
    """UserError if there will be no rounds to judge."""
    session = _alone(config)
    if session.skip or session.disabled:
        raise UserError(f"--gate needs rounds: leave out --benchmark-{'skip' if session.skip else 'disable'}")


def _alone(config: pytest.Config) -> Any:
    """pytest-benchmark's session; UserError where pytest-xdist keeps it from measuring."""
    session = benchmark_session(config)
    if session.xdist_warning:
        raise UserError("benchmarks are not measured by several processes at once (pytest-xdist): use -n 0 for them")
    return session


def _results(session: Any) -> Iterable[tuple[str, Path]]:
    """The options by which pytest-benchmark writes something, with a file that each would write."""
    if session.json:
        yield "--benchmark-json", Path(session.json)
    if (session.save or session.autosave) and hasattr(session.storage, "get"):  # else elasticsearch
        yield "--benchmark-storage", Path(session.storage.get("run.json"))
    if session.histogram:
        yield "--benchmark-histogram", Path(f"{session.histogram}.svg")
