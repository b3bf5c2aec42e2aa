"""Cosines by row: which rows count, which are named, and what share is below; by hand."""

import math
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from bench.accuracy.der import Accuracy, FileScore
from bench.accuracy.errors import Components
from bench.accuracy.rows import Row, Rows, quantile

# chunks of 2 s at 4 Hz, a second apart
FILE: Any = SimpleNamespace(waveforms=torch.zeros(9, 8, 1), chunks=SimpleNamespace(rate=4, start=lambda i: -1.0 + i))
NOTHING = Components(0, 0, 0, 0)


def test_only_rows_in_which_somebody_speaks_count_and_the_farthest_are_named() -> None:
    scores = torch.zeros(2, 4, 2)
    scores[0, 1:3, 0] = 0.5  # half of the first chunk
    scores[0, :, 1] = 0.49
    scores[1, 0] = 0.9  # a quarter of the second, both
    rows = Rows()
    rows.add(FILE, 3, np.array([[0.25, -1.0], [0.123456, math.nan]]), scores, 0.5)
    assert rows.counts == ((0.1235, 1), (0.25, 1))
    assert rows.worst == (Row(3.0, 5.0, 1, 0.5, 0.1235), Row(2.0, 4.0, 1, 1.0, 0.25))
    rows.add(FILE, 5, np.array([[0.2, 0.9], [0.25, 0.1]]), torch.ones(2, 4, 2), 0.5)
    assert rows.counts == ((0.1, 1), (0.1235, 1), (0.2, 1), (0.25, 2), (0.9, 1))
    assert [row.cosine for row in rows.worst] == [0.1, 0.1235, 0.2]
    assert rows.worst[0] == Row(5.0, 7.0, 2, 2.0, 0.1)


@given(st.lists(st.integers(-100, 100), min_size=1, max_size=60), st.floats(0.01, 0.99))
def test_quantile_is_that_of_the_rows_themselves(cosines: list[int], share: float) -> None:
    counts = tuple((value / 100, cosines.count(value)) for value in sorted(set(cosines)))
    expected = np.quantile(np.array(cosines) / 100, share, method="inverted_cdf")
    assert quantile(counts, share) == pytest.approx(expected)


def test_files_are_taken_together() -> None:
    one = FileScore("a", None, NOTHING, 0.1, 0.1, (), cosines=((0.5, 1), (1.0, 18)), worst=(Row(0, 5, 1, 1.0, 0.5),))
    other = FileScore("b", None, NOTHING, 0.1, 0.1, (), cosines=((0.1, 1), (0.9, 1)), worst=(Row(5, 10, 2, 1.0, 0.1),))
    assert Accuracy((one, other)).low_cosine == 0.5  # 1 of 21 is less than 5 %, 2 are more
    assert (
        Accuracy((one,)).low_cosine == 0.5 and Accuracy((FileScore("a", None, NOTHING, 1, 1, ()),)).low_cosine is None
    )
    assert Accuracy((one, other)).worst == [("b", other.worst[0]), ("a", one.worst[0])]
