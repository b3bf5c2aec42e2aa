"""Shared trunk and folding: the stock model's embeddings, for random networks, weights and inputs."""

import copy
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pyannote.audio.models.blocks.pooling import StatsPool
from torch import nn

import variants
from variants.exact.folded import affine, fold_into_convolution
from variants.exact.pooling import ProductPool
from variants.exact.shared_trunk import run_lengths


def cosine(a: torch.Tensor, b: torch.Tensor) -> float:
    return float(nn.functional.cosine_similarity(a.double(), b.double(), dim=-1).min())


@pytest.fixture(scope="module")
def shaken(stock: Any) -> Any:
    """The stock model with BatchNorms far from the identity, negative scales among them."""
    model = copy.deepcopy(stock)
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for layer in model.tdnns:
            if isinstance(layer, nn.BatchNorm1d):
                layer.weight.copy_(torch.randn(layer.num_features, generator=generator))
                layer.bias.copy_(torch.randn(layer.num_features, generator=generator))
                layer.running_mean.copy_(torch.randn(layer.num_features, generator=generator))
                layer.running_var.copy_(0.1 + torch.rand(layer.num_features, generator=generator))
    return model


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 2**31), frames=st.integers(2, 40), given=st.integers(1, 60), speakers=st.integers(1, 4),
    kind=st.sampled_from(["uniform", "binary", "floor", "one frame", "one frame over the floor", "penalty"]),
    shift=st.floats(-1e3, 1e3),
)  # fmt: skip
def test_pooling_equals_pyannotes(seed: int, frames: int, given: int, speakers: int, kind: str, shift: float) -> None:
    generator = torch.Generator().manual_seed(seed)
    sequences = shift + torch.randn(2, 5, frames, generator=generator)
    sequences[:, 0] = shift  # a constant channel
    weights = torch.rand(2, speakers, given, generator=generator)
    if kind == "binary":
        weights = (weights > 0.5).float()
    elif kind == "floor":
        weights = torch.full_like(weights, 1e-8)
    elif kind.startswith("one frame"):
        weights = torch.full_like(weights, 1e-8 if "floor" in kind else 0.0)
        weights[..., given // 2] = 1.0
    elif kind == "penalty":
        weights = (weights**9).clamp(min=1e-8)
    scale, offset = torch.randn(5, generator=generator), torch.randn(5, generator=generator)
    mapped = sequences * scale[:, None] + offset[:, None]
    stock = StatsPool()(mapped, weights=weights)
    ours = ProductPool(5, scale, offset)(sequences, weights=weights)
    assert not (ours.isnan() & ~stock.isnan()).any()
    # Both round; ours may be no farther from the float64 truth than the rounding of such values explains. With about
    # one active frame float32 has no true denominator: there we do exactly as stock does.
    exact = StatsPool()(mapped.double(), weights=weights.double())
    slack = 1e-3 * mapped.std() + 1e-5 * mapped.abs().max()
    finite = stock.isfinite()
    error = torch.minimum((ours - exact).abs(), (ours - stock).abs())
    assert (error[finite] <= slack).all()


def test_pooling_without_weights_and_with_rows() -> None:
    sequences, weights = torch.randn(3, 4, 11), torch.rand(3, 11)
    torch.testing.assert_close(ProductPool(4)(sequences), StatsPool()(sequences))
    torch.testing.assert_close(ProductPool(4)(sequences, weights), StatsPool()(sequences, weights))
    silent = ProductPool(4, torch.ones(4), torch.ones(4))(sequences, torch.zeros(3, 11))
    assert silent.tolist() == [[0.0] * 8] * 3  # no weight at all: pyannote's epsilon leaves nothing


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 2**31), kernel=st.integers(1, 4), dilation=st.integers(1, 3), slope=st.floats(0, 1))
def test_batchnorm_folds_into_any_unpadded_convolution(seed: int, kernel: int, dilation: int, slope: float) -> None:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        norm, convolution = nn.BatchNorm1d(3).eval(), nn.Conv1d(3, 4, kernel, dilation=dilation)
        nn.init.normal_(norm.weight)
        nn.init.normal_(norm.bias)
        norm.running_mean, norm.running_var = torch.randn(3), torch.rand(3) + 0.01
        inputs = nn.functional.leaky_relu(torch.randn(2, 3, 20), slope)
    with torch.no_grad():
        expected = convolution(norm(inputs))
        fold_into_convolution(*affine(norm), convolution)
        torch.testing.assert_close(convolution(inputs), expected, rtol=1e-4, atol=1e-4)


def test_padded_convolution_is_refused() -> None:
    with pytest.raises(variants.UnavailableError, match="unpadded"):
        fold_into_convolution(torch.ones(3), torch.ones(3), nn.Conv1d(3, 4, 3, padding=1))


def test_run_lengths_of_equal_adjacent_rows() -> None:
    a, b, lost = torch.zeros(1, 4), torch.ones(1, 4), torch.full((1, 4), float("nan"))
    assert run_lengths(torch.stack([a, a, b, b, b, a, lost, lost])) == [2, 3, 1, 1, 1]
    assert run_lengths(torch.stack([a])) == [1]
    assert run_lengths(lost.expand(3, *lost.shape)) == [3]  # nothing to compare


@pytest.mark.parametrize("name", ["shared-trunk", "folded", "shared-folded"])
@pytest.mark.parametrize("rows", [[0, 0, 0], [0, 0, 0, 1, 1, 1], [0, 1, 1, 0], [0]], ids=str)
def test_exact_variant_equals_stock(name: str, rows: list[int], shaken: Any) -> None:
    generator = torch.Generator().manual_seed(2)
    chunks = 0.1 * torch.randn(2, 1, 32000, generator=generator)
    waveforms = chunks[rows]
    weights = torch.rand(len(rows), 117, generator=generator) ** 6
    weights[0] = 1e-8
    model = variants.build(name, shaken)
    with torch.no_grad():
        assert cosine(model(waveforms, weights), shaken(waveforms, weights)) >= 0.99999
        assert cosine(model(waveforms), shaken(waveforms)) >= 0.99999


@pytest.mark.parametrize("name", ["distilled-shared-trunk", "distilled-folded", "distilled-shared-folded"])
def test_exact_variants_of_the_student(name: str, stock: Any) -> None:
    waveforms, weights = 0.1 * torch.randn(1, 1, 32000).repeat(3, 1, 1), torch.rand(3, 117)
    with torch.no_grad():
        parent = variants.build("distilled", stock)(waveforms, weights)
        assert cosine(variants.build(name, stock)(waveforms, weights), parent) >= 0.99999


def test_the_trunk_runs_once_per_chunk(stock: Any) -> None:
    model, seen = variants.build("shared-trunk", stock), []
    model.sincnet.register_forward_pre_hook(lambda module, inputs: seen.append(len(inputs[0])))
    with torch.no_grad():
        model(torch.randn(2, 1, 32000).repeat_interleave(3, dim=0), torch.rand(6, 117))
    assert seen == [2]


def test_folding_leaves_no_batchnorm_and_no_sinc_parameters(stock: Any) -> None:
    model = variants.build("folded", stock)
    assert not [m for m in model.modules() if isinstance(m, nn.BatchNorm1d)]
    assert [m.kernel_size for m in model.sincnet.conv1d] == [(251,), (5,), (5,)]
