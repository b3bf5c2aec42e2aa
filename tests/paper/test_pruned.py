"""The paper's prunings write zeros, and zeros save nothing."""

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from variants.paper.pruned import coo_break_even, coo_bytes

pytestmark = pytest.mark.slow  # together: real exports and real forward passes
Built = Callable[[str], Any]


def layers(model: nn.Module) -> list[nn.Module]:
    """Convolutions and linear layers by their place in the stock model."""
    convolutions = [*model.sincnet.conv1d, *model.tdnns]
    return [m for m in convolutions if type(m) is nn.Conv1d] + [model.embedding]


def test_structured_pruning_zeroes_one_channel_of_each_layer(built: Built) -> None:
    student, pruned = built("distilled"), built("distilled-pruned-structured")
    assert len(layers(pruned)) == 7
    for before, after in zip(layers(student), layers(pruned), strict=True):
        weight = after.weight.flatten(1)
        (zeroed,) = torch.nonzero((weight == 0).all(dim=1)).flatten().tolist()
        norms = before.weight.flatten(1).norm(dim=1)
        assert zeroed == int(norms.argmin())
        others = torch.arange(len(weight)) != zeroed
        assert torch.equal(weight[others], before.weight.flatten(1)[others])
        assert torch.equal(before.bias, after.bias)
    mean = np.mean([float((m.weight == 0).float().mean()) for m in layers(pruned)])
    by_hand = (1 / 60 + 1 / 60 + 1 / 512 + 1 / 512 + 1 / 512 + 1 / 1500 + 1 / 512) / 7
    assert float(f"{mean:.3g}") == 0.00597
    assert mean == pytest.approx(by_hand, rel=1e-4)


def test_unstructured_pruning_zeroes_the_smallest_30_percent(built: Built) -> None:
    before = torch.cat([m.weight.flatten() for m in layers(built("distilled"))]).detach()
    after = torch.cat([m.weight.flatten() for m in layers(built("distilled-pruned-unstructured"))]).detach()
    zeroed = after == 0
    assert float(zeroed.double().mean()) == pytest.approx(0.3, abs=1e-6)
    assert before[zeroed].abs().max() <= before[~zeroed].abs().min()
    assert torch.equal(before[~zeroed], after[~zeroed])


@pytest.mark.parametrize("name", ["distilled-pruned-structured", "distilled-pruned-unstructured"])
def test_pruning_leaves_the_architecture(built: Built, name: str) -> None:
    assert str(built(name)) == str(built("distilled"))
    assert built(name).state_dict().keys() == built("distilled").state_dict().keys()  # no masks left


def saved(tensor: torch.Tensor, folder: Path) -> int:
    torch.save(tensor, folder / "tensor.pt")
    return (folder / "tensor.pt").stat().st_size


def test_coo_breaks_even_where_the_paper_says(tmp_path: Path) -> None:
    assert round(coo_break_even(3), 3) == 0.857
    for sparsity in (0.84, 0.875):
        dense = torch.zeros(30_000)
        dense[: round(30_000 * (1 - sparsity))] = 1.5
        dense = dense[torch.randperm(30_000, generator=torch.Generator().manual_seed(0))].reshape(100, 100, 3)
        sparse = dense.to_sparse_coo().coalesce()
        stored = sparse.indices().nbytes + sparse.values().nbytes
        assert coo_bytes(3, sparse.values().numel()) == stored
        pays = sparsity > coo_break_even(3)
        assert (stored < dense.nbytes) == pays
        assert (saved(sparse, tmp_path) < saved(dense, tmp_path)) == pays


def test_break_even_formula() -> None:
    # v bytes dense against (1 - s) (8 n + v) sparse
    for ndim in (1, 2, 3):
        sparsity = coo_break_even(ndim)
        assert math.isclose((1 - sparsity) * (8 * ndim + 4), 4)
