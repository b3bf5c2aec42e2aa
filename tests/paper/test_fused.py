"""Fusion makes one module of two."""

from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn

pytestmark = pytest.mark.slow  # together: real exports and real forward passes
Built = Callable[[str], Any]


def test_fusion_makes_one_module_of_each_pair(built: Built, inputs: tuple[torch.Tensor, torch.Tensor]) -> None:
    fused = built("distilled-fused")
    assert sum(type(m) is torch.ao.nn.intrinsic.ConvReLU1d for m in fused.modules()) == 4
    kinds = Counter(type(m) for m in fused.tdnns)
    assert kinds == {torch.ao.nn.intrinsic.ConvReLU1d: 4, nn.Identity: 4, nn.BatchNorm1d: 4}
    with torch.no_grad():
        torch.testing.assert_close(fused(*inputs), built("distilled")(*inputs), rtol=1e-6, atol=1e-7)
