"""Measuring on until all is decided, on blocks whose durations are made up and a clock that only they move."""

from collections import Counter
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from bench.gate.contamination import Usage
from bench.gate.gate import rounds_now
from bench.gate.messages import Block
from bench.gate.session import NOW, STORED, Comparison, Judgement, Key, Recording, Stopped, measure
from bench.gate.verdict import FIRST, INCONCLUSIVE, PASS, REGRESSED
from bench.gate.worker import BlockError
from bench.latency.results import TWIN, summarize
from bench.statistics import Ratio

REV = "origin/main"


@pytest.fixture(autouse=True)
def fewer_resamples(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bench.statistics.bootstrap.RESAMPLES", 200)


class Machine:
    """Gives each subject rounds of `speed` seconds with log-normal noise; notes who was on; marks dirty blocks."""

    def __init__(
        self, speed: dict[Key, float], noise: float = 0.02, dirty: Callable[[int], bool] = lambda number: False
    ) -> None:
        self.speed, self.noise, self.dirty = speed, noise, dirty
        self.random = np.random.default_rng(0)
        self.now = 50.0
        self.turns: list[tuple[int, Key]] = []
        self.breaks: dict[Key, int] = {}

    def block(self, key: Key, number: int) -> Block:
        self.turns.append((number, key))
        if number >= self.breaks.get(key, 10**9):
            raise BlockError("ValueError: no kernel")
        seconds = self.speed[key] * np.exp(self.noise * self.random.standard_normal(3))
        self.now += float(seconds.sum())
        usage = [Usage(1.0, 1.0, 0, 0.5, 0.0)] if self.dirty(number) and key == min(self.speed) else []  # steal
        return Block(seconds.tolist(), [{"rest": s} for s in seconds.tolist()], usage, True)

    def gate(
        self, *comparisons: Comparison, also: tuple[Key, ...] = (), budget: float = 100.0, **options: Any
    ) -> tuple[Recording, list[Judgement]]:
        options = {"judged": len(comparisons), **options}
        return measure(comparisons, also, self.block, budget=budget, clock=lambda: self.now, **options)


def now(name: str) -> Key:
    return Key(NOW, name)


def against(name: str, threshold: float = 0.05) -> Comparison:
    return Comparison("model-only", name, REV, threshold)


def two_sides(factor: float, name: str = "v") -> dict[Key, float]:
    return {now(name): 0.1 * factor, Key(REV, name): 0.1}


@pytest.mark.parametrize(("factor", "expected"), [(1.0, PASS), (1.1, REGRESSED), (0.8, PASS)])
def test_a_change_is_found(factor: float, expected: str) -> None:
    recording, (judgement,) = Machine(two_sides(factor)).gate(against("v"))
    assert judgement.verdict == expected
    assert judgement.ratio is not None and judgement.ratio.estimate == pytest.approx(factor, rel=0.02)
    assert recording.count in (FIRST, 2 * FIRST)  # it stops once that is clear


def test_a_slow_spell_is_not_called_a_regression() -> None:
    """4 % slower for the first 30 s of 100, which the first looks find certain, then as fast as before."""
    machine = Machine(two_sides(1.04), noise=0.003)
    _, (lasting,) = machine.gate(against("v"))
    assert lasting.verdict == REGRESSED and machine.now >= 50 + 50

    machine = Machine(two_sides(1.04), noise=0.003)

    def block(key: Key, number: int) -> Block:
        if machine.now > 50 + 30:
            machine.speed = two_sides(1.0)
        return machine.block(key, number)

    _, (spell,) = measure([against("v")], (), block, budget=100, judged=1, clock=lambda: machine.now)
    assert spell.verdict == INCONCLUSIVE  # at the end the mean effect is small, but its interval wide


def test_sides_alternate_at_random() -> None:
    machine = Machine(two_sides(1.0), noise=0.5)
    machine.gate(against("v"), budget=40)
    numbers = [number for number, _ in machine.turns]
    assert numbers == sorted(numbers) and set(Counter(numbers).values()) == {2}
    firsts = Counter(key.side for _, key in machine.turns[::2])
    assert min(firsts.values()) > len(machine.turns) / 2 / 4


def test_noise_is_measured_on_until_the_budget_is_over() -> None:
    quiet, _ = Machine(two_sides(1.03), noise=0.02).gate(against("v"))
    noisy, (judgement,) = Machine(two_sides(1.03), noise=0.6).gate(against("v"), budget=60)
    assert judgement.verdict == INCONCLUSIVE
    assert noisy.count > 4 * quiet.count
    assert 60 <= sum(sum(b.seconds) for blocks in noisy.blocks.values() for b in blocks.values()) < 63


def test_a_budget_too_short_for_the_first_look_is_overrun() -> None:
    recording, (judgement,) = Machine(two_sides(2.0)).gate(against("v"), budget=0.001)
    assert recording.count == FIRST and judgement.verdict == REGRESSED


def test_only_the_undecided_are_measured_on() -> None:
    speed = two_sides(2.0, "slow") | two_sides(1.027, "close") | {now("baseline"): 0.1}
    machine = Machine(speed, noise=0.08)
    recording, (slow, _) = machine.gate(against("slow"), against("close"), also=(now("baseline"),))
    assert slow.verdict == REGRESSED
    blocks = {key: len(found) for key, found in recording.blocks.items()}
    assert blocks[now("slow")] == blocks[now("baseline")] == FIRST < blocks[now("close")]
    measured = rounds_now(recording)
    kind = summarize(measured, {"slow": "baseline", "close": "slow", "baseline": None})
    to_parent = kind.latencies["close"].to_parent  # has fewer blocks: those in common count
    assert to_parent is not None and to_parent.rounds == 3 * FIRST
    assert to_parent.estimate == pytest.approx(1.027 / 2, rel=0.1)


def test_contaminated_blocks_are_dropped_on_both_sides() -> None:
    machine = Machine(two_sides(1.0), dirty=lambda number: number % 4 == 0)
    recording, (judgement,) = machine.gate(against("v"))
    assert judgement.verdict == PASS and recording.contaminated == 0.25
    kept = recording.kept(now("v"), Key(REV, "v"))
    assert kept == [n for n in range(recording.count) if n % 4]
    assert judgement.ratio is not None and judgement.ratio.rounds == 3 * len(kept)


def test_too_many_make_it_inconclusive() -> None:
    machine = Machine(two_sides(2.0), dirty=lambda number: number % 3 != 0)
    recording, (judgement,) = machine.gate(against("v"), budget=20)
    assert judgement.verdict == INCONCLUSIVE and not recording.usable
    assert judgement.ratio is not None and judgement.ratio.estimate == pytest.approx(2, rel=0.05)
    assert len(rounds_now(recording).rounds["v"].seconds) == 3 * recording.count  # nothing measured is lost


def stored(ratio: float, width: float = 0.01, control: Ratio | None = None) -> Comparison:
    then = Ratio(ratio, ratio / (1 + width), ratio * (1 + width), 60)
    return Comparison("pipeline", "v", STORED, 0.05, then, control)


@pytest.mark.parametrize(("then", "expected"), [(0.5, PASS), (0.45, REGRESSED), (0.7, PASS)])
def test_against_a_stored_ratio(then: float, expected: str) -> None:
    speed = {now("v"): 0.05, now("baseline"): 0.1, now(TWIN): 0.1}
    _, (judgement,) = Machine(speed).gate(stored(then))
    assert judgement.verdict == expected
    assert judgement.ratio is not None and judgement.ratio.estimate == pytest.approx(0.5 / then, rel=0.02)


def test_an_imprecise_stored_ratio_is_not_waited_for() -> None:
    speed = {now("v"): 0.05, now("baseline"): 0.1, now(TWIN): 0.1}
    recording, (judgement,) = Machine(speed).gate(stored(0.5, width=0.2))
    assert judgement.verdict == INCONCLUSIVE and "longer --budget" in judgement.why
    assert recording.count == FIRST


@pytest.mark.parametrize("control", [None, Ratio(1.1, 1.08, 1.12, 60)])
def test_a_control_that_is_off_widens_the_interval(control: Ratio | None) -> None:
    """A twin 10 % slower than the baseline, now or then: 5 % are nothing to be sure of."""
    speed = {now("v"): 0.0525, now("baseline"): 0.1, now(TWIN): 0.1 if control else 0.11}
    _, (clean,) = Machine(speed | {now(TWIN): 0.1}).gate(stored(0.5), budget=20)
    _, (off,) = Machine(speed).gate(stored(0.5, control=control), budget=20)
    assert (clean.verdict, off.verdict) == (REGRESSED, INCONCLUSIVE)


@pytest.mark.parametrize("side", [NOW, REV])
def test_a_side_that_fails_leaves_the_others(side: str) -> None:
    machine = Machine(two_sides(1.0, "v") | two_sides(1.0, "w"))
    machine.breaks[Key(side, "v")] = 3
    recording, (broken, whole) = machine.gate(against("v"), against("w"))
    assert (broken.verdict, whole.verdict) == (INCONCLUSIVE, PASS)
    assert "v failed: ValueError: no kernel" in broken.why
    assert [key for _, key in machine.turns].count(Key(side, "v")) == 4
    measured = rounds_now(recording)
    assert set(measured.rounds) == ({"w"} if side == NOW else {"v", "w"})
    assert measured.failures == ({"v": "ValueError: no kernel"} if side == NOW else {})


def test_ctrl_c_hands_over_what_was_measured_and_decided() -> None:
    slower, same = against("slower"), against("same", threshold=0.0001)
    machine = Machine(
        {c.mine: 1.5 if c is slower else 1.0 for c in (slower, same)} | {c.theirs: 1.0 for c in (slower, same)}
    )
    block = machine.block

    def stopped(key: Key, number: int) -> Block:
        if number == FIRST + 2:
            raise KeyboardInterrupt
        return block(key, number)

    with pytest.raises(KeyboardInterrupt) as caught:
        measure([slower, same], (), stopped, budget=1e9, judged=2, clock=lambda: machine.now)
    assert isinstance(caught.value, Stopped)
    assert [(j.comparison, j.verdict) for j in caught.value.judgements] == [(slower, REGRESSED)]
    kept = rounds_now(caught.value.recording).rounds
    assert (len(kept["slower"].seconds), len(kept["same"].seconds)) == (3 * FIRST, 3 * (FIRST + 2))


def test_if_all_fail_it_ends() -> None:
    machine = Machine(two_sides(1.0))
    machine.breaks = dict.fromkeys(machine.speed, 0)
    recording, (judgement,) = machine.gate(against("v"))
    assert judgement.verdict == INCONCLUSIVE and recording.count == 1


def test_more_comparisons_need_stronger_evidence() -> None:
    _, (alone,) = Machine(two_sides(1.0)).gate(against("v"), judged=1)
    _, (among,) = Machine(two_sides(1.0)).gate(against("v"), judged=50)
    assert alone.ratio is not None and among.ratio is not None
    assert among.ratio.high > alone.ratio.high


def test_progress_is_the_share_of_the_budget() -> None:
    seen: list[float] = []
    Machine(two_sides(1.0), noise=0).gate(against("v"), progress=seen.append, budget=6.0)
    assert seen == pytest.approx([0.6 * (i + 1) / 6 for i in range(len(seen))])


class Restarted(Machine):
    """Each process of a side is faster or slower by what it draws when it starts."""

    def __init__(self, apart: float, factor: float = 1.0, seed: int = 0) -> None:
        super().__init__(two_sides(factor), noise=0.005)
        self.random = np.random.default_rng(seed)
        self.apart, self.plain, self.starts = apart, dict(self.speed), 0
        self.restart()

    def restart(self) -> None:
        self.starts += 1
        self.speed = {k: v * float(np.exp(self.apart * self.random.standard_normal())) for k, v in self.plain.items()}

    def judged(self, pairs: int) -> str:
        _, (judgement,) = self.gate(against("v"), pairs=pairs, restart=self.restart, budget=80.0)
        return judgement.verdict


def test_several_pairs_of_processes_take_turns() -> None:
    machine = Restarted(0.0)
    recording, (judgement,) = machine.gate(against("v"), pairs=5, restart=machine.restart, budget=1e-6)
    assert machine.starts == 5 and recording.count == 5 * FIRST  # whatever the budget
    assert recording.pairs == {number: number // FIRST for number in range(5 * FIRST)}
    assert judgement.verdict == PASS and judgement.ratio is not None and judgement.ratio.processes == 5


def test_what_differs_between_processes_is_no_regression_of_several() -> None:
    """Each side's process is off by 2 %, as rounds within one pair cannot tell from a change of the code."""
    one = [Restarted(0.02, seed=seed).judged(1) for seed in range(40)]
    five = [Restarted(0.02, seed=seed).judged(5) for seed in range(40)]
    assert one.count(REGRESSED) >= 4 and five.count(REGRESSED) <= 1
    assert five.count(PASS) >= 10
    assert [Restarted(0.002, 1.1, seed).judged(5) for seed in range(10)] == [REGRESSED] * 10


def test_too_few_clean_pairs_tell_nothing() -> None:
    machine = Restarted(0.0)
    machine.dirty = lambda number: number < FIRST  # the first of five
    recording, (judgement,) = machine.gate(against("v"), pairs=5, restart=machine.restart, budget=1e-6)
    assert judgement.verdict == INCONCLUSIVE and recording.usable
    assert judgement.ratio is not None and (judgement.ratio.low, judgement.ratio.high) == (0.0, np.inf)


def test_ctrl_c_while_processes_start_keeps_what_was_measured() -> None:
    machine = Restarted(0.0)

    def stopped() -> None:
        raise KeyboardInterrupt

    with pytest.raises(Stopped) as caught:
        machine.gate(against("v"), pairs=5, restart=stopped)
    assert caught.value.recording.count == FIRST
