"""`python -m bench.studies places`: its figures by hand."""

import pytest
import torch

from bench.studies.places import by_place, crossed


def test_scores_are_compared_in_the_order_that_leaves_least() -> None:
    stock = torch.tensor([[0.9, 0.1], [0.9, 0.1], [0.9, 0.9], [0.1, 0.9]])
    swapped = torch.tensor([[0.1, 0.9], [0.1, 0.9], [0.9, 0.2], [0.9, 0.1]])
    # as they are seven of eight differ; swapped, the first speaker of the third frame
    expected = torch.zeros(4, 2, dtype=torch.bool)
    expected[2, 0] = True
    assert torch.equal(crossed(swapped, stock, 0.5), expected)
    assert not crossed(swapped, stock, 0.95).any()  # nobody is beyond


def test_places_count_from_the_end() -> None:
    """Frames of half a second: the newest lies 0.25 s before the end, the others 0.75 s and 1.25 s."""
    first = torch.tensor([[True, True], [False, False], [True, False]])
    second = torch.tensor([[False, False], [False, False], [True, True]])
    found = by_place([first, second], 0.5, (-0.5, 0.0, 0.5, 1.5))
    # of twelve scores five; none lies behind the end; of the newest frame's four three; of the others' eight two
    assert found == [pytest.approx(100 * 5 / 12), None, 75.0, 25.0]
