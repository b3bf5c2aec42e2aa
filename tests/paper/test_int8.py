"""The paper's int8 reaches the last linear layer alone."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn

import variants

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


def with_engines(monkeypatch: pytest.MonkeyPatch, *supported: str) -> None:
    """A torch that starts without an engine and has those."""
    monkeypatch.setattr(torch.backends.quantized, "engine", "none")
    monkeypatch.setattr(type(torch.backends.quantized), "supported_engines", ["none", *supported])


def test_an_engine_is_chosen_where_torch_starts_without_one(
    stock: Any, inputs: tuple[torch.Tensor, torch.Tensor], monkeypatch: pytest.MonkeyPatch
) -> None:
    has = [engine for engine in torch.backends.quantized.supported_engines if engine != "none"]
    with_engines(monkeypatch, *has)
    quantized = variants.build("distilled-int8", stock)
    assert torch.backends.quantized.engine in has
    with torch.no_grad():
        assert quantized(*inputs).isfinite().all()


def test_without_any_engine_it_is_skipped_with_the_reason(stock: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    with_engines(monkeypatch)
    with pytest.raises(variants.UnavailableError, match="needs an engine for int8, which this build of torch lacks"):
        variants.build("distilled-int8", stock)
