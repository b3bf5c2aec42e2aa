"""Powerset classes by hand, and the loss under the best naming."""

import math

import torch
from pyannote.audio.utils.powerset import Powerset

from variants.wavlm.powerset import matched_loss, relabelled, sets, table, to_classes, to_multilabel


def test_classes_by_hand() -> None:
    assert sets() == [(), (0,), (1,), (2,), (3,), (0, 1), (0, 2), (0, 3), (1, 2), (1, 3), (2, 3)]
    assert table()[8].tolist() == [0, 1, 1, 0]
    assert torch.equal(table(), Powerset(4, 2).mapping)


def test_there_and_back() -> None:
    members = table()
    scores = torch.nn.functional.one_hot(torch.tensor([[0, 4, 10, 5]]), 11).float()
    labels = to_multilabel(scores, members)
    assert labels[0].tolist() == [[0, 0, 0, 0], [0, 0, 0, 1], [0, 0, 1, 1], [1, 1, 0, 0]]
    assert to_classes(labels, members).tolist() == [[0, 4, 10, 5]]
    assert to_classes(torch.tensor([0.0, 1, 1, 1]), members) == 8  # of three at once, the two who speak most


def test_names() -> None:
    names = relabelled()
    assert names.shape == (24, 11) and names[0].tolist() == list(range(11))
    # permutations come in order, so the second one swaps speakers 2 and 3
    assert names[1].tolist() == [0, 1, 2, 4, 3, 5, 7, 6, 9, 8, 10]


def test_loss_is_that_of_the_best_naming() -> None:
    members, names = table(), relabelled()
    labels = torch.tensor([[[1.0, 0, 0, 0], [1, 1, 0, 0], [0, 0, 0, 0]]])
    classes = to_classes(labels, members)
    probabilities = torch.full((1, 3, 11), 0.01)
    probabilities[0, 0, 4] = probabilities[0, 1, 10] = probabilities[0, 2, 0] = 0.9  # who is 0 and 1 there is 3 and 2
    assert math.isclose(matched_loss(probabilities.log(), classes, names).item(), -math.log(0.9), rel_tol=1e-6)
    probabilities[0, 1] = torch.full((11,), 0.01)
    probabilities[0, 1, 5] = 0.9  # contradicts the first frame: one of the two must cost
    expected = -(2 * math.log(0.9) + math.log(0.01)) / 3
    assert math.isclose(matched_loss(probabilities.log(), classes, names).item(), expected, rel_tol=1e-6)
