"""The simulation's own truth, and a bounded part of the coverage table of docs/accuracy.md."""

from dataclasses import replace

import numpy as np
import pytest

from bench.accuracy.__main__ import main
from bench.accuracy.coverage import FLIP, MATERIALS, SPREADS, Material, Spread, cover, simulated

RUNS = 150


def test_without_noise_the_difference_of_fixed_audio_is_the_truth() -> None:
    audio = Spread(cluster=1, file=1, block=3, rho=0.5, cell=0)
    interval, truth = simulated(Material(3, 2, 6, 4), audio, np.random.default_rng(0), fixed=True)
    assert interval.points == pytest.approx(truth)
    assert truth != 0


def test_one_sided_flips_cost_what_the_truth_says() -> None:
    """Half of all files lose 20 points from a block on, which is 7/12 of the file on average."""
    random = np.random.default_rng(0)
    made = [simulated(Material(40, 1, 6, 40), Spread(one_sided=0.5), random) for _ in range(5)]
    assert [truth for _, truth in made] == [pytest.approx(FLIP * 0.5 * 7 / 6)] * 5
    assert np.mean([interval.points for interval, _ in made]) == pytest.approx(FLIP * 0.5 * 7 / 6, rel=0.05)


def test_flips_go_either_way() -> None:
    random = np.random.default_rng(0)
    made = [simulated(Material(40, 1, 6, 40), Spread(flips=0.5), random)[0].points for _ in range(5)]
    assert abs(np.mean(made)) < 0.4  # each has a standard deviation of 0.4


@pytest.mark.parametrize("material", [MATERIALS[i] for i in (0, 1, 5, 8, 12)], ids=str)
def test_intervals_hold_the_truth(material: Material) -> None:
    """95 % intervals; of 900, fewer than 93 % come with probability 0.004 if they cover 95 %."""
    random = np.random.default_rng(0)
    held = {
        name: cover(material, spread, RUNS, random).held for name, spread in SPREADS.items() if not spread.one_sided
    }
    assert len(held) == 6
    assert min(held.values()) >= 0.88 * RUNS, held
    assert sum(held.values()) >= 0.93 * RUNS * len(held), held


def test_intervals_are_no_wider_than_they_must_be() -> None:
    """Twelve clusters of equal, independent effects alone: t(11) times the standard error, which is known."""
    spread = replace(SPREADS["voices differ"], file=0.0, block=5.0, rho=0.0, flips=0.0, cell=0.0)
    found = cover(Material(12, 1, 6, 8), spread, RUNS, np.random.default_rng(0))
    assert np.median(found.reaches) == pytest.approx(2.2 * np.hypot(1.5, 5 / np.sqrt(6)) / np.sqrt(12), rel=0.1)


def test_the_command_prints_the_table(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["coverage", "--runs", "2"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 2 + len(MATERIALS) + 1
    assert "| 12 x 1 x 6 x 20 | clusters |" in lines[-2]
    assert "| none |" in lines[-1]
    assert {line.count("|") for line in lines} == {3 + len(SPREADS)}
