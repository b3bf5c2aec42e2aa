"""Layers with units taken out equal those with units masked; files keep sizes and weights."""

from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from variants.pruning import keep, narrow, read, write


def test_kept_units_and_their_scales() -> None:
    kept = keep(torch.tensor([0.0, 0.5, 0.0, 1.0]))
    assert kept.index.tolist() == [1, 3] and kept.scale.tolist() == [0.5, 1.0]
    twice = kept.repeated(2, 4)
    assert twice.index.tolist() == [1, 3, 5, 7] and twice.scale.tolist() == [0.5, 1.0, 0.5, 1.0]


def test_nothing_kept_leaves_a_unit_that_counts_for_nothing() -> None:
    kept = keep(torch.zeros(3))
    assert len(kept) == 1 and kept.scale.tolist() == [0.0]
    assert len(keep(torch.zeros(3), least=0)) == 0


masks = st.lists(st.sampled_from([0.0, 0.0, 0.25, 0.9, 1.0]), min_size=5, max_size=5).map(torch.tensor)


def chain() -> tuple[nn.Conv1d, nn.Module, nn.Conv1d, nn.Linear]:
    torch.manual_seed(0)
    norm = nn.BatchNorm1d(5).eval()
    norm.running_mean, norm.running_var = torch.randn(5), torch.rand(5) + 0.5
    norm.weight.data, norm.bias.data = torch.randn(5), torch.randn(5)
    return nn.Conv1d(3, 5, 3, stride=2, dilation=2), norm, nn.Conv1d(5, 5, 2), nn.Linear(10, 4)


@settings(max_examples=40, deadline=None)
@given(masks, masks)
def test_narrowed_layers_equal_masked_ones(first: Tensor, second: Tensor) -> None:
    one, norm, two, linear = chain()
    inputs = torch.randn(2, 3, 20)

    def pooled(outputs: Tensor) -> Tensor:
        return torch.cat([outputs.mean(dim=2), outputs.std(dim=2)], dim=1)

    masked = two(norm(one(inputs)).relu() * first[:, None]).relu()
    expected = linear(pooled(masked) * second.repeat(2))
    kept, later = keep(first), keep(second)
    small = [narrow(one, kept), narrow(norm, kept), narrow(two, later, kept)]
    last = narrow(linear, None, later.repeated(2, 5))
    outputs = small[2](small[1](small[0](inputs)).relu()).relu()
    assert outputs.shape[1] == len(later)
    torch.testing.assert_close(last(pooled(outputs)), expected, rtol=1e-5, atol=1e-5)


def test_instance_and_layer_norms() -> None:
    kept = keep(torch.tensor([0.0, 1.0, 1.0]))
    norm = nn.InstanceNorm1d(3, affine=True)
    norm.weight.data = torch.tensor([1.0, 2.0, 3.0])
    inputs = torch.randn(2, 3, 7)
    small = narrow(norm, kept)
    torch.testing.assert_close(small(inputs[:, 1:]), norm(inputs)[:, 1:])
    layer = narrow(nn.LayerNorm(3), kept)
    assert layer(torch.randn(4, 2)).shape == (4, 2)


def test_what_cannot_be_narrowed_is_said() -> None:
    with pytest.raises(TypeError, match="LSTM cannot be narrowed"):
        narrow(nn.LSTM(2, 3))
    with pytest.raises(TypeError, match="grouped"):
        narrow(nn.Conv1d(4, 4, 1, groups=2))


def test_frozen_layers_stay_frozen_and_modes_stay() -> None:
    layer = narrow(nn.Linear(2, 2).requires_grad_(False).eval(), keep(torch.tensor([1.0, 0.0])))
    assert not any(p.requires_grad for p in layer.parameters()) and not layer.training


@pytest.mark.parametrize("half", [True, False])
def test_file_keeps_sizes_weights_and_notes(tmp_path: Path, half: bool) -> None:
    module, path = nn.BatchNorm1d(3), tmp_path / "x.safetensors"
    module.running_mean = torch.tensor([0.1, 1.0, 2.0])
    write(path, module, {"channels": [3], "heads": [[0, 2]]}, {"note": "yes"}, half)
    sizes, state, notes = read(path)
    assert sizes == {"channels": [3], "heads": [[0, 2]]} and notes == {"note": "yes"}
    assert state["running_mean"].dtype == torch.float32 and state["num_batches_tracked"].dtype == torch.int64
    expected = module.running_mean.half().float() if half else module.running_mean
    assert torch.equal(state["running_mean"], expected)
    assert [p.name for p in tmp_path.iterdir()] == ["x.safetensors"]


def test_coarse_matrix_is_rounded_by_rows(tmp_path: Path) -> None:
    module, path = nn.Linear(3, 2), tmp_path / "x.safetensors"
    module.weight.data = torch.tensor([[127.0, -1.4, 0.6], [0.0, 0.0, -12.7]])
    write(path, module, [], {}, coarse=["weight"])
    _, state, _ = read(path)
    torch.testing.assert_close(state["weight"], torch.tensor([[127.0, -1.0, 1.0], [0.0, 0.0, -12.7]]))
    assert set(state) == {"weight", "bias"}
