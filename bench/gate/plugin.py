"""`pytest bench --gate`: options, and where a gated run differs from any other."""

from collections.abc import Generator
from typing import TYPE_CHECKING, Any

import pytest

from bench.run.refusals import check_gate, option_adder
from bench.run.stash import RUN, needs, variant_of
from bench.statistics import ENOUGH
from variants import UserError
from variants.commands import place

if TYPE_CHECKING:
    from bench.run.run import Run

    from .gate import Gate
    from .processes import Processes

GATE: pytest.StashKey["Gate"] = pytest.StashKey()
NARROWED: pytest.StashKey[bool] = pytest.StashKey()
BUDGET = 300.0


def pytest_addoption(parser: pytest.Parser) -> None:
    add = option_adder(parser)
    add("--gate", action="store_true", help="judge each variant against the last stored run of the same CPU model")
    add("--against", metavar="REV", help="with --gate: measure this git revision beside the code as it is now")
    add(
        "--against-env",
        type=place,
        metavar="DIR",
        help="with --gate: measure this code, or REV's, by the packages of another environment",
    )
    add(
        "--gate-budget",
        type=float,
        default=BUDGET,
        metavar="S",
        help=f"seconds after which --gate gives up on a kind (default: {BUDGET:g}); --budget is not used",
    )


@pytest.hookimpl(tryfirst=True)
def pytest_collection(session: pytest.Session) -> None:
    """Refuse bad options before anything is collected."""
    option = session.config.option
    for name in ("against", "against_env"):
        if getattr(option, name) is not None and not option.gate:
            raise pytest.UsageError(f"--{name.replace('_', '-')} needs --gate")
    if option.gate and not option.gate_budget > 0:
        raise pytest.UsageError("--gate-budget must be above 0")
    if option.gate and option.processes > 1:
        if option.against is None and option.against_env is None:
            raise pytest.UsageError("--gate takes --processes only with --against: a stored ratio is of one process")
        if option.processes < ENOUGH:
            raise pytest.UsageError(f"--gate --processes {option.processes}: fewer than {ENOUGH} cannot judge")
    try:
        if option.gate:
            check_gate(session.config)
        if option.against_env is not None:
            from .environment import interpreter

            interpreter(option.against_env)
        if option.against is not None:
            from . import against

            checkout = against.checkout_of(against.GATE)
            against.commit_of(checkout, option.against, option.against_env is not None)
    except UserError as error:
        raise pytest.UsageError(str(error)) from None


def pytest_deselected(items: list[pytest.Item]) -> None:
    if items:
        items[0].config.stash[NARROWED] = True


def pytest_runtestloop(session: pytest.Session) -> None:
    """Once models and corpus are loaded: set up what the run is to be compared with, before anything is measured."""
    config = session.config
    if config.option.collectonly or hasattr(config, "workerinput"):
        return
    if not config.option.gate:
        if config.option.processes > 1 and RUN in config.stash:
            config.stash[RUN].timing.measurer = _fresh(config.stash[RUN])
        return
    if not any("recorded" in needs(item) for item in session.items):
        raise pytest.UsageError("--gate: no benchmark is selected")
    try:
        gate = config.stash[GATE] = _make(session, config.stash[RUN])
    except UserError as error:
        raise pytest.UsageError(str(error)) from None
    config.stash[RUN].timing.measurer = gate


def _fresh(run: "Run") -> "Processes":
    from .against import Worker
    from .processes import Processes

    try:
        return Processes(list(run.models), run.options.values, run.options.timing, Worker)
    except UserError as error:
        raise pytest.UsageError(str(error)) from None


def _make(session: pytest.Session, run: "Run") -> "Gate":
    from bench.latency.kinds import STEADY, kind_of
    from bench.latency.machine import cpu_model

    from .creep import references
    from .gate import Gate
    from .stored import latest, read, thresholds

    if run.scores.unjudged:
        raise UserError(f"--gate: accuracy cannot be judged, {run.scores.unjudged}; or leave it out by --accuracy off")
    config, option = session.config, session.config.option
    benchmarks = dict.fromkeys(  # pytest-repeat has each of them several times
        (kind_of(item.originalname), variant_of(item).name)
        for item in session.items
        if isinstance(item, pytest.Function) and "recorded" in needs(item)
    )
    if odd := [kind for kind, _ in benchmarks if kind not in STEADY]:
        raise UserError(f"--gate does not judge {odd[0]}: leave it out")
    named = option.variants or option.embedding_factory or option.onnx
    narrowed = bool(named) or config.stash.get(NARROWED, False) or any(".py" in arg for arg in config.args)
    limits = thresholds(config.rootpath / "pyproject.toml")
    storage = config._benchmarksession.storage  # type: ignore[attr-defined]  # added by pytest-benchmark
    pinned, past = references(storage.path, run.conditions()) if hasattr(storage, "path") else (None, [])
    try:
        stored = latest(storage.load(), cpu_model())
    except UserError:
        if option.against is None and option.against_env is None:
            raise
        stored = None
    reference = None if pinned is None else read(pinned.name, pinned.saved)
    gate = Gate(run, benchmarks, limits, stored, option.gate_budget, narrowed, reference, past)
    if pinned is None and stored is not None:
        gate.notes.append("no run is pinned for these conditions: steps below the threshold may add up (docs/gate.md)")
    config.add_cleanup(gate.close)
    if option.against is not None or option.against_env is not None:
        gate.compare_with(option.against, run.options.values, option.against_env)
    return gate


@pytest.hookimpl(optionalhook=True)
def pytest_benchmark_update_json(config: pytest.Config, output_json: dict[str, Any]) -> None:
    """Keep the verdicts beside what they rest on."""
    if GATE in config.stash:
        output_json.setdefault("diartbench", {})["gate"] = config.stash[GATE].facts()


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> Generator[None, None, None]:
    """Conclude before pytest-benchmark saves; a regression gives its own exit code, even beside failed benchmarks."""
    gate = session.config.stash.get(GATE, None)
    if gate is not None:
        gate.close()
        if exitstatus in (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED):
            from .verdict import EXIT, REGRESSED

            gate.judge_accuracy(gate.run.scores.found, gate.run.models.trained, gate.run.scores.failed.items())
            gate.judge_counts({name: gate.run.counted(name) for name in gate.run.models})
            if gate.verdict == REGRESSED or exitstatus == pytest.ExitCode.OK:
                session.exitstatus = EXIT.get(gate.verdict, exitstatus)
    yield


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> Generator[None, None, None]:
    """The verdicts, last of all."""
    yield
    if GATE in config.stash:
        from bench.report.fitted import terminal_width

        from .report import render

        terminalreporter.section("Gate")
        terminalreporter.write(render(config.stash[GATE], terminal_width(terminalreporter.isatty)))
