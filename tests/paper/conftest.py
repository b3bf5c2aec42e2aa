"""Variants of the stock architecture: nothing here depends on what the weights are."""

from collections.abc import Callable
from functools import cache
from typing import Any

import pytest
import torch

from variants import build

Built = Callable[[str], Any]


@pytest.fixture(scope="module")
def built(stock: Any) -> Built:
    """Every variant by name, built once."""
    return cache(lambda name: build(name, stock))


@pytest.fixture(scope="module")
def inputs() -> tuple[torch.Tensor, torch.Tensor]:
    """Three rows of a chunk and of weights."""
    generator = torch.Generator().manual_seed(0)
    return torch.randn(3, 1, 80_000, generator=generator), torch.rand(3, 293, generator=generator)
