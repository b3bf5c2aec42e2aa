"""The fixtures `recorded`, by which a benchmark replays its rounds, `live`, and `scored`, all variants' accuracy."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest

from bench.latency.kinds import KindName, kind_of
from variants import UserError, Variant

from .refusals import benchmark_session
from .session import without_warnings
from .stash import RUN

if TYPE_CHECKING:
    from pytest_benchmark.fixture import BenchmarkFixture

    from .run import Run


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
def recorded(request: pytest.FixtureRequest, variant: Variant) -> Recorded:
    """Rounds of `variant`, measured interleaved with all others; sets the timer that replays them."""
    from bench.latency.replay import replay_timer

    run = request.config.stash[RUN]
    try:
        kind = kind_of(request.node.originalname)
    except UserError as error:
        pytest.fail(str(error), pytrace=False)
    _need(run, variant.name)
    marker: dict[str, Any] = {"group": kind}
    if not benchmark_session(request.config).disabled:
        try:
            with without_warnings():
                rounds = run.rounds(kind, variant.name)
        except UserError as error:
            pytest.fail(str(error), pytrace=False)
        marker["timer"] = replay_timer(rounds)
    request.node.add_marker(pytest.mark.benchmark(**marker))
    return Recorded(run, kind, variant.name)


class Live:
    """Live streams of one variant; nothing of them where benchmarks are disabled."""

    def __init__(self, run: "Run", name: str, minutes: float, disabled: bool) -> None:
        self.run, self.name, self.minutes, self.disabled = run, name, minutes, disabled

    def capacity(self) -> None:
        """Measure how many a core carries."""
        self._measure("capacity", lambda: self.run.live.capacity(self.name))

    def soak(self) -> None:
        """Measure what grows."""
        self._measure("soak", lambda: self.run.live.soak(self.name, self.minutes))

    def _measure(self, part: str, measure: Callable[[], object]) -> None:
        if self.disabled:
            pytest.skip("benchmarks are disabled")
        try:
            with without_warnings(), self.run.took.part(part):
                measure()
        except UserError as error:
            pytest.fail(f"{self.name}: {error}", pytrace=False)


@pytest.fixture
def live(request: pytest.FixtureRequest, variant: Variant) -> Live:
    """Live streams of `variant`; skips what cannot run."""
    run, config = request.config.stash[RUN], request.config
    _need(run, variant.name)
    return Live(run, variant.name, config.option.minutes, benchmark_session(config).disabled)


@pytest.fixture
def scored(request: pytest.FixtureRequest, variant: Variant) -> "Run":
    """The run with every variant's verdict in `scored.scores`; skips what cannot run or was not to be scored."""
    run = request.config.stash[RUN]
    with without_warnings():
        run.models.load()  # by which it is known what cannot run
    if run.options.scoring.extent == "off":
        pytest.skip("--accuracy off")
    if not run.scores.wanted:
        pytest.fail(f"{run.scores.unjudged}; use --accuracy off", pytrace=False)
    _need(run, variant.name)
    with without_warnings():
        _ = run.scores.evidence
    if variant.name in run.scores.failed:
        pytest.fail(f"{variant.name} {run.scores.failed[variant.name]}", pytrace=False)
    return run


def _need(run: "Run", name: str) -> None:
    """Skip what cannot run here, and fail what should but does not, each with its reason."""
    if name in run.models.skipped:
        pytest.skip(run.models.skipped[name])
    if name in run.models.broken:
        pytest.fail(f"{name} {run.models.broken[name]}", pytrace=False)
