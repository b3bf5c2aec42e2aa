"""Channels removed equal channels masked, whatever the masks; the shipped files are what their names say."""

import copy
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

import variants
from variants import UnavailableError
from variants.compressed.channel_pruned import (
    CHANNELS,
    channels_of,
    load_pruned,
    remove_channels,
    trunk_macs,
    with_channels,
)
from variants.loading import WEIGHTS, load
from variants.pruning import read, write
from variants.training.architecture import XVectorSincNet
from variants.training.embedding import embed_windows, features_of


@pytest.fixture(scope="module")
def network() -> XVectorSincNet:
    """Random weights, and BatchNorms that are no identity."""
    torch.manual_seed(0)
    result = XVectorSincNet().eval()
    for norm in (*result.sincnet.norm1d, *result.tdnns[2::3]):
        torch.nn.init.uniform_(norm.weight, 0.5, 2)
        torch.nn.init.normal_(norm.bias)
        if norm.running_mean is not None:
            norm.running_mean.normal_()
            norm.running_var.uniform_(0.5, 2)
    return result


def test_macs_are_those_that_torch_counts(network: XVectorSincNet) -> None:
    frozen = with_channels(copy.deepcopy(network), CHANNELS)  # which computes no filters
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        features = frozen.sincnet(torch.randn(1, 1, 80_000))
        for layer in frozen.tdnns:
            features = layer(features)
    assert 2 * trunk_macs(CHANNELS) == counter.get_total_flops()


def test_half_the_channels_leave_about_a_quarter() -> None:
    # the sinc convolution's share falls by half, every other's to a quarter
    sinc = 251 * 7975 * 80
    assert trunk_macs([c / 2 for c in CHANNELS]) == pytest.approx(sinc / 2 + (trunk_macs(CHANNELS) - sinc) / 4)


def masks_of(seed: int, density: float, empty: int | None) -> list[Tensor]:
    generator = torch.Generator().manual_seed(seed)
    masks = []
    for layer, count in enumerate(CHANNELS):
        values = 0.2 + 0.8 * torch.rand(count, generator=generator)
        closed = torch.rand(count, generator=generator) > density
        masks.append(torch.where(closed, 0.0, values) * (layer != empty))
    return masks


@settings(max_examples=8, deadline=None)
@given(st.integers(0, 2**31), st.floats(0.05, 1), st.one_of(st.none(), st.integers(0, 7)))
def test_removed_equals_masked(network: XVectorSincNet, seed: int, density: float, empty: int | None) -> None:
    masks = [mask.double() for mask in masks_of(seed, density, empty)]
    waveforms = torch.randn(1, 1, 8_000, generator=torch.Generator().manual_seed(seed)).double()
    windows = torch.rand(1, 2, 59, generator=torch.Generator().manual_seed(seed + 1)).double()
    network = copy.deepcopy(network).double()  # in float32 the pooled variances cancel to about 1e-4
    pruned = remove_channels(copy.deepcopy(network), masks)
    with torch.no_grad():
        masked = embed_windows(network, features_of(network, waveforms), windows, masks)
        own = embed_windows(pruned, features_of(pruned, waveforms), windows)
    assert channels_of(pruned) == [max(int((mask > 0).sum()), 1) for mask in masks]
    assert (own - masked).norm() <= 1e-9 * masked.norm()


def test_stored_features_are_those_of_the_filters_left(network: XVectorSincNet) -> None:
    pruned = remove_channels(copy.deepcopy(network), masks_of(1, 0.5, None))
    waveforms, windows = torch.randn(1, 1, 16_000), torch.ones(1, 1, 59)
    with torch.no_grad():
        stored = network.sincnet.front(waveforms)
        one = embed_windows(pruned, features_of(pruned, stored), windows)
        other = embed_windows(pruned, features_of(pruned, waveforms), windows)
    torch.testing.assert_close(one, other)


def test_stock_model_is_pruned_like_ours(stock: Any) -> None:
    ours = XVectorSincNet().eval()
    ours.load_state_dict(stock.state_dict())
    masks = masks_of(2, 0.4, None)
    waveforms, windows = torch.randn(2, 1, 16_000), torch.rand(2, 59)
    theirs, ours = remove_channels(copy.deepcopy(stock), masks), remove_channels(ours, masks)
    with torch.no_grad():
        torch.testing.assert_close(theirs(waveforms, windows), ours(waveforms, windows), rtol=1e-4, atol=1e-5)


def test_file_of_another_baseline_is_refused(stock: Any, tmp_path: Path) -> None:
    channels = [16, 16, 16, 32, 32, 32, 32, 64]
    path = tmp_path / "small.safetensors"
    write(path, with_channels(copy.deepcopy(stock), channels), channels, {"teacher_sha256": f'"{"a" * 64}"'})
    assert channels_of(load_pruned(copy.deepcopy(stock), path)) == channels
    with pytest.raises(UnavailableError, match="not of bundled embedding"):
        load_pruned(load("embedding"), path)


@pytest.mark.parametrize("percent", [50, 75])
def test_shipped_file_has_lost_its_share(percent: int) -> None:
    channels, state, _ = read(WEIGHTS / f"channel-pruned-{percent}.safetensors")
    assert 0 <= 1 - trunk_macs(channels) / trunk_macs(CHANNELS) - percent / 100 < 0.02  # channels go by the 16
    model = variants.build(f"channel-pruned-{percent}", load("embedding"))
    assert channels_of(model) == channels
    assert torch.equal(model.state_dict()["embedding.weight"], state["embedding.weight"])
    assert sum(p.stat().st_size for p in WEIGHTS.glob("channel-pruned-*.safetensors")) < 8e6


@pytest.mark.slow
@pytest.mark.parametrize("suffix", ["shared-trunk", "shared-folded", "onnx-tuned", "best-exact"])
def test_exact_techniques_are_exact_on_pruned_models(suffix: str) -> None:
    root = load("embedding")
    pruned, other = (variants.build(name, root) for name in ("channel-pruned-75", f"channel-pruned-75-{suffix}"))
    waveforms = torch.randn(1, 1, 80_000).repeat(3, 1, 1)
    weights = torch.rand(3, 293).clamp(min=1e-8)
    one, two = (variants.as_embedding_model(model) for model in (pruned, other))
    with torch.no_grad():
        cosines = torch.cosine_similarity(
            torch.as_tensor(one(waveforms, weights)), torch.as_tensor(two(waveforms, weights))
        )
    assert cosines.min() > 0.99999
