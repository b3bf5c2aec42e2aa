"""Samples: seconds of rounds, and the interleaving block of each, checked."""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray


class Paired:
    """Rounds of two subjects on the same chunks: parallel arrays.

    times, reference: (rounds,) positive seconds. blocks: (rounds,) number of each round's interleaving block. At least
    one round; ValueError names the argument that is wrong.
    """

    def __init__(self, times: ArrayLike, reference: ArrayLike, blocks: ArrayLike) -> None:
        self.times, self.reference = seconds("times", times), seconds("reference", reference)
        self.blocks = parallel("blocks", blocks, self.times)
        parallel("reference", self.reference, self.times)

    @classmethod
    def common(cls, times: Mapping[int, Sequence[float]], reference: Mapping[int, Sequence[float]]) -> "Paired | None":
        """The blocks that both have, of rounds by block; None without any. ValueError if one has rounds to spare."""
        both = [block for block in times if block in reference]
        for block in both:
            if len(times[block]) != len(reference[block]):
                raise ValueError(
                    f"reference: {len(reference[block])} rounds in block {block}, but times has {len(times[block])}"
                )
        if not both:
            return None
        mine, theirs = (np.concatenate([rounds[block] for block in both]) for rounds in (times, reference))
        return cls(mine, theirs, np.repeat(both, [len(times[block]) for block in both]))


def seconds(name: str, values: ArrayLike) -> NDArray[np.float64]:
    """(rounds,) positive, finite seconds; ValueError by `name` for anything else."""
    array = np.asarray(values, float)
    if array.ndim != 1 or not len(array):
        raise ValueError(f"{name}: shape {array.shape}, but it takes one row of at least one round")
    if len(bad := np.flatnonzero(~(np.isfinite(array) & (array > 0)))):
        raise ValueError(f"{name}: {array[bad[0]]} in round {bad[0]} is no duration")
    return array


def parallel(name: str, values: ArrayLike, times: NDArray[np.float64]) -> NDArray[np.float64]:
    """An array as long as `times`; ValueError by `name` if it is not."""
    array = np.asarray(values)
    if array.shape != times.shape:
        raise ValueError(f"{name}: shape {array.shape}, but times has {times.shape}")
    return array


def by_block(series: NDArray[np.float64], blocks: NDArray[np.float64]) -> list[NDArray[np.float64]]:
    """The rounds of each block, in the order in which the blocks first appear."""
    return [series[blocks == label] for label in dict.fromkeys(blocks.tolist())]
