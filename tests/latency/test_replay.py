"""Recorded rounds through pytest-benchmark itself."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.latency.replay import replay_timer


@given(st.lists(st.floats(1e-6, 100), min_size=1, max_size=50))
def test_pairs_of_readings_are_the_rounds_apart(seconds: list[float]) -> None:
    timer = replay_timer(seconds)
    readings = [(timer(), timer()) for _ in seconds]
    assert [after - before for before, after in readings] == pytest.approx(seconds, rel=1e-6)
    instants = [instant for pair in readings for instant in pair]
    assert instants == sorted(instants)
    with pytest.raises(StopIteration):
        timer()


ROUNDS = [0.0625, 0.125, 0.0123, 3.5, 0.25]


def test_pytest_benchmark_keeps_the_rounds(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        f"""
        import pytest
        from bench.latency.replay import replay_timer

        @pytest.mark.benchmark(timer=replay_timer({ROUNDS}))
        def test_replayed(benchmark):
            benchmark.pedantic(lambda: None, rounds={len(ROUNDS)})
        """
    )
    result = pytester.runpytest_inprocess("--benchmark-json=out.json", "--benchmark-save-data", "-q")
    result.assert_outcomes(passed=1)
    (found,) = json.loads((pytester.path / "out.json").read_text())["benchmarks"]
    stats = found["stats"]
    assert stats["data"] == pytest.approx(ROUNDS, rel=1e-9)
    assert stats["rounds"] == len(ROUNDS)
    assert stats["iterations"] == 1
    assert (stats["min"], stats["max"], stats["median"]) == pytest.approx((0.0123, 3.5, 0.125))
    assert stats["mean"] == pytest.approx(sum(ROUNDS) / 5)
