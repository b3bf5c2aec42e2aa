"""The paper's int8 reaches the last linear layer alone."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn

pytestmark = pytest.mark.slow  # together: real exports and real forward passes
Built = Callable[[str], Any]


def test_int8_converts_the_last_linear_layer_alone(built: Built, inputs: tuple[torch.Tensor, torch.Tensor]) -> None:
    quantized, student = built("distilled-int8"), built("distilled")
    assert type(quantized.embedding) is torch.ao.nn.quantized.dynamic.Linear
    assert quantized.embedding.weight().dtype == torch.qint8
    assert [type(m) for m in quantized.modules() if "quantized" in type(m).__module__ and hasattr(m, "weight")] == [
        torch.ao.nn.quantized.dynamic.Linear
    ]
    assert not any(type(m) is nn.Linear for m in quantized.modules())
    assert [type(m) for m in quantized.tdnns] == [type(m) for m in student.tdnns]
    with torch.no_grad():
        exact, rounded = student(*inputs), quantized(*inputs)
    cosines = torch.cosine_similarity(exact, rounded)
    assert cosines.min() > 0.99
    assert not torch.equal(exact, rounded)
