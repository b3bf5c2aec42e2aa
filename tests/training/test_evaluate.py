"""Error rates against small cases worked out by hand."""

from itertools import permutations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from variants.speech.data import DataError
from variants.speech.simulate import Turn
from variants.training.evaluate import chunks, equal_error_rate, local_errors, segmentation_error
from variants.training.segmentation import activity, targets_of


def test_equal_error_rate_by_hand() -> None:
    same = np.array([True, True, True, True, False, False, False, False])
    apart = np.array([0.9, 0.8, 0.7, 0.6, 0.4, 0.3, 0.2, 0.1])
    assert equal_error_rate(apart, same) == 0
    one_of_four = np.array([0.9, 0.8, 0.7, 0.35, 0.4, 0.3, 0.2, 0.1])
    assert equal_error_rate(one_of_four, same) == pytest.approx(0.25)
    assert equal_error_rate(-apart, same) == pytest.approx(1.0)


def test_equal_error_rate_of_two_normal_distributions() -> None:
    rng = np.random.default_rng(0)
    same = rng.random(200_000) < 0.3
    scores = rng.standard_normal(len(same)) + 2 * same
    assert equal_error_rate(scores, same) == pytest.approx(0.158655, abs=0.004)  # Phi(-1)


def test_equal_error_rate_needs_both_kinds() -> None:
    with pytest.raises(DataError, match="both pairs"):
        equal_error_rate(np.arange(3.0), np.ones(3, bool))


def test_local_errors_by_hand() -> None:
    truth = np.array([[1, 0], [1, 0], [1, 1], [0, 0], [0, 1]], float)
    swapped = truth[:, ::-1]
    assert local_errors(swapped, truth) == (0, 5)
    one_speaker = np.stack([np.ones(5), np.zeros(5)], axis=1)  # a miss, a false alarm, a confusion
    assert local_errors(one_speaker, truth) == (3, 5)


@given(seed=st.integers(0, 2**32 - 1))
def test_local_errors_are_the_minimum_over_assignments(seed: int) -> None:
    rng = np.random.default_rng(seed)
    decided, truth = rng.random((12, 3)) > 0.5, rng.random((12, 3)) > 0.5
    costs = []
    for order in permutations(range(3)):
        correct = (decided[:, list(order)] & truth).sum(axis=1)
        costs.append((np.maximum(decided.sum(axis=1), truth.sum(axis=1)) - correct).sum())
    assert local_errors(decided.astype(float), truth.astype(float)) == (min(costs), truth.sum())


def test_targets_are_the_most_active_speakers_mid_frame() -> None:
    turns = [Turn("a", 0, 1), Turn("b", 1, 4), Turn("c", 2, 4.5), Turn("d", 4.9, 5)]
    labels = torch.from_numpy(activity(turns, 0.0, 5.0))[None].float()
    targets = targets_of(labels, frames=10, speakers=3)[0]  # frames of half a second
    assert targets.T.int().tolist() == [
        [0, 0, 1, 1, 1, 1, 1, 1, 0, 0],  # b
        [0, 0, 0, 0, 1, 1, 1, 1, 1, 0],  # c
        [1, 1, 0, 0, 0, 0, 0, 0, 0, 0],  # a; d is left out
    ]


def test_segmentation_error_of_a_perfect_and_a_silent_network() -> None:
    active = activity([Turn("a", 0, 6), Turn("b", 4, 9)], 0.0, 10.0)
    signals, labels = chunks([(np.zeros(160_000, np.float32), active)])
    assert signals.shape == (2, 1, 80_000)

    class Fixed(torch.nn.Module):
        def __init__(self, values: torch.Tensor) -> None:
            super().__init__()
            self.values = torch.nn.Parameter(values)

        def forward(self, waveforms: torch.Tensor) -> torch.Tensor:
            return self.values

    perfect = targets_of(labels, 293, 3)
    assert segmentation_error(Fixed(perfect), signals, labels) == 0
    assert segmentation_error(Fixed(torch.zeros_like(perfect)), signals, labels) == 100
    assert segmentation_error(Fixed(torch.ones_like(perfect)), signals, labels) == pytest.approx(
        100 * (2 * 3 * 293 - perfect.sum().item()) / perfect.sum().item()
    )
