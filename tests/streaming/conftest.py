"""A small XVectorSincNet, its trunk shared and folded."""

import copy
from typing import Any

import pytest
import torch
from torch import nn

from variants.compressed.channel_pruned import with_channels
from variants.exact.folded import fold
from variants.exact.shared_trunk import share


@pytest.fixture(scope="session")
def folded(stock: Any) -> Any:
    """Not to be changed. A test can go through many chunks of it; its norms are all different."""
    small = with_channels(copy.deepcopy(stock), (80, 60, 60, 32, 32, 32, 32, 48))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        for norm in (m for m in small.modules() if isinstance(m, nn.InstanceNorm1d | nn.BatchNorm1d)):
            nn.init.uniform_(norm.weight, 0.5, 1.5)
            nn.init.uniform_(norm.bias, -0.5, 0.5)
    return fold(share(small.eval()))
