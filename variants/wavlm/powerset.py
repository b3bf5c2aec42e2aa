"""Powerset classes (Plaquet and Bredin, Interspeech 2023): one class for each set of speakers that may talk at once."""

from itertools import combinations, permutations

import torch
from torch import Tensor

SPEAKERS, AT_ONCE = 4, 2  # of a chunk; of them in a frame


def sets(speakers: int = SPEAKERS, at_once: int = AT_ONCE) -> list[tuple[int, ...]]:
    """The speakers of each class: nobody, each one, each pair; in pyannote's order."""
    return [chosen for size in range(at_once + 1) for chosen in combinations(range(speakers), size)]


def table(speakers: int = SPEAKERS, at_once: int = AT_ONCE) -> Tensor:
    """(classes, speakers): 1 where a class holds a speaker."""
    result = torch.zeros(len(sets(speakers, at_once)), speakers)
    for row, chosen in zip(result, sets(speakers, at_once), strict=True):
        row[list(chosen)] = 1
    return result


def to_multilabel(scores: Tensor, members: Tensor) -> Tensor:
    """Scores of classes (batch, frames, classes) -> who speaks (batch, frames, speakers), 0 or 1, by the best class.

    members: `table()`.
    """
    return members[scores.argmax(dim=-1)]


def to_classes(labels: Tensor, members: Tensor) -> Tensor:
    """Who speaks (..., speakers) -> the class (...) of that set; of larger sets the first speakers count.

    labels: 0 or 1, those who speak most first, as `targets_of` puts them. members: `table()`.
    """
    return (labels[..., None, :] - members).abs().sum(dim=-1).argmin(dim=-1)  # the first of the nearest


def relabelled(speakers: int = SPEAKERS, at_once: int = AT_ONCE) -> Tensor:
    """(permutations, classes): the class that each one becomes when speaker i is called permutation[i]."""
    known = {chosen: number for number, chosen in enumerate(sets(speakers, at_once))}
    return torch.tensor(
        [
            [known[tuple(sorted(order[s] for s in chosen))] for chosen in known]
            for order in permutations(range(speakers))
        ]
    )


def matched_loss(log_probabilities: Tensor, classes: Tensor, names: Tensor) -> Tensor:
    """Negative log-likelihood under the best naming of the speakers, chunk by chunk, averaged over all.

    log_probabilities (batch, frames, classes), classes (batch, frames), names: `relabelled()`.
    """
    wanted = names[:, classes].permute(1, 2, 0)  # (batch, frames, permutations)
    return -log_probabilities.gather(2, wanted).mean(dim=1).max(dim=1).values.mean()
