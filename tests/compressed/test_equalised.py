"""Channels that differ in size: nearer to one another afterwards, and nothing else."""

import copy
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import variants
from variants.compressed import equalised
from variants.compressed.calibration import Calibration
from variants.compressed.equalised import equalise


@pytest.fixture
def chunk(monkeypatch: pytest.MonkeyPatch) -> torch.Tensor:
    """The only chunk of the calibration."""
    noise = 0.1 * np.random.default_rng(0).standard_normal((1, 1, 80_000), np.float32)
    monkeypatch.setattr(equalised, "calibration", lambda: Calibration(noise, np.ones((1, 3, 293)), "", ""))
    return torch.from_numpy(noise)


def sizes(model: Any, chunk: torch.Tensor) -> list[torch.Tensor]:
    """The largest value of each channel behind each activation."""
    found, features = [], model.sincnet(chunk)
    for layer in model.tdnns:
        features = layer(features)
        if isinstance(layer, nn.LeakyReLU):
            found.append(features[0].abs().amax(1))
    return found


@torch.no_grad()
def test_channels_come_nearer_and_embeddings_stay(stock: Any, chunk: torch.Tensor) -> None:
    model = variants.build("shared-folded", stock)
    scale = torch.logspace(-2, 2, 512)
    model.tdnns[0].weight *= scale[:, None, None]
    model.tdnns[0].bias *= scale
    before, weights = copy.deepcopy(model), torch.rand(3, 293, generator=torch.Generator().manual_seed(0))
    assert equalise(model) is model
    rows = chunk.repeat(3, 1, 1)
    one, other = model(rows, weights), before(rows, weights)
    assert not torch.equal(one, other)
    torch.testing.assert_close(one, other, rtol=1e-3, atol=1e-4 * float(other.abs().max()))
    for mine, theirs in zip(sizes(model, chunk), sizes(before, chunk), strict=True):
        # each is divided by the root of what it was, up to one factor for all
        factor = mine / theirs.sqrt()
        torch.testing.assert_close(factor, factor[:1].expand_as(factor), rtol=1e-3, atol=0)
        assert factor[0] == pytest.approx(float(theirs.log().mean().exp()) ** 0.5, rel=1e-3)


@torch.no_grad()
def test_a_silent_channel_stays_finite(stock: Any, chunk: torch.Tensor) -> None:
    model = variants.build("shared-folded", stock)
    model.tdnns[0].weight[3] = model.tdnns[0].bias[3] = 0
    found = equalise(model)(chunk, torch.ones(1, 293))
    assert torch.isfinite(found).all()


def test_other_models_stay_as_they_are(stock: Any) -> None:
    for model in (nn.Linear(2, 2), variants.build("baseline", stock)):  # the latter's BatchNorms are not folded
        state = copy.deepcopy(model.state_dict())
        assert equalise(model) is model
        assert all(torch.equal(value, state[name]) for name, value in model.state_dict().items())
