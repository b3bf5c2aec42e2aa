"""The control is the baseline."""

from collections.abc import Callable
from typing import Any

import pytest
import torch

pytestmark = pytest.mark.slow  # together: real exports and real forward passes
Built = Callable[[str], Any]


def test_twin_is_the_baseline(built: Built, stock: Any) -> None:
    for key, value in built("baseline-twin").state_dict().items():
        assert torch.equal(value, stock.state_dict()[key])
