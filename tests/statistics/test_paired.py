"""What the sample type refuses, and how it joins rounds by block."""

from typing import Any

import numpy as np
import pytest

from bench.statistics import Paired, percentile_interval
from bench.statistics.paired import by_block

GOOD = [0.1, 0.2, 0.3]


@pytest.mark.parametrize(
    ("times", "reference", "blocks", "why"),
    [
        ([0.1, 0.2], GOOD, [0, 0], r"reference: shape \(3,\), but times has \(2,\)"),
        (GOOD, [0.1], [0, 0, 1], r"reference: shape \(1,\), but times has \(3,\)"),  # numpy would stretch it
        (GOOD, GOOD, [0, 0], r"blocks: shape \(2,\), but times has \(3,\)"),
        (GOOD, GOOD, 0, r"blocks: shape \(\), but"),
        ([0.1, 0.0, 0.3], GOOD, [0, 0, 1], "times: 0.0 in round 1 is no duration"),
        (GOOD, [0.1, 0.2, -0.3], [0, 0, 1], "reference: -0.3 in round 2 is"),
        (GOOD, [float("nan"), 0.2, 0.3], [0, 0, 1], "reference: nan in round 0 is"),
        ([0.1, float("inf"), 0.3], GOOD, [0, 0, 1], "times: inf in round 1 is"),
        ([], [], [], r"times: shape \(0,\)"),
        ([GOOD], [GOOD], [[0, 0, 1]], r"times: shape \(1, 3\)"),
    ],
)
def test_bad_samples_are_refused_by_the_argument_s_name(times: Any, reference: Any, blocks: Any, why: str) -> None:
    with pytest.raises(ValueError, match=f"^{why}"):
        Paired(times, reference, blocks)


def test_percentiles_take_a_block_for_each_round() -> None:
    with pytest.raises(ValueError, match=r"^blocks: shape \(2,\), but times has \(3,\)"):
        percentile_interval(GOOD, [0, 0], 95)
    with pytest.raises(ValueError, match=r"^times: -0.1 in round 0"):
        percentile_interval([-0.1], [0], 95)


def test_common_blocks_by_hand() -> None:
    mine, theirs = {4: [0.1, 0.2], 6: [0.3], 5: [0.4]}, {5: [4.0], 4: [1.0, 2.0], 7: [9.0]}
    sample = Paired.common(mine, theirs)
    assert sample is not None
    assert sample.times.tolist() == [0.1, 0.2, 0.4]
    assert sample.reference.tolist() == [1.0, 2.0, 4.0]
    assert sample.blocks.tolist() == [4, 4, 5]
    assert Paired.common(mine, {7: [1.0]}) is None


def test_rounds_are_not_paired_across_blocks() -> None:
    """As many in sum, but not in each block: the third would be compared with another chunk's."""
    with pytest.raises(ValueError, match=r"^reference: 1 rounds in block 0, but times has 2"):
        Paired.common({0: [0.1, 0.2], 1: [0.3]}, {0: [0.1], 1: [0.2, 0.3]})


def test_blocks_come_in_the_order_of_their_first_round() -> None:
    found = by_block(np.array([1.0, 2.0, 3.0, 4.0]), np.array([7, 2, 7, 2]))
    assert [block.tolist() for block in found] == [[1.0, 3.0], [2.0, 4.0]]
